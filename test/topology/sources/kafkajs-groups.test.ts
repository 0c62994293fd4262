import { createRequire } from 'node:module';
import { PartitionAssigners } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { DecoderMemory } from '../../../src/operators/decoder-memory.ts';
import { ColumnBatch } from '../../../src/topology/sources/column-batch.ts';
import { kafkaClient } from '../../../src/topology/sources/kafka-client.ts';
import type { Wanted } from '../../../src/topology/sources/kafkajs-fetching.ts';
import { type FetchedPartition, type GroupObserver, observed } from '../../../src/topology/sources/kafkajs-groups.ts';
import type { RecordColumns } from '../../../src/topology/sources/record-columns.ts';
import { recordsOf } from '../../conformance/source.ts';
import { encodeFetchResponse, type GivenAnswer } from '../../kafka/fetch-response.ts';
import { encodeBatch, encodePlainBatch, type GivenRecord, sealed } from '../../kafka/record-batch.ts';

const require = createRequire(import.meta.url);
const nothing = (): void => undefined;
kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, { debug: nothing, info: nothing, warn: nothing, error: nothing });

const DECODERS = ['in_place', 'kafkajs'] as const;
type DecoderName = (typeof DECODERS)[number];

/** A record batch of small records, as it lies in a log. */
const recordBatch = (baseOffset: number, offsetDeltas: Iterable<number>, lastOffsetDelta: number): Buffer =>
  encodePlainBatch(
    Array.from(offsetDeltas, (offsetDelta) => ({ key: null, value: null, offsetDelta, timeDeltaMs: 0, headers: [] })),
    { baseOffset, lastOffsetDelta, baseTimeMs: 5 },
  );

interface Seen {
  fetchOffset: number;
  nextOffset: number;
  lastStableOffset: number;
  byteLength: number;
  fault: object | null;
  offsets: number[];
}

interface Group {
  readonly subscriptionState: { assign(topics: object[]): void };
  readonly preferredReadReplicasPerTopicPartition: object;
  readonly cluster: { brokerPool: { metadata: object } };
  fetch(nodeId: string): Promise<unknown>;
  recoverFromOffsetOutOfRange(place: { topic: string; partition: number }): Promise<void>;
}

const ConsumerGroupOf = require('kafkajs/src/consumer/consumerGroup.js') as new (options: object) => Group;

interface Entry {
  resolve(answer: { payload: Buffer }): void;
  reject(error: Error): void;
}

interface GroupStory {
  decoder?: DecoderName;
  /** What the broker answers, one fetch after the other: to the last there is none. */
  answers: Buffer[];
  /** Of fetches; null where the broker does not say that it knows any. */
  maxVersion?: number | null;
  leader?: number;
  /** Nobody reaches it. */
  isAway?: boolean;
  /** Of what a fetch brought. */
  tookMs?: number;
  /** By the broker, before it answers. */
  heldMs?: number;
  wanted?(led: ReadonlySet<string>, group: Group): Wanted[];
  fetched?(group: Group): void;
  /** The connection is this one. */
  over?: object;
}

