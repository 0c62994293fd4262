import { expect, test } from 'vitest';
import { asError, codeOf } from '../../../src/errors.ts';
import type { KafkaFeed } from '../../../src/topology/sources/kafka-feed.ts';
import type { FetchedPartition } from '../../../src/topology/sources/kafkajs-groups.ts';
import { RecordColumns } from '../../../src/topology/sources/record-columns.ts';
import { recordsOf } from '../../conformance/source.ts';
import { feedOf } from './feed-alone.ts';

const nothing = (): void => undefined;

const fetched = (fetchOffset: number, nextOffset: number, more: Partial<FetchedPartition> = {}): FetchedPartition => ({
  topic: 't',
  partition: 0,
  fetchOffset,
  nextOffset,
  lastStableOffset: 50,
  byteLength: 10,
  records: new RecordColumns(),
  fault: null,
  release: nothing,
  ...more,
});

test('a batch that cannot be read fails its feed by name, after what came before it', async () => {
  const { feed } = feedOf();
  feed.seek(0);
  feed.deliver(fetched(0, 7, { fault: { offset: 7, code: 'batch_unreadable', cause: new Error('its compression is 7') } }), 0);
  expect((await feed.poll(0))?.nextOffset).toBe(7);
  const error = await feed.poll(0).catch(asError);
  expect([codeOf(error), String(error)]).toEqual([
    'batch_unreadable',
    expect.stringContaining('t/0: the batch at offset 7 cannot be read (its compression is 7)'),
  ]);
  expect(feed.fetching).toBe(false);
  feed.seek(0);
  expect([await feed.poll(0), feed.fetching]).toEqual([null, true]);
});

test('the end is what the last fetch said, and is asked for where nothing is fetched', async () => {
  const { feed, clock, broker } = feedOf();
  broker.end = 40;
  expect(feed.endOffset()).toBeNull();
  await Promise.resolve();
  await feed.bounds();
  expect(feed.endOffset()).toBe(40);
  feed.seek(0);
  feed.deliver(fetched(0, 7), 0);
  expect(feed.endOffset()).toBe(50);
  const { asked } = broker;
  await clock.pass(6000);
  broker.end = 900;
  expect(feed.endOffset()).toBe(50);
  expect(broker.asked).toBe(asked + 1);
  await Promise.resolve();
  await Promise.resolve();
  expect(feed.endOffset()).toBe(900);
  expect(broker.asked).toBe(asked + 1);
});

