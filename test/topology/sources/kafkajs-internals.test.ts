import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { PartitionAssigners } from 'kafkajs';
import { expect, test } from 'vitest';
import { kafkaClient } from '../../../src/topology/sources/kafka-client.ts';

const require = createRequire(import.meta.url);
const nothing = (): void => undefined;
kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, { debug: nothing, info: nothing, warn: nothing, error: nothing });

type Decode = (decoder: object) => Promise<{ offset: string }[]>;
const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js') as Decode;
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => object;

const zigzag = (value: number): number[] => {
  const bytes: number[] = [];
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | 128);
  return [...bytes, rest];
};

/** A record batch of empty records, as it lies in a log. */
const recordBatch = (baseOffset: number, offsetDeltas: Iterable<number>, lastOffsetDelta: number): Buffer => {
  const records: Buffer[] = [];
  for (const delta of offsetDeltas) {
    const body = [0, 0, ...zigzag(delta), 1, 1, 0];
    records.push(Buffer.from([...zigzag(body.length), ...body]));
  }
  const header = Buffer.alloc(61);
  const body = Buffer.concat(records);
  header.writeBigInt64BE(BigInt(baseOffset), 0);
  header.writeInt32BE(49 + body.length, 8);
  header.writeInt8(2, 16);
  header.writeInt32BE(lastOffsetDelta, 23);
  header.writeInt32BE(records.length, 57);
  return Buffer.concat([header, body]);
};

const fetched = (...batches: Buffer[]): object => {
  const bytes = Buffer.concat(batches);
  const size = Buffer.alloc(4);
  size.writeInt32BE(bytes.length);
  return new Decoder(Buffer.concat([size, bytes]));
};

test('more records in one batch than a call has arguments are decoded', async () => {
  const messages = await decodeMessages(fetched(recordBatch(7, Array(300_000).keys(), 299_999)));
  expect([messages.length, messages[0].offset, messages.at(-1)?.offset]).toEqual([300_000, '7', '300006']);
});

test('a batch that maxBytes has cut is left for the next fetch', async () => {
  const messages = await decodeMessages(fetched(recordBatch(0, [0, 1], 1), recordBatch(2, [0, 1], 1).subarray(0, 66)));
  expect(messages.map(({ offset }) => offset)).toEqual(['0', '1']);
});

interface Fetching {
  fetch(request: object): Promise<{ responses: { partitions: object[] }[] }>;
}

/** Runs a group's fetch over a broker that answers with these batches, and returns what its observer is told. */
const observedFetch = async (...batches: Buffer[]) => {
  const { observed } = await import('../../../src/topology/sources/kafkajs-internals.ts');
  const told: object[] = [];
  const observer = {
    rejoining: () => undefined,
    joined: () => undefined,
    wanted: async () => true,
    nowMs: () => 0,
    fetched: async (partitions: object[]) => void told.push(...partitions),
    outOfRange: () => undefined,
  };
  const logger = { namespace: () => logger, debug: () => undefined };
  const assigner = observed(observer, PartitionAssigners.roundRobin)({ groupId: 'g' } as never);
  const BrokerOf = require('kafkajs/src/broker/index.js') as { prototype: Fetching };
  const ConsumerGroupOf = require('kafkajs/src/consumer/consumerGroup.js') as new (options: object) => Record<string, unknown>;
  const broker = {
    lookupRequest: () => () => null,
    [sendRequestOf(BrokerOf.prototype)]: async () => ({
      responses: [
        {
          topicName: 't',
          partitions: [{ partition: 0, highWatermark: '99', lastStableOffset: '50', messages: await decodeMessages(fetched(...batches)) }],
        },
      ],
    }),
  };
  const group = new ConsumerGroupOf({ logger, assigners: [assigner], cluster: clusterOf(() => BrokerOf.prototype.fetch.bind(broker)) });
  const offsetManager = { committedOffsets: () => ({ t: { 0: '0' } }), nextOffset: () => 10, resolveOffsets: async () => undefined };
  Object.assign(group, { offsetManager });
  (group['subscriptionState'] as { assign(topics: object[]): void }).assign([{ topic: 't', partitions: [0] }]);
  await (group['fetch'] as (nodeId: string) => Promise<unknown>).call(group, '1');
  return told;
};