/** Runs a group's fetch over a broker with these answers to t/0 from offset 10 on. */
const fetchOf = async (story: GroupStory) => {
  const told: FetchedPartition[] = [];
  const log: unknown[] = [];
  const sentMs: number[] = [];
  const time = { nowMs: 0 };
  const connection = connectionOf(story, log, time);
  const observer: GroupObserver = {
    decoder: story.decoder ?? 'in_place',
    rejoining: nothing,
    joined: nothing,
    wanted: async (led) => (story.wanted ?? (() => [{ topic: 't', partition: 0, offset: 10 }]))(led, group),
    now: () => ({ monotonicMs: time.nowMs, wallMs: 1_000_000 + time.nowMs }),
    fetched: async (partitions, sent) => {
      time.nowMs += story.tookMs ?? 1000;
      sentMs.push(sent);
      told.push(...partitions);
      story.fetched?.(group);
    },
    outOfRange: (topic, partition) => void log.push(`${topic}/${partition} is out of range`),
  };
  const logger = { namespace: () => logger, debug: nothing };
  const assigner = observed(observer, PartitionAssigners.roundRobin)({ groupId: 'g' } as never);
  const broker = {
    versions: story.maxVersion === null ? {} : { 1: { maxVersion: story.maxVersion ?? 17 } },
    connectionPool: { getConnection: async (number: number) => (number === 1 ? connection : null) },
    disconnect: async () => void log.push('disconnected'),
  };
  const cluster = {
    brokerPool: { metadata: {} },
    refreshMetadataIfNecessary: async () => void log.push('metadata'),
    findTopicPartitionMetadata: () => [{ partitionId: 0, leader: story.leader ?? 1 }],
    findBroker: async () => {
      if (story.isAway) throw new Error('Connection timeout');
      return broker;
    },
    removeBroker: () => void log.push('removed'),
  };
  const options = { logger, assigners: [assigner], cluster, topics: ['t'], metadataMaxAge: 7000, maxWaitTimeInMs: 250, rackId: '' };
  const group = new ConsumerGroupOf(options);
  group.subscriptionState.assign([{ topic: 't', partitions: [0] }]);
  const outcome = await group.fetch('1').catch((error: unknown) => error);
  return { told, sentMs, log, outcome, group };
};

/** It answers what the story says, then that it is closed. */
const connectionOf = ({ answers, heldMs = 0, over = {} }: GroupStory, log: unknown[], time: { nowMs: number }) => {
  const left = [...answers];
  let isOpen = true;
  return Object.assign(over, {
    clientId: 'c',
    socket: { write: (bytes: Buffer) => void log.push(`fetch, version ${bytes.readInt16BE(6)}`) },
    authHandlers: null,
    bytesBuffered: 0,
    requestQueue: {
      push: ({ entry, sendRequest }: { entry: Entry; sendRequest(): void }) => {
        sendRequest();
        time.nowMs += heldMs;
        const payload = left.shift();
        if (payload) return entry.resolve({ payload });
        isOpen = false;
        entry.reject(Object.assign(new Error('Closed connection'), { name: 'KafkaJSConnectionClosedError' }));
      },
      maybeThrottle: nothing,
    },
    isConnected: () => isOpen,
    authenticate: async () => void log.push('authenticated'),
    nextCorrelationId: () => 0,
  });
};

const answerOf = (answer: Partial<GivenAnswer>): Buffer =>
  encodeFetchResponse(11, [{ topic: 't', partitions: [{ partition: 0, ...answer }] }]);

/** What an observer is told of these batches. */
const observedFetch = async (decoder: DecoderName, batches: Buffer[], aborted: GivenAnswer['aborted'] = []): Promise<Seen[]> => {
  const { told } = await fetchOf({ decoder, answers: [answerOf({ bytes: Buffer.concat(batches), aborted: aborted ?? [] })] });
  return told.map(({ records, ...rest }) => ({ ...rest, offsets: offsetsOf(records) }));
};

const offsetsOf = (records: RecordColumns): number[] => {
  const batch = new ColumnBatch({ topic: 't', partition: 0, nextOffset: 0, endOffset: 0, byteLength: 0 }, records);
  return recordsOf(batch).map(({ offset }) => offset);
};

const withCodec = (batch: Buffer, codec: number): Buffer => {
  batch.writeInt16BE(codec, 21);
  return sealed(batch);
};

const flipped = (batch: Buffer, at: number): Buffer => {
  batch[at] ^= 4;
  return batch;
};