test('of several partitions that one fetch brought, each is judged in a turn of the event loop of its own', async () => {
  const feeds = [feedOf(), feedOf(), feedOf()].map(({ feed }) => feed);
  let turn = 0;
  const count = (): void => {
    turn++;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  const judged: number[] = [];
  const task = async (feed: KafkaFeed): Promise<void> => {
    feed.seek(0);
    for (let batches = 0; batches < 3; ) {
      if ((await feed.poll(60_000)) === null) continue;
      batches++;
      judged.push(turn);
    }
  };
  const tasks = feeds.map(task);
  for (const [from, to] of [
    [0, 10],
    [10, 20],
    [20, 30],
  ] as const)
    for (const feed of feeds) feed.deliver(fetched(from, to), 0);
  await Promise.all(tasks);
  clearImmediate(counting);
  expect(judged).toHaveLength(9);
  expect(new Set(judged).size).toBe(9);
});

test('the fetch that a batch makes room for is on its way before the batch is judged', async () => {
  const order: string[] = [];
  const { feed } = feedOf(() => setImmediate(() => order.push('fetch')));
  feed.seek(0);
  await new Promise(setImmediate);
  for (const from of [0, 10, 20]) feed.deliver(fetched(from, from + 10, { byteLength: 100 }), 0);
  feed.pauseIfFull();
  order.length = 0;
  for (let i = 0; i < 3; i++) {
    await feed.poll(0);
    order.push('judged');
  }
  expect(order).toEqual(['judged', 'judged', 'fetch', 'judged']);
});

/** Records at every second offset from `first` on, each with a value of so many bytes. */
const columnsOf = (count: number, valueBytes: number, first = 0): RecordColumns => {
  const records = new RecordColumns(count);
  records.lieIn(new Uint8Array(valueBytes));
  for (let i = 0; i < count; i++) {
    records.add(first + 2 * i, 5);
    records.value(0, valueBytes);
  }
  return records;
};

test.each([
  ['many records', 25_000, 10, [10_000, 10_000, 5000]],
  ['large records', 7, 600_000, [3, 3, 1]],
  ['records that are larger than a slice', 2, 3 << 20, [1, 1]],
  ['just as many as a slice holds', 10_000, 10, [10_000]],
])('a set of %s is handed out in slices, each with the position after its last record, the last with that of the set', async (...given) => {
  const [, count, valueBytes, sizes] = given;
  const { feed } = feedOf();
  feed.seek(0);
  const byteLength = count * (valueBytes + 6);
  feed.deliver(fetched(0, 60_000, { records: columnsOf(count, valueBytes), byteLength, lastStableOffset: 90_000 }), 0);
  const seen: number[][] = [];
  const positions: number[] = [];
  let bytes = 0;
  for (let batch = await feed.poll(0); batch !== null; batch = await feed.poll(0)) {
    seen.push(recordsOf(batch).map(({ offset }) => offset));
    positions.push(batch.nextOffset);
    bytes += batch.byteLength;
    expect(batch.endOffset).toBe(90_000);
  }
  expect(seen.map(({ length }) => length)).toEqual(sizes);
  expect(seen.flat()).toEqual(Array.from({ length: count }, (_, i) => 2 * i));
  expect(positions).toEqual([...seen.slice(0, -1).map((offsets) => (offsets.at(-1) ?? 0) + 1), 60_000]);
  expect(bytes).toBe(byteLength);
  expect(feed.fetching).toBe(true);
});

test('others get their turn between two batches that were waiting', async () => {
  const { feed } = feedOf();
  feed.seek(0);
  feed.deliver(fetched(0, 60_000, { records: columnsOf(25_000, 10) }), 0);
  let turns = 0;
  const turn = (): void => {
    if (++turns < 5) setImmediate(turn);
  };
  setImmediate(turn);
  const found: boolean[] = [];
  for (let i = 0; i < 3; i++) found.push((await feed.poll(0)) !== null);
  expect(found).toEqual([true, true, true]);
  expect(turns).toBeGreaterThanOrEqual(2);
});

test('the memory of a fetch is given back at the poll after its last slice, and not where the batch may still be read', async () => {
  const { feed } = feedOf();
  let released = 0;
  const release = (): void => void released++;
  feed.seek(0);
  feed.deliver(fetched(0, 60_000, { records: columnsOf(25_000, 10), release }), 0);
  const seen: number[] = [];
  for (let slice = 0; slice < 3; slice++) {
    await feed.poll(0);
    seen.push(released);
  }
  expect(seen).toEqual([0, 0, 0]);
  expect(await feed.poll(0)).toBeNull();
  await feed.poll(0);
  expect(released).toBe(1);
});

test('memory that a task may still read is never given back when its partition is lost; what brought nothing gives it back at once', async () => {
  const { feed } = feedOf();
  let released = 0;
  const release = (): void => void released++;
  feed.seek(0);
  feed.deliver(fetched(0, 0, { release }), 0);
  expect(released).toBe(1);
  feed.deliver(fetched(0, 7, { release }), 0);
  await feed.poll(0);
  feed.deliver(fetched(7, 9, { release }), 0);
  feed.lose();
  expect(released).toBe(1);
});

test('what a fetch brings to a partition that was lost meanwhile is given back, and tells nothing of it', async () => {
  const { feed, clock } = feedOf();
  let released = 0;
  feed.seek(0);
  feed.deliver(fetched(0, 7), 0);
  await clock.pass(100);
  feed.lose();
  feed.deliver(fetched(7, 9, { lastStableOffset: 60, release: () => void released++ }), 100);
  expect([released, feed.contactMs(), feed.endOffset()]).toEqual([1, 0, 50]);
});

test('what a fetch brings from elsewhere than was asked for is not taken, and its memory is given back', async () => {
  const { feed } = feedOf();
  let released = 0;
  const release = (): void => void released++;
  feed.deliver(fetched(0, 7, { release }), 0);
  feed.seek(20);
  expect(feed.wantedFrom).toBe(20);
  feed.deliver(fetched(0, 7, { release }), 0);
  expect([await feed.poll(0), feed.wantedFrom, released]).toEqual([null, 20, 2]);
  feed.deliver(fetched(20, 27, { release }), 0);
  expect([(await feed.poll(0))?.nextOffset, feed.wantedFrom, released]).toEqual([27, 27, 2]);
});

test('nothing is wanted before the first seek, while its mailbox is too full for a while, and once the partition is lost', async () => {
  const { feed } = feedOf();
  expect(feed.wantedFrom).toBeNull();
  feed.seek(0);
  feed.deliver(fetched(0, 7, { byteLength: 100 }), 0);
  expect(feed.wantedFrom).toBe(7);
  feed.pauseIfFull();
  expect(feed.wantedFrom).toBeNull();
  await feed.poll(0);
  expect(feed.wantedFrom).toBe(7);
  feed.lose();
  expect(feed.wantedFrom).toBeNull();
});
