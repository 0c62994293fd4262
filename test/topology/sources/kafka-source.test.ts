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
  const join = (given: number[]) => {
    source.rejoining();
    source.joined({ assigners: [], generationId: 1, offsetManager, assigned: () => [{ topic: 't', partitions: given }] });
    return recorder.feeds;
  };
  const feeds = join(partitions);
  for (const feed of feeds) feed.seek(0);
  const wanted = async (led = LED) => (await source.wanted(led)).map(({ partition, offset }) => [partition, offset]);
  return { source, clock, wanted, join, feeds };
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

test('of each of two brokers that are fetched from in step, the partitions are first in turn', async () => {
  const { source, wanted } = await memberOf([0, 1, 2, 3]);
  const leds = [new Set(['t/0', 't/1']), new Set(['t/2', 't/3'])];
  const firsts: number[][] = [];
  for (let i = 0; i < 4; i++) {
    const asked = await Promise.all(leds.map(wanted));
    firsts.push(asked.map(([[partition]]) => partition));
    for (const [[partition, offset], [other, otherOffset]] of asked)
      await source.fetched([fetched(partition, offset, offset + 1), fetched(other, otherOffset, otherOffset)], 0);
  }
  expect(firsts).toEqual([
    [0, 2],
    [1, 3],
    [0, 2],
    [1, 3],
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

test('the next fetch waits for a task that is merely busy, and goes on as soon as that has made room', async () => {
  const { source, clock, wanted, feeds } = await memberOf([0]);
  const delivered = source.fetched([fetched(0, 0, 10, { byteLength: 100 })], 0).then(() => 'goes on');
  await clock.pass(50);
  expect(await Promise.race([delivered, Promise.resolve('waits')])).toBe('waits');
  await feeds[0].poll(0);
  expect(await delivered).toBe('goes on');
  expect(await wanted()).toEqual([[0, 10]]);
  expect(clock.now().monotonicMs).toBe(50);
});

test('what comes of a partition that went elsewhere meanwhile is given back', async () => {
  const { source } = await memberOf([0]);
  let released = 0;
  await source.fetched([fetched(1, 0, 10, { release: () => void released++ })], 0);
  expect(released).toBe(1);
});

test('who finds nothing wanted waits until something is, and no longer', async () => {
  const { clock, wanted, join } = await memberOf([]);
  const [feed] = join([1]);
  const asked = wanted();
  await clock.pass(200);
  expect(await Promise.race([asked, Promise.resolve('waits')])).toBe('waits');
  feed.seek(7);
  expect(await asked).toEqual([[1, 7]]);
  expect(clock.now().monotonicMs).toBe(200);
});

test('who waits while the group is joined anew is sent to ask anew: what a broker leads of the partitions is no longer what it was', async () => {
  const { clock, wanted, join } = await memberOf([]);
  join([0]);
  const asked = wanted(new Set(['t/0']));
  await clock.pass(100);
  const [, feed] = join([0, 1]);
  feed.seek(7);
  expect(await asked).toEqual([]);
  expect(await wanted(new Set(['t/0', 't/1']))).toEqual([[1, 7]]);
  expect(clock.now().monotonicMs).toBe(100);
});