describe.each(DECODERS)('records %s', (decoder) => {
  const seenOf = (...batches: Buffer[]): Promise<Seen[]> => observedFetch(decoder, batches);

  test('the position passes records that compaction removed, at the end of a batch and as a whole batch', async () => {
    expect(await seenOf(recordBatch(10, [0, 2], 9))).toMatchObject([
      { fetchOffset: 10, nextOffset: 20, lastStableOffset: 50, offsets: [10, 12] },
    ]);
    expect(await seenOf(recordBatch(10, [], 4))).toMatchObject([{ fetchOffset: 10, nextOffset: 15, offsets: [] }]);
  });

  test('a fetch that brought nothing stays where it was', async () => {
    expect(await seenOf()).toMatchObject([{ fetchOffset: 10, nextOffset: 10, offsets: [], lastStableOffset: 50 }]);
  });

  test('what a batch holds from before the offset asked for is left out', async () => {
    expect(await seenOf(recordBatch(7, [0, 2, 3, 4], 4))).toMatchObject([{ nextOffset: 12, offsets: [10, 11] }]);
  });

  test('more records in one batch than a call has arguments are read', async () => {
    const [{ offsets }] = await seenOf(recordBatch(10, Array(300_000).keys(), 299_999));
    expect([offsets.length, offsets[0], offsets.at(-1)]).toEqual([300_000, 10, 300_009]);
  });

  test('a batch that maxBytes has cut is left for the next fetch', async () => {
    for (const cutTo of [5, 16, 17, 60, 61, 66]) {
      expect(await seenOf(recordBatch(10, [0, 1], 1), recordBatch(12, [0, 1], 1).subarray(0, cutTo))).toMatchObject([
        { nextOffset: 12, offsets: [10, 11], fault: null },
      ]);
    }
  });

  test('a batch with an offset that the one before it has is told, and nothing is read twice', async () => {
    expect(await seenOf(recordBatch(10, [0, 1], 1), recordBatch(11, [0, 1], 1))).toMatchObject([
      { nextOffset: 12, offsets: [10, 11], fault: { offset: 11, code: 'batch_unreadable' } },
    ]);
  });

  test('a first batch that is longer than what was fetched would be fetched like that for ever, and is told', async () => {
    for (const cutTo of [8, 16, 17, 60, 61, 66]) {
      const fault = { offset: 10, code: 'batch_unreadable' };
      expect(await seenOf(recordBatch(10, [0, 1], 1).subarray(0, cutTo))).toMatchObject([{ nextOffset: 10, offsets: [], fault }]);
    }
    expect(await seenOf(recordBatch(10, [0], 0).subarray(0, 5))).toMatchObject([{ nextOffset: 10, fault: { code: 'batch_unreadable' } }]);
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
    expect(await seenOf(recordBatch(10, [0, 1], 1), sealed(end), recordBatch(13, [0], 0))).toMatchObject([
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
    expect(await seenOf(good, batch(), recordBatch(13, [0], 0))).toMatchObject([
      { fetchOffset: 10, nextOffset: 12, offsets: [10, 11], fault },
    ]);
    expect(await seenOf(batch())).toMatchObject([{ fetchOffset: 10, nextOffset: 10, fault }]);
  });

  test.each([0, 1])('a batch of message format %i is refused by name', async (magic) => {
    const old = recordBatch(10, [0], 0);
    old[16] = magic;
    expect(await seenOf(old.subarray(0, 40).fill(28, 11, 12))).toMatchObject([
      { nextOffset: 10, fault: { offset: 10, code: 'batch_old_format' } },
    ]);
  });

  test('bytes are counted as decompressed, and a fetch that unpacks to much leaves the rest for the next', async () => {
    const large = recordsWith(9).map((record) => ({ ...record, value: Buffer.alloc(1_000_000, 'x') }));
    const plain = encodePlainBatch(large, { baseOffset: 10, baseTimeMs: 5 });
    const packed = await encodeBatch(large, { baseOffset: 10, baseTimeMs: 5, codec: 1 });
    expect(packed.length).toBeLessThan(plain.length / 3);
    expect(await seenOf(packed, recordBatch(19, [0], 0))).toMatchObject([{ nextOffset: 19, byteLength: plain.length, fault: null }]);
    expect(plain.length).toBeGreaterThan(2 << 20);
  });

  test('a set of many small batches is unpacked up to the one with which it is enough', async () => {
    const batches = Array.from({ length: 5 }, async (_, i) => {
      const records = recordsWith(1).map((record) => ({ ...record, value: Buffer.alloc(900_000, 'x') }));
      return encodeBatch(records, { baseOffset: 10 + i, baseTimeMs: 5, codec: 2 });
    });
    expect(await seenOf(...(await Promise.all(batches)))).toMatchObject([{ nextOffset: 13, offsets: [10, 11, 12], fault: null }]);
  });
});

test('of what a broker answers, only what an observer fetches comes in memory that compiled code sees, for only that is let go', async () => {
  const { prototype } = require('kafkajs/src/network/connection.js') as { prototype: { processData(bytes: Buffer): void } };
  const isSeen: boolean[] = [];
  const requestQueue = { fulfillRequest: ({ payload }: { payload: Buffer }) => isSeen.push(DecoderMemory.of(payload.buffer) !== null) };
  const response = Buffer.alloc(4 + 300_000);
  response.writeInt32BE(300_000);
  const connections = [{}, {}].map((socket) => ({ socket, authHandlers: null, bytesBuffered: 0, requestQueue }));
  const answerEach = (): void => {
    for (const connection of connections) prototype.processData.call(connection, response);
  };
  answerEach();
  await fetchOf({ answers: [answerOf({})], over: connections[1] });
  Object.assign(connections[1], { requestQueue });
  answerEach();
  expect(isSeen).toEqual([false, false, false, DecoderMemory.make(1) !== null]);
});

describe('a group with an observer', () => {
  const nothingNew = answerOf({});

  test('fetches again and again, and only after a while goes back to who heartbeats and looks at the metadata', async () => {
    const { log, told, outcome } = await fetchOf({ answers: Array<Buffer>(9).fill(nothingNew), tookMs: 30 });
    expect(log).toEqual(['metadata', 'authenticated', ...Array<string>(4).fill('fetch, version 11')]);
    expect([told.length, outcome]).toEqual([4, []]);
  });

  test('asks nothing where nothing is wanted', async () => {
    const { log, outcome } = await fetchOf({ answers: [], wanted: () => [] });
    expect([log, outcome]).toEqual([['metadata', 'authenticated'], []]);
  });

  test('asks a broker only for what it leads', async () => {
    const asked: ReadonlySet<string>[] = [];
    const wanted = (led: ReadonlySet<string>): Wanted[] => {
      asked.push(led);
      return [];
    };
    await fetchOf({ answers: [], wanted });
    await fetchOf({ answers: [], wanted, leader: 2 });
    expect(asked).toEqual([new Set(['t/0']), new Set()]);
  });

  test('leaves a broker alone that leads nothing of what is assigned: nobody may reach it', async () => {
    expect(await fetchOf({ answers: [], leader: 2, isAway: true })).toMatchObject({ log: ['metadata'], outcome: [] });
    expect(await fetchOf({ answers: [], leader: 1, isAway: true })).toMatchObject({ outcome: { message: 'Connection timeout' } });
  });

  describe.each<[string, (group: Group) => void]>([
    ['others may lead than when it was looked', ({ cluster }) => Object.assign(cluster.brokerPool, { metadata: {} })],
    ['there was a join', (group) => Object.assign(group, { offsetManager: {} })],
  ])('where %s', (_name, change) => {
    test('asks nothing any more of what was wanted', async () => {
      const wanted = (_led: ReadonlySet<string>, group: Group): Wanted[] => {
        change(group);
        return [{ topic: 't', partition: 0, offset: 10 }];
      };
      expect(await fetchOf({ answers: [nothingNew], wanted })).toMatchObject({ log: ['metadata', 'authenticated'], outcome: [] });
    });

    test('does not wait for more of what is wanted', async () => {
      let waits = 0;
      const wanted = (): Wanted[] => [{ topic: 't', partition: 0, offset: 10 + waits++ }];
      const { told } = await fetchOf({ answers: [nothingNew, nothingNew], tookMs: 0, wanted, fetched: change });
      expect([told.length, waits]).toEqual([1, 1]);
    });
  });

  test('fails as kafkajs does at a broker that knows no fetches', async () => {
    const { outcome } = await fetchOf({ answers: [], maxVersion: null });
    expect(outcome).toMatchObject({ name: 'KafkaJSServerDoesNotSupportApiKey' });
  });

  test('asks an older broker in the version that it knows', async () => {
    const answer = encodeFetchResponse(4, [{ topic: 't', partitions: [{ partition: 0, bytes: recordBatch(10, [0, 1], 1) }] }]);
    const { log, told } = await fetchOf({ answers: [answer], maxVersion: 4 });
    expect(log).toContain('fetch, version 4');
    expect(told.map(({ nextOffset, records }) => [nextOffset, records.size])).toEqual([[12, 2]]);
  });

  test('leaves a connection that was lost to kafkajs, which makes another', async () => {
    const { log, told, outcome } = await fetchOf({ answers: [nothingNew], tookMs: 0 });
    expect(log).toEqual(['metadata', 'authenticated', 'fetch, version 11', 'fetch, version 11', 'disconnected', 'removed']);
    expect([told.length, outcome]).toEqual([1, []]);
  });

  test('tells of an offset that is out of range, and fails with what only kafkajs knows an answer to', async () => {
    expect(await fetchOf({ answers: [answerOf({ errorCode: 1 })] })).toMatchObject({
      told: [],
      outcome: [],
      log: expect.arrayContaining(['t/0 is out of range']),
    });
    const { log, outcome } = await fetchOf({ answers: [answerOf({ errorCode: 29 })] });
    expect(outcome).toMatchObject({ type: 'TOPIC_AUTHORIZATION_FAILED' });
    expect(log).toEqual(['metadata', 'authenticated', 'fetch, version 11']); // And the connection stays.
  });

  const bothElsewhere = encodeFetchResponse(11, [
    {
      topic: 't',
      partitions: [
        { partition: 0, preferredReadReplica: 3 },
        { partition: 1, preferredReadReplica: 4 },
      ],
    },
  ]);

  test('notes of each partition which replica it is to read from, for as long as metadata are believed', async () => {
    const { group } = await fetchOf({ answers: [bothElsewhere] });
    const expireAt = 1_007_000;
    expect(group.preferredReadReplicasPerTopicPartition).toEqual({ t: { 0: { nodeId: 3, expireAt }, 1: { nodeId: 4, expireAt } } });
  });

  test('asks no more where it heard that another is to be read from: this one answers at once, and has nothing', async () => {
    const { log, told } = await fetchOf({ answers: Array<Buffer>(9).fill(bothElsewhere), tookMs: 0 });
    expect(log).toEqual(['metadata', 'authenticated', 'fetch, version 11']);
    expect(told.map(({ partition }) => partition)).toEqual([0, 1]);
  });

  test('an offset that a replica does not hold is asked of the leader, which knows better', async () => {
    const { group, log } = await fetchOf({ answers: [bothElsewhere] });
    const before = [...log];
    await group.recoverFromOffsetOutOfRange({ topic: 't', partition: 0 });
    expect(log).toEqual(before);
    expect(group.preferredReadReplicasPerTopicPartition).toMatchObject({ t: { 1: { nodeId: 4 } } });
    await group.recoverFromOffsetOutOfRange({ topic: 't', partition: 0 });
    expect(log).toEqual([...before, 't/0 is out of range']);
  });

  test('is told when a fetch was sent, for the end of a partition is where it was then, and not when the answer came', async () => {
    const { sentMs } = await fetchOf({ answers: [nothingNew, nothingNew], heldMs: 30, tookMs: 40 });
    expect(sentMs).toEqual([0, 70]);
  });

  test('is told of each partition what was asked of it, where another topic has one of the same number', async () => {
    const answer = encodeFetchResponse(11, [
      { topic: 'u', partitions: [{ partition: 0 }] },
      { topic: 't', partitions: [{ partition: 0, bytes: recordBatch(10, [0], 0) }] },
    ]);
    const wanted = (): Wanted[] => [
      { topic: 'u', partition: 0, offset: 3 },
      { topic: 't', partition: 0, offset: 10 },
    ];
    const { told } = await fetchOf({ answers: [answer], wanted });
    expect(told.map(({ topic, fetchOffset, nextOffset }) => [topic, fetchOffset, nextOffset])).toEqual([
      ['u', 3, 3],
      ['t', 10, 11],
    ]);
  });
});

const tooMany = { lastOffsetDelta: 3 << 20, count: 3 << 20 };

const recordsWith = (count: number): GivenRecord[] =>
  Array.from({ length: count }, (_, offsetDelta) => ({ key: null, value: null, offsetDelta, timeDeltaMs: 0, headers: [] }));
