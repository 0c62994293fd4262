import type { Kafka, Message, TopicMessages } from 'kafkajs';
import { expect, test } from 'vitest';
import { codeOf } from '../../../src/errors.ts';
import { PackedRecords } from '../../../src/topology/packed-records.ts';
import { KafkaWriter } from '../../../src/topology/sources/kafka-writer.ts';
import { batchBehind } from '../../../src/topology/sources/kafkajs-encoding.ts';
import { RecordReader } from '../../../src/topology/sources/record-reader.ts';
import { HEADER_BYTES } from '../../../src/topology/sources/record-set.ts';
import type { OutRecord } from '../../../src/topology/types.ts';
import { collectGarbage } from '../../state/collect.ts';
import { HandClock } from '../hand-clock.ts';

const nothing = (): void => undefined;
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };
const PARTITIONS = 4;

type Partition = (given: { message: Message; partitionMetadata: object[] }) => number;

/** Topics of four partitions over kafkajs's producer: a request is answered as a whole, though parts of it may have been appended. */
const cluster = () => {
  const ill = new Set<string>();
  const unknown = new Set<string>();
  const log = new Map<string, string[]>();
  const requests: Message[][] = [];
  /** Of the batches of all requests. */
  const sizes: number[] = [];
  const most = { bytes: Number.POSITIVE_INFINITY };
  const placeOf = (partition: Partition, message: Message): number => partition({ message, partitionMetadata: Array(PARTITIONS).fill({}) });
  const append = (partition: Partition, { topic, messages }: TopicMessages): boolean => {
    const places = messages.map((message) => `${topic}/${placeOf(partition, message)}`);
    messages.forEach((message, i) => {
      if (!ill.has(places[i]) && !unknown.has(places[i])) log.set(places[i], [...(log.get(places[i]) ?? []), ...valuesOf(message)]);
    });
    return places.every((place) => !ill.has(place));
  };
  const kafka = {
    producer: ({ createPartitioner }: { createPartitioner: () => Partition }) => {
      const partition = createPartitioner();
      return {
        connect: async () => undefined,
        disconnect: async () => undefined,
        sendBatch: async ({ topicMessages }: { topicMessages: TopicMessages[] }) => {
          requests.push(topicMessages.flatMap(({ messages }) => messages));
          const bytes = topicMessages.flatMap(({ messages }) => messages.map((message) => batchBehind(message)?.length ?? 0));
          sizes.push(...bytes);
          if (Math.max(...bytes) > most.bytes) {
            throw Object.assign(new Error('too large'), { type: 'MESSAGE_TOO_LARGE' });
          }
          const whole = topicMessages.map((messages) => append(partition, messages)).every(Boolean);
          if (!whole) throw Object.assign(new Error('too few replicas'), { type: 'NOT_ENOUGH_REPLICAS' });
          // As kafkajs: what its metadata does not have is left out.
          return topicMessages.flatMap(({ messages, topic }) =>
            messages
              .map((message) => ({ partition: placeOf(partition, message) }))
              .filter((place) => !unknown.has(`${topic}/${place.partition}`)),
          );
        },
      };
    },
  };
  const clock = new HandClock(1_700_000_000_000);
  return { ill, unknown, log, requests, sizes, most, clock, writer: new KafkaWriter(kafka as unknown as Kafka, { clock, logger: silent }) };
};

/** Of the record batch that a message stands for, or of itself. */
const valuesOf = (message: Message): string[] => {
  const batch = batchBehind(message);
  if (batch === undefined) return [String(message.value)];
  const reader = new RecordReader({ bytes: batch, start: HEADER_BYTES, end: batch.length, count: batch.readInt32BE(HEADER_BYTES - 4) });
  const values: string[] = [];
  while (reader.next()) values.push(batch.toString('utf8', reader.valueStart, reader.valueEnd));
  return values;
};

/** Packed records for one topic. */
const packed = (topic: string, records: readonly [key: string | null, value: string][]): PackedRecords => {
  const pack = new PackedRecords(topic);
  for (const [key, value] of records) {
    const bytes = Buffer.from((key ?? '') + value);
    const keyBytes = Buffer.byteLength(key ?? '');
    pack.addKey(key === null ? null : bytes, 0, keyBytes);
    pack.addValue(bytes, keyBytes, bytes.length);
    pack.addHeaders(0);
    pack.endRecord();
  }
  return pack;
};

const record = (topic: string, partition: number | null, value: string, key = 'key'): OutRecord => ({
  topic,
  partition,
  key: Buffer.from(key),
  value: Buffer.from(value),
});

/** Resolves to whether the call has ended. */
const watched = (call: Promise<void>): { ended: string | null; error?: unknown; done: Promise<unknown> } => {
  const state: { ended: string | null; error?: unknown; done: Promise<unknown> } = { ended: null, done: Promise.resolve() };
  state.done = call.then(
    () => (state.ended = 'written'),
    (error: unknown) => {
      state.ended = 'rejected';
      state.error = error;
    },
  );
  return state;
};

