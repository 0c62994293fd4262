import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { kafkaClient } from '../../../src/topology/sources/kafka-client.ts';
import { openSocket } from '../../../src/topology/sources/kafkajs-network.ts';

const require = createRequire(import.meta.url);
const nothing = (): void => undefined;
kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, { debug: nothing, info: nothing, warn: nothing, error: nothing });
const { prototype } = require('kafkajs/src/network/connection.js') as { prototype: { processData(bytes: Buffer): void } };

interface Response {
  correlationId: number;
  payload: Buffer;
}

/** A connection that is authenticated, or waits for the answer to a request that is to make it so. */
const connectionOf = (authHandlers: object | null) => {
  const responses: Response[] = [];
  const requestQueue = { fulfillRequest: (response: Response) => void responses.push(response) };
  return {
    responses,
    connection: { socket: {}, authHandlers, authExpectResponse: true, bytesBuffered: 0, bytesNeeded: 4, chunks: [], requestQueue },
  };
};

const framed = (correlationId: number, payload: Uint8Array): Buffer => {
  const head = Buffer.alloc(8);
  head.writeInt32BE(4 + payload.length);
  head.writeInt32BE(correlationId, 4);
  return Buffer.concat([head, payload]);
};

test('responses come out whole however they were cut, though every read overwrites the one before', () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 });
  fc.assert(
    fc.property(payloads, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 10 }), (given, cuts) => {
      const { responses, connection } = connectionOf(null);
      const stream = Buffer.concat(given.map((payload, i) => framed(i, payload)));
      const read = Buffer.alloc(20);
      for (let at = 0, n = 0; at < stream.length; n++) {
        const count = stream.copy(read, 0, at, at + cuts[n % cuts.length]);
        prototype.processData.call(connection, read.subarray(0, count));
        at += count;
      }
      expect(responses.map(({ correlationId, payload }) => [correlationId, [...payload]])).toEqual(
        given.map((payload, i) => [i, [...payload]]),
      );
    }),
  );
});

test('responses of any size come out whole from a socket, and the rest of a large one is read to where it stays', async () => {
  const sizes = [0, 10, 70_000, 600_000, 5, 16_380, 16_384, 65_532, 1_000_000, 0, 300_000];
  const payloads = sizes.map((size, i) => Buffer.alloc(size, i + 1));
  const server = createServer((socket) => {
    const stream = Buffer.concat(payloads.map((payload, i) => framed(i, payload)));
    for (const piece of [stream.subarray(0, 3), stream.subarray(3, 20), stream.subarray(20)]) socket.write(piece);
    socket.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = openSocket({ host: '127.0.0.1', port, ssl: undefined, onConnect: nothing });
  const { responses, connection } = connectionOf(null);
  const reads: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => {
    reads.push(bytes);
    prototype.processData.call(Object.assign(connection, { socket }), bytes);
  });
  await once(socket, 'close');
  server.close();
  expect(responses.map(({ correlationId, payload }) => [correlationId, payload.equals(payloads[correlationId])])).toEqual(
    sizes.map((_, i) => [i, true]),
  );
  const straight = reads.filter(({ buffer }) => responses.some(({ payload }) => payload.buffer === buffer && payload.length > 100_000));
  // All but what came with the size, and with what follows.
  expect(straight.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThan(1_700_000);
});

test('an answer while authenticating goes to who waits for it, and keeps its bytes', () => {
  const kept: Buffer[] = [];
  const { connection } = connectionOf({ onSuccess: (bytes: Buffer) => void kept.push(bytes) });
  const read = framed(7, Buffer.from('salt'));
  const before = Buffer.from(read);
  prototype.processData.call(connection, read);
  read.fill(0);
  expect(kept).toEqual([before]);
});
