import { createRequire } from 'node:module';
import { PartitionAssigners } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { DecoderMemory } from '../../../src/operators/decoder-memory.ts';
import { ColumnBatch } from '../../../src/topology/sources/column-batch.ts';
import { kafkaClient } from '../../../src/topology/sources/kafka-client.ts';
import type { FetchedPartition } from '../../../src/topology/sources/kafkajs-internals.ts';
import type { RecordColumns } from '../../../src/topology/sources/record-columns.ts';
import { recordsOf } from '../../conformance/source.ts';
import { encodeBatch, encodePlainBatch, type GivenRecord, sealed } from '../../kafka/record-batch.ts';

const require = createRequire(import.meta.url);
const nothing = (): void => undefined;
kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, { debug: nothing, info: nothing, warn: nothing, error: nothing });

type Decode = (decoder: object) => Promise<object[]>;
const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js') as Decode;
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => object;

const DECODERS = ['in_place', 'kafkajs'] as const;
type DecoderName = (typeof DECODERS)[number];

/** A record batch of small records, as it lies in a log. */
const recordBatch = (baseOffset: number, offsetDeltas: Iterable<number>, lastOffsetDelta: number): Buffer =>
  encodePlainBatch(
    Array.from(offsetDeltas, (offsetDelta) => ({ key: null, value: null, offsetDelta, timeDeltaMs: 0, headers: [] })),
    { baseOffset, lastOffsetDelta, baseTimeMs: 5 },
  );

const fetched = (...batches: Buffer[]): object => {
  const bytes = Buffer.concat(batches);
  const size = Buffer.alloc(4);
  size.writeInt32BE(bytes.length);
  return new Decoder(Buffer.concat([size, bytes]));
};

interface Fetching {
  fetch(request: object): Promise<{ responses: { partitions: object[] }[] }>;
}

interface Seen {
  fetchOffset: number;
  nextOffset: number;
  lastStableOffset: number;
  byteLength: number;
  fault: object | null;
  offsets: number[];
}

/** Runs a group's fetch over a broker that answers with these batches, and returns what its observer is told. */
const observedFetch = async (
  decoder: DecoderName,
  batches: Buffer[],
  aborted: object[] = [],
  pool: object[] = [{}, {}],
): Promise<Seen[]> => {
  const { observed } = await import('../../../src/topology/sources/kafkajs-internals.ts');
  const told: FetchedPartition[] = [];
  const observer = {
    decoder,
    rejoining: () => undefined,
    joined: () => undefined,
    wanted: async () => true,
    nowMs: () => 0,
    fetched: async (partitions: FetchedPartition[]) => void told.push(...partitions),
    outOfRange: () => undefined,
  };
  const logger = { namespace: () => logger, debug: () => undefined };
  const assigner = observed(observer, PartitionAssigners.roundRobin)({ groupId: 'g' } as never);
  const BrokerOf = require('kafkajs/src/broker/index.js') as { prototype: Fetching };
  const ConsumerGroupOf = require('kafkajs/src/consumer/consumerGroup.js') as new (options: object) => Record<string, unknown>;
  const broker = {
    connectionPool: { pool },
    lookupRequest: () => () => null,
    [sendRequestOf(BrokerOf.prototype)]: async () => ({
      responses: [
        {
          topicName: 't',
          partitions: [
            {
              partition: 0,
              highWatermark: '99',
              lastStableOffset: '50',
              abortedTransactions: aborted,
              messages: await decodeMessages(fetched(...batches)),
            },
          ],
        },
      ],
    }),
  };
  const fetch = (request: object): unknown => BrokerOf.prototype.fetch.call(broker, request);
  const group = new ConsumerGroupOf({ logger, assigners: [assigner], cluster: clusterOf(Object.assign(broker, { fetch })) });
  const offsetManager = { committedOffsets: () => ({ t: { 0: '0' } }), nextOffset: () => 10, resolveOffsets: async () => undefined };
  Object.assign(group, { offsetManager });
  (group['subscriptionState'] as { assign(topics: object[]): void }).assign([{ topic: 't', partitions: [0] }]);
  await (group['fetch'] as (nodeId: string) => Promise<unknown>).call(group, '1');
  return told.map(({ records, ...rest }) => ({ ...rest, offsets: offsetsOf(records) }));
};

const offsetsOf = (records: RecordColumns): number[] => {
  const batch = new ColumnBatch({ topic: 't', partition: 0, nextOffset: 0, endOffset: 0, byteLength: 0 }, records);
  return recordsOf(batch).map(({ offset }) => offset);
};

const sendRequestOf = (prototype: object): symbol => {
  const symbol = Object.getOwnPropertySymbols(prototype).find(({ description }) => description?.includes('sendRequest'));
  if (!symbol) throw new Error('kafkajs has changed');
  return symbol;
};

const clusterOf = (broker: object): object => ({
  refreshMetadataIfNecessary: async () => undefined,
  findTopicPartitionMetadata: () => [{ partitionId: 0, leader: 1 }],
  findBroker: async () => broker,
});

