import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { HOST } from '../services/tools.ts';

/** A way to a service that can be closed: connections break, new ones are refused. It can also be slow, or let nothing through. */
export class Gate {
  readonly url: string;
  /** What goes to the service arrives there so much later. */
  delayMs = 0;
  /** Connections stand, and nothing arrives. */
  isStuck = false;
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
      near.on('data', (chunk) => gate?.pass(chunk, far));
      near.on('end', () => far.end());
      far.pipe(near);
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

  pass(chunk: Buffer, far: Socket): void {
    if (this.isStuck) return;
    if (this.delayMs === 0) far.write(chunk);
    else setTimeout(() => far.destroyed || far.write(chunk), this.delayMs);
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
