import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Connection,
  fetchRequest,
  fetchSets,
  readResponse,
  versionFor,
  type Wanted,
} from '../../../src/topology/sources/kafkajs-fetching.ts';
import { encodeFetchResponse, type GivenTopic } from '../../kafka/fetch-response.ts';

const require = createRequire(import.meta.url);
const { protocol } = require('kafkajs/src/protocol/requests/fetch/index.js') as {
  protocol(of: { version: number }): (options: object) => {
    request: object;
    requestTimeout: number;
    response: { decode(payload: Buffer): Promise<{ clientSideThrottleTime?: number; throttleTime: number; responses: StockTopic[] }> };
  };
};
const createRequest = require('kafkajs/src/protocol/request.js') as (of: object) => Promise<{ buffer: Buffer }>;

interface StockTopic {
  topicName: string;
  partitions: {
    partition: number;
    errorCode: number;
    lastStableOffset: string;
    abortedTransactions: { producerId: string; firstOffset: string }[];
    preferredReadReplica?: number;
  }[];
}

const VERSIONS = [4, 5, 6, 7, 8, 9, 10, 11];
const FORM = { maxWaitTime: 250, minBytes: 1, maxBytes: 10_485_760, maxBytesPerPartition: 1 << 20, isolationLevel: 1, rackId: '' };

const anInt32 = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const anOffset = fc.oneof(fc.integer({ min: 0, max: 1000 }), fc.maxSafeNat());
const aForm = fc.record({
  maxWaitTime: anInt32,
  minBytes: anInt32,
  maxBytes: anInt32,
  maxBytesPerPartition: anInt32,
  isolationLevel: fc.constantFrom(0, 1),
  rackId: fc.string({ unit: 'grapheme', maxLength: 20 }),
});
const aTopic = fc.constantFrom('impressions', 'größer', 'a');

/** As kafkajs's broker puts them together. */
const topicsOf = (wanted: readonly Wanted[], maxBytes: number): object[] => {
  const topics: { topic: string; partitions: object[] }[] = [];
  for (const { topic, partition, offset } of wanted) {
    if (topics.at(-1)?.topic !== topic) topics.push({ topic, partitions: [] });
    topics.at(-1)?.partitions.push({ partition, fetchOffset: String(offset), maxBytes });
  }
  return topics;
};

test('what a broker is asked is, byte for byte, what kafkajs asks it in each version', async () => {
  const wanted = fc.array(fc.record({ topic: aTopic, partition: anInt32, offset: anOffset }), { minLength: 1, maxLength: 8 });
  const head = fc.record({ correlationId: anInt32, clientId: fc.string({ unit: 'grapheme', maxLength: 30 }) });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...VERSIONS), head, aForm, wanted, async (version, { correlationId, clientId }, form, places) => {
      const { request } = protocol({ version })({ ...form, topics: topicsOf(places, form.maxBytesPerPartition) });
      const { buffer } = await createRequest({ correlationId, clientId, request });
      expect(fetchRequest({ correlationId, clientId, version }, form, places).toString('hex')).toBe(buffer.toString('hex'));
    }),
  );
});

test('what it answers is read as kafkajs reads it in each version, the record sets as they lie there', async () => {
  const anInt64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
  const answer = fc.record({
    partition: anInt32,
    errorCode: fc.integer({ min: -1, max: 90 }),
    highWatermark: fc.integer({ min: -1, max: 1000 }),
    lastStableOffset: fc.oneof(fc.constant(-1), anOffset),
    logStartOffset: anOffset,
    aborted: fc.option(fc.array(fc.record({ producerId: anInt64, firstOffset: anInt64 }), { maxLength: 4 })),
    preferredReadReplica: fc.integer({ min: -1, max: 5 }),
  });
  const topics = fc.array(fc.record({ topic: aTopic, partitions: fc.array(answer, { maxLength: 4 }) }), { maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...VERSIONS), topics, anInt32, async (version, given, throttleMs) => {
      const stock = await protocol({ version })({ ...FORM, topics: [] }).response.decode(encodeFetchResponse(version, given, throttleMs));
      const expected = stock.responses.flatMap(({ topicName, partitions }) =>
        partitions.map(({ partition, errorCode, lastStableOffset, abortedTransactions, preferredReadReplica = -1 }) => ({
          ...{ topic: topicName, partition, errorCode, lastStableOffset: Number(lastStableOffset), preferredReadReplica },
          aborted: abortedTransactions ?? [],
        })),
      );
      const withSets = withBytes(given);
      const read = readResponse(encodeFetchResponse(version, withSets, throttleMs), version);
      expect(read.answers.map(({ bytes, ...rest }) => rest)).toEqual(expected);
      expect(read.answers.map(({ bytes }) => bytes.toString())).toEqual(
        withSets.flatMap(({ partitions }) => partitions.map(({ bytes }) => String(bytes))),
      );
      expect(read.throttleMs).toBe(stock.clientSideThrottleTime ?? 0);
    }),
  );
});