const withCodec = (batch: Buffer, codec: number): Buffer => {
  batch.writeInt16BE(codec, 21);
  return sealed(batch);
};

const flipped = (batch: Buffer, at: number): Buffer => {
  batch[at] ^= 4;
  return batch;
};

describe.each(DECODERS)('records %s', (decoder) => {
  const fetchOf = (...batches: Buffer[]): Promise<Seen[]> => observedFetch(decoder, batches);

  test('the position passes records that compaction removed, at the end of a batch and as a whole batch', async () => {
    expect(await fetchOf(recordBatch(10, [0, 2], 9))).toMatchObject([
      { fetchOffset: 10, nextOffset: 20, lastStableOffset: 50, offsets: [10, 12] },
    ]);
    expect(await fetchOf(recordBatch(10, [], 4))).toMatchObject([{ fetchOffset: 10, nextOffset: 15, offsets: [] }]);
  });

  test('a fetch that brought nothing stays where it was', async () => {
    expect(await fetchOf()).toMatchObject([{ fetchOffset: 10, nextOffset: 10, offsets: [], lastStableOffset: 50 }]);
  });

  test('what a batch holds from before the offset asked for is left out', async () => {
    expect(await fetchOf(recordBatch(7, [0, 2, 3, 4], 4))).toMatchObject([{ nextOffset: 12, offsets: [10, 11] }]);
  });

  test('more records in one batch than a call has arguments are read', async () => {
    const [{ offsets }] = await fetchOf(recordBatch(10, Array(300_000).keys(), 299_999));
    expect([offsets.length, offsets[0], offsets.at(-1)]).toEqual([300_000, 10, 300_009]);
  });

  test('a batch that maxBytes has cut is left for the next fetch', async () => {
    for (const cutTo of [5, 16, 17, 60, 61, 66]) {
      expect(await fetchOf(recordBatch(10, [0, 1], 1), recordBatch(12, [0, 1], 1).subarray(0, cutTo))).toMatchObject([
        { nextOffset: 12, offsets: [10, 11], fault: null },
      ]);
    }
  });

  test('a batch with an offset that the one before it has is told, and nothing is read twice', async () => {
    expect(await fetchOf(recordBatch(10, [0, 1], 1), recordBatch(11, [0, 1], 1))).toMatchObject([
      { nextOffset: 12, offsets: [10, 11], fault: { offset: 11, code: 'batch_unreadable' } },
    ]);
  });

  test('a first batch that is longer than what was fetched would be fetched like that for ever, and is told', async () => {
    for (const cutTo of [8, 16, 17, 60, 61, 66]) {
      const fault = { offset: 10, code: 'batch_unreadable' };
      expect(await fetchOf(recordBatch(10, [0, 1], 1).subarray(0, cutTo))).toMatchObject([{ nextOffset: 10, offsets: [], fault }]);
    }
    expect(await fetchOf(recordBatch(10, [0], 0).subarray(0, 5))).toMatchObject([{ nextOffset: 10, fault: { code: 'batch_unreadable' } }]);
  });

  test('the end of a transaction that cannot be read is told as any batch is, after what came before it', async () => {
    const key = Buffer.from([0, 0, 0, 0]);
    const end = encodePlainBatch([{ key, value: null, offsetDelta: 0, timeDeltaMs: 0, headers: [] }], {
      baseOffset: 12,
      producerId: 1,
      baseTimeMs: 5,
      isControl: true,
    });
    end[65] = 0x7e; // A key of 63 bytes, it says.
    expect(await fetchOf(recordBatch(10, [0, 1], 1), sealed(end), recordBatch(13, [0], 0))).toMatchObject([
      { nextOffset: 12, offsets: [10, 11], fault: { offset: 12, code: 'batch_unreadable' } },
    ]);
  });

  test('of transactions that were aborted nothing is seen, nor of what ends transactions; the broker lists them in any order', async () => {
    const of = (baseOffset: number, producerId: number): Buffer =>
      encodePlainBatch(recordsWith(2), { baseOffset, producerId, baseTimeMs: 5 });
    const end = (baseOffset: number, producerId: number, type: number): Buffer =>
      encodePlainBatch([{ key: Buffer.from([0, 0, 0, type]), value: null, offsetDelta: 0, timeDeltaMs: 0, headers: [] }], {
        baseOffset,
        producerId,
        baseTimeMs: 5,
        isControl: true,
      });
    const log = [
      of(10, 1),
      of(12, 2),
      recordBatch(14, [0], 0),
      end(15, 1, 0),
      of(16, 1),
      end(18, 2, 0),
      end(19, 1, 1),
      of(20, 2),
      end(22, 2, 1),
    ];
    const aborted = [
      { producerId: '2', firstOffset: '12' },
      { producerId: '1', firstOffset: '4' },
    ];
    expect(await observedFetch(decoder, log, aborted)).toMatchObject([{ nextOffset: 23, offsets: [14, 16, 17, 20, 21] }]);
  });

  test.each([
    ['an unknown compression', () => withCodec(recordBatch(12, [0], 0), 7)],
    ['bytes that do not decompress', () => withCodec(recordBatch(12, [0], 0), 1)],
    ['records cut short', () => sealed(Buffer.concat([recordBatch(12, [0, 1], 1).subarray(0, 66)]).fill(5, 11, 12))],
    ['fewer records than it says', () => encodePlainBatch(recordsWith(2), { baseOffset: 12, baseTimeMs: 5, count: 3 })],
    ['a last record before its first', () => recordBatch(12, [], -2)],
    ['fewer than no records', () => encodePlainBatch([], { baseOffset: 12, baseTimeMs: 5, count: -1 })],
    ['more records than offsets', () => encodePlainBatch(recordsWith(3), { baseOffset: 12, baseTimeMs: 5, lastOffsetDelta: 1 })],
    ['more records than memory should hold', () => encodePlainBatch([], { baseOffset: 12, baseTimeMs: 5, ...tooMany })],
    ['records out of order', () => recordBatch(12, [1, 0], 1)],
    ['two records at one offset', () => recordBatch(12, [1, 1], 2)],
    ['a record before its first offset', () => recordBatch(12, [-1], 0)],
    ['a record beyond its last offset', () => recordBatch(12, [0, 3], 2)],
    ['a length that cannot be', () => recordBatch(12, [0], 0).fill(0xff, 8, 12)],
    ['a flipped bit in its records', () => flipped(recordBatch(12, [0, 1], 1), 64)],
    ['a flipped bit in its header', () => flipped(recordBatch(12, [0, 1], 1), 30)],
  ])('a batch with %s is told with its offset, after what could be read before it', async (_name, batch) => {
    const good = recordBatch(10, [0, 1], 1);
    const fault = { offset: 12, code: 'batch_unreadable' };
    expect(await fetchOf(good, batch(), recordBatch(13, [0], 0))).toMatchObject([
      { fetchOffset: 10, nextOffset: 12, offsets: [10, 11], fault },
    ]);
    expect(await fetchOf(batch())).toMatchObject([{ fetchOffset: 10, nextOffset: 10, fault }]);
  });

  test.each([0, 1])('a batch of message format %i is refused by name', async (magic) => {
    const old = recordBatch(10, [0], 0);
    old[16] = magic;
    expect(await fetchOf(old.subarray(0, 40).fill(28, 11, 12))).toMatchObject([
      { nextOffset: 10, fault: { offset: 10, code: 'batch_old_format' } },
    ]);
  });

  test('bytes are counted as decompressed, and a fetch that unpacks to much leaves the rest for the next', async () => {
    const large = recordsWith(9).map((record) => ({ ...record, value: Buffer.alloc(1_000_000, 'x') }));
    const plain = encodePlainBatch(large, { baseOffset: 10, baseTimeMs: 5 });
    const packed = await encodeBatch(large, { baseOffset: 10, baseTimeMs: 5, codec: 1 });
    expect(packed.length).toBeLessThan(plain.length / 3);
    expect(await fetchOf(packed, recordBatch(19, [0], 0))).toMatchObject([{ nextOffset: 19, byteLength: plain.length, fault: null }]);
    expect(plain.length).toBeGreaterThan(2 << 20);
  });

  test('a set of many small batches is unpacked up to the one with which it is enough', async () => {
    const batches = Array.from({ length: 5 }, async (_, i) => {
      const records = recordsWith(1).map((record) => ({ ...record, value: Buffer.alloc(900_000, 'x') }));
      return encodeBatch(records, { baseOffset: 10 + i, baseTimeMs: 5, codec: 2 });
    });
    expect(await fetchOf(...(await Promise.all(batches)))).toMatchObject([{ nextOffset: 13, offsets: [10, 11, 12], fault: null }]);
  });
});

test('of what a broker answers, only what an observer fetches comes in memory that compiled code sees, for only that is let go', async () => {
  const { prototype } = require('kafkajs/src/network/connection.js') as { prototype: { processData(bytes: Buffer): void } };
  const isSeen: boolean[] = [];
  const requestQueue = { fulfillRequest: ({ payload }: { payload: Buffer }) => isSeen.push(DecoderMemory.of(payload.buffer) !== null) };
  const connections = [0, 1].map(() => ({ socket: {}, authHandlers: null, bytesBuffered: 0, requestQueue }));
  const response = Buffer.alloc(4 + 300_000);
  response.writeInt32BE(300_000);
  const answerEach = (): void => {
    for (const connection of connections) prototype.processData.call(connection, response);
  };
  answerEach();
  await observedFetch('in_place', [], [], connections);
  answerEach();
  expect(isSeen).toEqual([false, false, false, DecoderMemory.make(1) !== null]);
});

const tooMany = { lastOffsetDelta: 3 << 20, count: 3 << 20 };

const recordsWith = (count: number): GivenRecord[] =>
  Array.from({ length: count }, (_, offsetDelta) => ({ key: null, value: null, offsetDelta, timeDeltaMs: 0, headers: [] }));

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