test('a partition of .late that takes nothing holds up only the calls that have a record for it', async () => {
  const { ill, log, clock, writer } = cluster();
  ill.add('late/1');
  const stuck = watched(writer.send([record('late', 0, 'a'), record('late', 1, 'b'), record('partials', 0, 'c')]));
  await clock.pass(1);
  const others = [
    watched(writer.send([record('partials', 0, 'd'), record('partials', 1, 'e')])),
    watched(writer.send([record('late', 0, 'f'), record('late', 2, 'g')])),
  ];
  const behind = watched(writer.send([record('late', 1, 'h')]));
  await clock.pass(30_000);
  expect([stuck, ...others, behind].map(({ ended }) => ended)).toEqual([null, 'written', 'written', null]);
  ill.clear();
  await clock.pass(10_000);
  expect([stuck.ended, behind.ended]).toEqual(['written', 'written']);
  expect(log.get('late/1')).toEqual(['b', 'h']);
  expect(log.get('partials/0')).toEqual(['c', 'd']);
});

test('what was acknowledged beside a partition that takes nothing is not appended at every attempt', async () => {
  const { ill, log, clock, writer } = cluster();
  ill.add('late/1');
  const call = watched(writer.send([record('late', 0, 'a'), record('late', 1, 'b')]));
  await clock.pass(60_000);
  expect(log.get('late/0')?.length).toBeLessThanOrEqual(2);
  ill.clear();
  await clock.pass(10_000);
  expect(call.ended).toBe('written');
});

test('records without a partition keep their order behind one that is held up', async () => {
  const { ill, log, clock, writer } = cluster();
  const places = Array.from({ length: PARTITIONS }, (_, i) => `late/${i}`);
  for (const place of places) ill.add(place);
  const first = watched(writer.send([record('late', null, 'a')]));
  await clock.pass(1000);
  const second = watched(writer.send([record('late', null, 'b')]));
  await clock.pass(1000);
  ill.clear();
  await clock.pass(10_000);
  expect([first.ended, second.ended]).toEqual(['written', 'written']);
  expect([...log.values()]).toEqual([['a', 'b']]);
});

test('a topic goes on after a call of which every record is queued behind a partition that takes nothing', async () => {
  const { ill, log, clock, writer } = cluster();
  await writer.send([record('late', 1, 'first')]);
  ill.add('late/1');
  const held = watched(writer.send([record('late', 1, 'a')]));
  await clock.pass(50);
  const behind = watched(writer.send([record('late', 1, 'b')]));
  await clock.pass(50);
  const other = watched(writer.send([record('late', 0, 'c')]));
  await clock.pass(1000);
  expect([held, behind, other].map(({ ended }) => ended)).toEqual([null, null, 'written']);
  ill.clear();
  await clock.pass(10_000);
  expect([held, behind].map(({ ended }) => ended)).toEqual(['written', 'written']);
  expect(log.get('late/1')).toEqual(['first', 'a', 'b']);
});

test('a topic whose replicas were too few for a while, with two calls waiting, takes what comes after', async () => {
  const { ill, log, clock, writer } = cluster();
  const places = Array.from({ length: PARTITIONS }, (_, i) => `late/${i}`);
  const emission = (name: string): OutRecord[] => places.map((_, i) => record('late', i, name));
  await writer.send(emission('first'));
  for (const place of places) ill.add(place);
  const held = watched(writer.send(emission('a')));
  await clock.pass(50);
  const behind = watched(writer.send(emission('b')));
  await clock.pass(10_000);
  ill.clear();
  await clock.pass(10_000);
  const next = watched(writer.send(emission('c')));
  await clock.pass(10_000);
  expect([held, behind, next].map(({ ended }) => ended)).toEqual(['written', 'written', 'written']);
  expect(places.map((place) => log.get(place))).toEqual(places.map(() => ['first', 'a', 'b', 'c']));
});

test('closing rejects what is held up', async () => {
  const { ill, clock, writer } = cluster();
  ill.add('late/1');
  const calls = [watched(writer.send([record('late', 1, 'a')]))];
  await clock.pass(1000);
  calls.push(watched(writer.send([record('late', 1, 'b')])));
  await writer.close();
  expect(calls.map(({ ended }) => ended)).toEqual(['rejected', 'rejected']);
});

test('a record for a partition that the cluster does not know is not acknowledged until it does', async () => {
  const { unknown, log, clock, writer } = cluster();
  unknown.add('late/3');
  const both = watched(writer.send([record('late', 0, 'a'), record('late', 3, 'b')]));
  await clock.pass(1);
  const well = watched(writer.send([record('late', 0, 'c')]));
  await clock.pass(10_000);
  expect([both.ended, well.ended]).toEqual([null, 'written']);
  unknown.clear();
  await clock.pass(10_000);
  expect(both.ended).toBe('written');
  expect([log.get('late/0'), log.get('late/3')]).toEqual([['a', 'c'], ['b']]);
});