const sendRequestOf = (prototype: object): symbol => {
  const symbol = Object.getOwnPropertySymbols(prototype).find(({ description }) => description?.includes('sendRequest'));
  if (!symbol) throw new Error('kafkajs has changed');
  return symbol;
};

const clusterOf = (fetch: () => unknown): object => ({
  refreshMetadataIfNecessary: async () => undefined,
  findTopicPartitionMetadata: () => [{ partitionId: 0, leader: 1 }],
  findBroker: async () => ({ fetch: fetch() }),
});

test('the position passes records that compaction removed, at the end of a batch and as a whole batch', async () => {
  expect(await observedFetch(recordBatch(10, [0, 2], 9))).toMatchObject([{ fetchOffset: 10, nextOffset: 20, lastStableOffset: 50 }]);
  expect(await observedFetch(recordBatch(10, [], 4))).toMatchObject([{ fetchOffset: 10, nextOffset: 15, records: { offsets: [] } }]);
});

test('a fetch that brought nothing stays where it was', async () => {
  expect(await observedFetch()).toMatchObject([{ fetchOffset: 10, nextOffset: 10, records: { offsets: [] }, lastStableOffset: 50 }]);
});

/** The same batch, its records compressed with gzip. */
const gzipped = (batch: Buffer): Buffer => {
  const packed = Buffer.concat([batch.subarray(0, 61), gzipSync(batch.subarray(61))]);
  packed.writeInt32BE(packed.length - 12, 8);
  packed.writeInt16BE(packed.readInt16BE(21) | 1, 21);
  return packed;
};

const withCodec = (batch: Buffer, codec: number): Buffer => {
  batch.writeInt16BE(codec, 21);
  return batch;
};

test.each([
  ['an unknown compression', () => withCodec(recordBatch(12, [0], 0), 7)],
  ['bytes that do not decompress', () => withCodec(recordBatch(12, [0], 0), 1)],
  ['records cut short', () => Buffer.concat([recordBatch(12, [0, 1], 1).subarray(0, 66)]).fill(5, 11, 12)],
  ['a length that cannot be', () => Buffer.concat([recordBatch(12, [0], 0)]).fill(0xff, 8, 12)],
])('a batch with %s is told with its offset, after what could be read before it', async (_name, batch) => {
  const good = recordBatch(10, [0, 1], 1);
  expect(await observedFetch(good, batch(), recordBatch(13, [0], 0))).toMatchObject([
    { fetchOffset: 10, nextOffset: 12, records: { offsets: [10, 11] }, fault: { offset: 12 } },
  ]);
  expect(await observedFetch(batch())).toMatchObject([{ fetchOffset: 10, nextOffset: 10, fault: { offset: 12 } }]);
});

test('bytes are counted as decompressed, and a fetch that unpacks to much leaves the rest for the next', async () => {
  const plain = recordBatch(10, Array(1_000_000).keys(), 999_999);
  const packed = gzipped(plain);
  expect(packed.length).toBeLessThan(plain.length / 3);
  expect(await observedFetch(packed, gzipped(recordBatch(1_000_010, [0], 0)))).toMatchObject([
    { nextOffset: 1_000_010, byteLength: plain.length, fault: null },
  ]);
  expect(plain.length).toBeGreaterThan(8 << 20);
});

test('a request queue with nothing to send sets no timer; one that waits for a throttle does (#1556)', () => {
  const { prototype } = require('kafkajs/src/network/requestQueue/index.js') as {
    prototype: { scheduleCheckPendingRequests(): void };
  };
  const queue = { pending: [] as object[], throttledUntil: -1, throttleCheckTimeoutId: null as NodeJS.Timeout | null };
  prototype.scheduleCheckPendingRequests.call(queue);
  expect(queue.throttleCheckTimeoutId).toBeNull();
  queue.pending.push({});
  prototype.scheduleCheckPendingRequests.call(queue);
  expect(queue.throttleCheckTimeoutId).not.toBeNull();
  if (queue.throttleCheckTimeoutId) clearTimeout(queue.throttleCheckTimeoutId);
});
