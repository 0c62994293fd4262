import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { HOST } from '../services/tools.ts';

/** A way to a service that can be closed: connections break, new ones are refused. */
export class Gate {
  readonly url: string;
  readonly #server: Server;
  readonly #port: number;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, url: URL) {
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    url.host = `${HOST}:${this.#port}`;
    this.url = url.href;
  }

  static async to(target: string): Promise<Gate> {
    const url = new URL(target);
    const [host, port] = [url.hostname, Number(url.port)];
    let gate: Gate | null = null;
    const server = createServer((near) => {
      const far = connect(port, host);
      gate?.keep(near, far);
      near.pipe(far).pipe(near);
    });
    server.listen(0, HOST);
    await once(server, 'listening');
    gate = new Gate(server, url);
    return gate;
  }

  keep(near: Socket, far: Socket): void {
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async open(): Promise<void> {
    this.#server.listen(this.#port, HOST);
    await once(this.#server, 'listening');
  }
}
