/** HTTP: health, readiness, metrics and the status API. Read-only, few routes, no framework. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Answer {
  status: number;
  type: string;
  body: string;
}

export type Routes = Readonly<Record<string, () => Answer | Promise<Answer>>>;

export const json = (value: unknown, status = 200): Answer => ({
  status,
  type: 'application/json; charset=utf-8',
  body: `${JSON.stringify(value, null, 2)}\n`,
});

export const text = (body: string, status = 200): Answer => ({ status, type: 'text/plain; charset=utf-8', body });

/** Answers GET and HEAD. Rejects when the address cannot be had. */
export class WebServer {
  readonly #server: Server;

  constructor(routes: Routes) {
    this.#server = createServer((request, response) => {
      // Not `new URL`: it throws on what any scanner may send.
      const path = (request.url ?? '/').split('?', 1)[0];
      const known = request.method === 'GET' || request.method === 'HEAD';
      const route = Object.hasOwn(routes, path) ? routes[path] : () => text('not found\n', 404);
      void Promise.resolve()
        .then(known ? route : () => text('only GET\n', 405))
        .catch((error: unknown) => text(`${error instanceof Error ? error.message : error}\n`, 500))
        .then(({ status, type, body }) => {
          response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
          response.end(request.method === 'HEAD' ? undefined : body);
        });
    });
  }

  /** The port it listens on. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
