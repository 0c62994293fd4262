/**
 * How responses come in with kafkajs 2.2.4. It keeps what each read of a socket brings, a fresh 64 KiB buffer at a time, and joins
 * them in another: over two bytes of memory outside the heap for each that is fetched, which makes V8 collect its whole heap ten
 * times a second. Here a socket reads what is small into one buffer for ever, and the rest of a large response straight to where it
 * stays: if somebody lets it go, in memory that is used again.
 */
import { createRequire } from 'node:module';
import { connect, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { responses } from './response-pool.ts';

interface Connection {
  authHandlers: object | null;
  bytesBuffered: number;
  /** Another one after each reconnection. */
  readonly socket: Socket;
  readonly requestQueue: { fulfillRequest(response: { size: number; correlationId: number; payload: Buffer }): void };
  processData(bytes: Buffer): void;
}

/** A response on its way: first its size, then as many bytes. */
interface Incoming {
  readonly size: Buffer;
  response: Buffer | null;
  filled: number;
}

export interface SocketPlace {
  host: string;
  port: number;
  ssl: ConnectionOptions | undefined;
  onConnect: () => void;
}

const SIZE_BYTES = 4;
/** A correlation id at least; a fetch is far below the most. What else answers on the port speaks no Kafka. */
const LEAST_BYTES = 4;
const MOST_BYTES = 2 ** 28;
/** Of the buffer for ever. What is left of a response is read to where it belongs when it is as much as that. */
const READ_BYTES = 16 * 1024;
const KEEP_ALIVE_MS = 60_000;

const require = createRequire(import.meta.url);
/** By socket. */
const incoming = new WeakMap<object, Incoming>();
/** Connections whose large responses are let go by who has read them. */
const letGo = new WeakSet<object>();

/** Large responses on this connection are to lie in memory that is used again: who reads in it holds it, and lets it go. */
export const useAgain = (connection: object): void => {
  letGo.add(connection);
};

/** For kafkajs, whose `processData` is replaced: what is told as data is overwritten by the next read, or is part of a response. */
export const openSocket = ({ host, port, ssl, onConnect }: SocketPlace): Socket => {
  const socket = ssl ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect) : plainSocket(host, port);
  if (!ssl) socket.once('connect', onConnect);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
};

const plainSocket = (host: string, port: number): Socket => {
  const state = nothingYet();
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const onread = {
    buffer: () => restOf(state) ?? buffer,
    callback: (bytes: number, read: Uint8Array): boolean => {
      socket.emit('data', read.subarray(0, bytes));
      return true;
    },
  };
  const socket: Socket = connect({ host, port, onread });
  incoming.set(socket, state);
  return socket;
};

const nothingYet = (): Incoming => ({ size: Buffer.alloc(SIZE_BYTES), response: null, filled: 0 });

/** Where the rest of a large response belongs. */
const restOf = ({ response, filled }: Incoming): Buffer | null =>
  response !== null && response.length - filled >= READ_BYTES ? response.subarray(filled) : null;

export const replaceReceiving = (): void => {
  const { prototype } = require('kafkajs/src/network/connection.js') as { prototype: Connection };
  const stock = prototype.processData;
  prototype.processData = function (bytes) {
    // Before it is authenticated a connection answers one request at a time; kafkajs may keep these few bytes.
    if (this.authHandlers || this.bytesBuffered > 0) stock.call(this, Buffer.from(bytes));
    else take(this, bytes);
  };
};

function take(connection: Connection, bytes: Buffer): void {
  const state = incoming.get(connection.socket) ?? nothingYet();
  incoming.set(connection.socket, state);
  for (let at = 0; at < bytes.length; ) {
    const into = state.response ?? state.size;
    const count = Math.min(into.length - state.filled, bytes.length - at);
    const isThere = into.buffer === bytes.buffer && into.byteOffset + state.filled === bytes.byteOffset + at;
    if (!isThere) into.set(bytes.subarray(at, at + count), state.filled);
    at += count;
    state.filled += count;
    if (state.filled < into.length) return;
    state.filled = 0;
    if (state.response === null) {
      const size = state.size.readInt32BE();
      if (size < LEAST_BYTES || size > MOST_BYTES) {
        connection.socket.destroy(new Error(`the broker announces a response of ${size} bytes: is TLS set as it listens?`));
        return;
      }
      state.response = letGo.has(connection) ? responses.take(size) : Buffer.allocUnsafe(size);
      continue;
    }
    const { response } = state;
    state.response = null;
    const payload = response.subarray(SIZE_BYTES);
    connection.requestQueue.fulfillRequest({ size: response.length, correlationId: response.readInt32BE(), payload });
  }
}