test('a partition that stays away is a named stop for its records, though the others of its topic are well', async () => {
  const { unknown, clock, writer } = cluster();
  unknown.add('late/3');
  const call = watched(writer.send([record('late', 0, 'a'), record('late', 3, 'b')]));
  for (let second = 0; second < 40; second++) {
    await clock.pass(1000);
    expect(call.ended === null || second >= 29).toBe(true);
    await writer.send([record('late', 0, 'x')]);
  }
  expect(codeOf(call.error)).toBe('topic_missing');
  expect(String(call.error)).toContain('there is no late/3');
});

test('what is tried again is what was sent, and not made anew', async () => {
  const { ill, requests, clock, writer } = cluster();
  await writer.send([record('late', 1, 'first')]);
  ill.add('late/1');
  const call = watched(writer.send([record('late', 1, 'a'), record('late', 1, 'b')]));
  await clock.pass(60_000);
  const made = new Set(requests.slice(1).flatMap((messages) => messages.map(batchBehind)));
  expect(requests.length).toBeGreaterThan(10);
  // Once with all that was called for, once of the partition alone.
  expect(made.size).toBe(2);
  ill.clear();
  await clock.pass(10_000);
  expect(call.ended).toBe('written');
});

test('records whose partition their keys decide share a request as far as each partition and the request have room', async () => {
  const { requests, log, writer } = cluster();
  await writer.send([record('late', null, 'first')]);
  const keys = Array.from({ length: 400 }, (_, i) => `key ${i}`);
  await writer.send(keys.map((key) => record('late', null, 'x'.repeat(5000), key)));
  expect([...log.values()].flat()).toHaveLength(401);
  expect(requests.map((messages) => messages.length)).toEqual([1, PARTITIONS]);
});

test('packed records go where single ones with their keys would, in the first request and in later ones, beside those', async () => {
  const [packs, singles] = [cluster(), cluster()];
  const keys = Array.from({ length: 40 }, (_, i) => `key ${i % 7}`);
  for (const round of ['first', 'second', 'third']) {
    await packs.writer.send([
      packed(
        'late',
        keys.map((key, i) => [key, `${round} ${i}`]),
      ),
      record('late', 2, `${round} beside`),
    ]);
    await singles.writer.send([...keys.map((key, i) => record('late', null, `${round} ${i}`, key)), record('late', 2, `${round} beside`)]);
  }
  expect(packs.log).toEqual(singles.log);
  expect([...packs.log.values()].flat()).toHaveLength(3 * 41);
});

test('packed records without a key go one to each partition in turn', async () => {
  const { log, writer } = cluster();
  for (let round = 0; round < 2; round++) {
    await writer.send([
      packed(
        'late',
        Array.from({ length: 8 }, (_, i) => [null, `${8 * round + i}`]),
      ),
    ]);
  }
  expect([...log].sort()).toEqual([0, 1, 2, 3].map((i) => [`late/${i}`, [i, i + 4, i + 8, i + 12].map(String)]));
});

test('packed records are cut where a batch has no more room, and the call ends with the last of them', async () => {
  const { log, sizes, ill, clock, writer } = cluster();
  await writer.send([record('late', 1, 'first')]);
  const values = Array.from({ length: 1000 }, (_, i) => `${i} ${'x'.repeat(2500)}`);
  ill.add('late/1');
  const call = watched(
    writer.send([
      packed(
        'late',
        values.map((value) => ['key', value]),
      ),
    ]),
  );
  await clock.pass(10_000);
  expect(call.ended).toBe(null);
  ill.clear();
  await clock.pass(10_000);
  expect(call.ended).toBe('written');
  expect(log.get('late/1')).toEqual(['first', ...values]);
  expect(Math.max(...sizes)).toBeGreaterThan(850_000);
  expect(Math.max(...sizes)).toBeLessThan(900_000);
});

test('a pack that a topic refuses as too large goes in halves, and a record alone that is refused is named', async () => {
  const { log, most, writer } = cluster();
  await writer.send([record('late', 1, 'first')]);
  most.bytes = 300;
  const values = Array.from({ length: 37 }, (_, i) => `${i} ${'x'.repeat(50)}`);
  const pack = packed(
    'late',
    values.map((value) => ['key', value]),
  );
  await writer.send([pack]);
  expect(log.get('late/1')).toEqual(['first', ...values]);
  const call = watched(writer.send([packed('late', [['key', 'x'.repeat(500)]])]));
  await call.done;
  expect(codeOf(call.error)).toBe('message_too_large');
});

test('a call with nothing in it ends', async () => {
  const { writer, requests } = cluster();
  await writer.send([packed('late', [])]);
  expect(requests).toEqual([]);
});

test('a record of the first request of a topic is not kept in memory once it is written', async () => {
  const { requests, writer } = cluster();
  const send = async (): Promise<WeakRef<OutRecord>> => {
    const first = record('late', null, 'a');
    await writer.send([first]);
    return new WeakRef(first);
  };
  const sent = await send();
  requests.length = 0;
  await collectGarbage();
  expect(sent.deref()).toBe(undefined);
});