/** The same with a record set each. */
const withBytes = (topics: readonly GivenTopic[]): GivenTopic[] =>
  topics.map(({ topic, partitions }, i) => ({
    topic,
    partitions: partitions.map((answer, k) => ({ ...answer, bytes: Buffer.from('x'.repeat(i) + k) })),
  }));

test('a partition whose record set is null is one with none, and what follows is read from where it lies', () => {
  const partitions = [
    { partition: 0, bytes: null },
    { partition: 1, bytes: Buffer.from('x') },
  ];
  const { answers } = readResponse(encodeFetchResponse(11, [{ topic: 't', partitions }]), 11);
  expect(answers.map(({ partition, bytes }) => [partition, bytes.toString()])).toEqual([
    [0, ''],
    [1, 'x'],
  ]);
});

test('a broker is asked in the latest version that both know, and one that knows none of ours is refused by name', () => {
  expect([4, 8, 11, 17].map((maxVersion) => versionFor(maxVersion))).toEqual([4, 8, 11, 11]);
  for (const maxVersion of [3, undefined]) {
    const refused = {
      name: 'KafkaJSServerDoesNotSupportApiKey',
      retriable: false,
      message: expect.stringContaining('Kafka 0.11 or later'),
    };
    expect(() => versionFor(maxVersion)).toThrow(expect.objectContaining(refused));
  }
});

interface Entry {
  correlationId: number;
  resolve(answer: { payload: Buffer }): void;
  reject(error: Error): void;
}

/** A connection whose queue sends at once, and gets this for an answer. */
const connectionOf = (answer: (entry: Entry) => void) => {
  const told: unknown[] = [];
  const connection: Connection = {
    clientId: 'c',
    socket: { write: (bytes) => void told.push(bytes.readInt32BE(8)) },
    requestQueue: {
      push: ({ entry, sendRequest, expectResponse, requestTimeout }) => {
        told.push({ expectResponse, requestTimeout });
        sendRequest();
        answer(entry as Entry);
      },
      maybeThrottle: (ms) => void told.push(`throttled for ${ms} ms`),
    },
    isConnected: () => true,
    authenticate: async () => undefined,
    nextCorrelationId: () => 77,
  };
  return { connection, told };
};

const WANTED = [{ topic: 't', partition: 3, offset: 10 }];

test("a fetch goes through the connection's queue, for as long as the broker may hold it, and heeds its throttle", async () => {
  const payload = encodeFetchResponse(11, [{ topic: 't', partitions: [{ partition: 3 }] }], 40);
  const { connection, told } = connectionOf(({ resolve }) => resolve({ payload }));
  expect(await fetchSets(connection, 11, FORM, WANTED)).toMatchObject([{ topic: 't', partition: 3, lastStableOffset: 50 }]);
  expect(told).toEqual([{ expectResponse: true, requestTimeout: 350 }, 77, 'throttled for 40 ms']);
});

test('a broker from before Kafka 2.0 has throttled already when it says so, and is not left alone once more', async () => {
  const throttled = async (version: number): Promise<unknown> => {
    const payload = encodeFetchResponse(version, [{ topic: 't', partitions: [{ partition: 3 }] }], 40);
    const { connection, told } = connectionOf(({ resolve }) => resolve({ payload }));
    await fetchSets(connection, version, FORM, WANTED);
    return told.at(-1);
  };
  expect(await Promise.all([7, 8].map(throttled))).toEqual(['throttled for 0 ms', 'throttled for 40 ms']);
});

test('the first partition that is refused is told as kafkajs tells it, and so is a connection that is lost', async () => {
  const refused = (errorCode: number): Promise<unknown> => {
    const partitions = [{ partition: 1 }, { partition: 3, errorCode }, { partition: 4, errorCode: 2 }];
    const payload = encodeFetchResponse(11, [{ topic: 't', partitions }]);
    const { connection } = connectionOf(({ resolve }) => resolve({ payload }));
    return fetchSets(connection, 11, FORM, WANTED).catch((error: unknown) => error);
  };
  expect(await refused(1)).toMatchObject({ name: 'KafkaJSOffsetOutOfRange', type: 'OFFSET_OUT_OF_RANGE', topic: 't', partition: 3 });
  expect(await refused(6)).toMatchObject({ name: 'KafkaJSProtocolError', type: 'NOT_LEADER_FOR_PARTITION', retriable: true });
  const { connection } = connectionOf(({ reject }) => reject(new Error('Closed connection')));
  await expect(fetchSets(connection, 11, FORM, WANTED)).rejects.toThrow('Closed connection');
});
