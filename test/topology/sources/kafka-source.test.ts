import type { Kafka } from 'kafkajs';
import { expect, test } from 'vitest';
import { KafkaSource } from '../../../src/topology/sources/kafka-source.ts';
import type { FetchedPartition } from '../../../src/topology/sources/kafkajs-groups.ts';
import { RecordColumns } from '../../../src/topology/sources/record-columns.ts';
import { AssignmentRecorder } from '../../conformance/source.ts';
import { HandClock } from '../hand-clock.ts';

const nothing = (): void => undefined;
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };
const LED = new Set(['t/0', 't/1', 't/2']);

/** A member of a group whose kafkajs stands still: partitions of t are assigned by the story, and read from 0 on. */
const memberOf = async (partitions: number[]) => {
  const consumer = { on: nothing, events: { CRASH: 'crash' }, connect: () => new Promise(nothing), disconnect: async () => undefined };
  const clock = new HandClock(1_700_000_000_000);
  const options = { groupId: 'g', topics: ['t'], clock, logger: silent, mailboxBytes: 100 };
  const source = new KafkaSource({ consumer: () => consumer } as unknown as Kafka, options);
  const recorder = new AssignmentRecorder();
  await source.start(recorder);
  const offsetManager = { commitOffsets: async () => undefined };
  source.joined({ assigners: [], generationId: 1, offsetManager, assigned: () => [{ topic: 't', partitions }] });
  for (const feed of recorder.feeds) feed.seek(0);
  const wanted = async (led = LED) => (await source.wanted(led)).map(({ partition, offset }) => [partition, offset]);
  return { source, clock, wanted, feeds: recorder.feeds };
};

const fetched = (partition: number, fetchOffset: number, nextOffset: number, more: Partial<FetchedPartition> = {}): FetchedPartition => ({
  ...{ topic: 't', partition, fetchOffset, nextOffset, lastStableOffset: 99, byteLength: 10, records: new RecordColumns(), fault: null },
  release: nothing,
  ...more,
});

test('who gave something is asked after those who did not: none of them waits for ever where one fills each answer', async () => {
  const { source, wanted } = await memberOf([0, 1, 2]);
  expect(await wanted()).toEqual([
    [0, 0],
    [1, 0],
    [2, 0],
  ]);
  await source.fetched([fetched(0, 0, 10), fetched(1, 0, 0), fetched(2, 0, 0)], 0);
  expect(await wanted()).toEqual([
    [1, 0],
    [2, 0],
    [0, 10],
  ]);
  await source.fetched([fetched(1, 0, 5), fetched(2, 0, 7), fetched(0, 10, 10)], 0);
  expect(await wanted()).toEqual([
    [0, 10],
    [1, 5],
    [2, 7],
  ]);
});

test('of one broker only what it leads is wanted, and nothing after a while without any of it', async () => {
  const { clock, wanted } = await memberOf([0, 1]);
  expect(await wanted(new Set(['t/1', 'u/0']))).toEqual([[1, 0]]);
  const later = wanted(new Set(['t/2']));
  await clock.pass(250);
  expect(await later).toEqual([]);
});

test('who joins twice in a row loses what it had from the first: a task that reads it would wait for ever', async () => {
  const { source, feeds } = await memberOf([0]);
  const polled = feeds[0].poll(1000);
  const offsetManager = { commitOffsets: async () => undefined };
  source.joined({ assigners: [], generationId: 2, offsetManager, assigned: () => [{ topic: 't', partitions: [0] }] });
  expect(feeds[0].lost).toBe(true);
  await expect(polled).rejects.toThrow();
});

test('a partition whose task makes no room for a while is left out until it does', async () => {
  const { source, clock, wanted, feeds } = await memberOf([0, 1]);
  const delivered = source.fetched([fetched(0, 0, 10, { byteLength: 100 }), fetched(1, 0, 0)], 0);
  await clock.pass(100);
  await delivered;
  expect(await wanted()).toEqual([[1, 0]]);
  await feeds[0].poll(0);
  expect(await wanted()).toEqual([
    [1, 0],
    [0, 10],
  ]);
});

test('what comes of a partition that went elsewhere meanwhile is given back', async () => {
  const { source } = await memberOf([0]);
  let released = 0;
  await source.fetched([fetched(1, 0, 10, { release: () => void released++ })], 0);
  expect(released).toBe(1);
});
