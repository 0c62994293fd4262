/** A receiver of webhooks on a loopback port, that answers as it is told. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HOST } from './tools.ts';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: { event: string; alert: Record<string, unknown> } & Record<string, unknown>;
}

export class Receiver {
  readonly received: Received[] = [];
  /** What it answers; null leaves a caller without an answer. */
  status: number | null = 200;
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (this.status === null) return;
      const body = JSON.parse(Buffer.concat(chunks).toString());
      this.received.push({ path: request.url ?? '', headers: request.headers, body });
      response.writeHead(this.status, this.status === 302 ? { location: '/elsewhere' } : {}).end('thank you');
    });
  });

  /** The base URL. */
  listen(): Promise<string> {
    return new Promise((resolve) => {
      this.#server.listen(0, HOST, () => resolve(`http://${HOST}:${(this.#server.address() as AddressInfo).port}`));
    });
  }

  /** Of those that it has taken. */
  events(alertId: string): string[] {
    return this.received.filter(({ body }) => body.alert?.['alert_id'] === alertId).map(({ body }) => body.event);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
