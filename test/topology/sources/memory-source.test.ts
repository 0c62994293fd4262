import { describe, expect, test } from 'vitest';
import { SystemClock } from '../../../src/topology/clock.ts';
import { MemoryBroker, MemoryWriter } from '../../../src/topology/sources/memory-log.ts';
import { MemorySource } from '../../../src/topology/sources/memory-source.ts';
import type { Source } from '../../../src/topology/types.ts';
import { logWriterConformance } from '../../conformance/log-writer.ts';
import { AssignmentRecorder, recordsOf, sourceConformance } from '../../conformance/source.ts';

describe('a source in memory', () => {
  sourceConformance(() => {
    const broker = new MemoryBroker(new SystemClock(), { events: 2 });
    return Promise.resolve({
      topic: 'events',
      live: true,
      append: async (partition, records) => {
        for (const record of records) broker.append('events', partition, record);
      },
      open: () => new MemorySource(broker, { group: 'g', topics: ['events'], maxBatchRecords: 7 }),
      rebalance: async (source: Source) => {
        const member = source as MemorySource;
        member.reassign(member.everything());
      },
      close: () => Promise.resolve(),
    });
  });
});

describe('a writer in memory', () => {
  logWriterConformance(() => {
    const broker = new MemoryBroker(new SystemClock(), { out: 4 });
    return Promise.resolve({
      topic: 'out',
      partitions: 4,
      open: () => new MemoryWriter(broker),
      read: async (partition) =>
        broker
          .partition('out', partition)
          .records()
          .map(({ key, value, headers }) => ({
            key: key && Buffer.from(key).toString(),
            value: value && Buffer.from(value).toString(),
            headers,
          })),
      close: () => Promise.resolve(),
    });
  });
});

const assignedFeed = async (source: MemorySource) => {
  const recorder = new AssignmentRecorder();
  await source.start(recorder);
  return recorder.feeds[0];
};

test('a truncated log refuses the offsets before its first', async () => {
  const broker = new MemoryBroker(new SystemClock(), { events: 1 });
  for (let i = 0; i < 10; i++) broker.append('events', 0, { key: 'k', value: `${i}` });
  broker.partition('events', 0).truncate(4);
  const feed = await assignedFeed(new MemorySource(broker, { group: 'g', topics: ['events'] }));
  expect(await feed.bounds()).toEqual({ first: 4, end: 10, committed: null });
  feed.seek(3);
  await expect(feed.poll(0)).rejects.toMatchObject({ code: 'position_before_log' });
  feed.seek(4);
  const batch = await feed.poll(0);
  expect(batch && recordsOf(batch).map(({ offset }) => offset)).toEqual([4, 5, 6, 7, 8, 9]);
});

test('control records take offsets and nothing else, also when there is nothing else', async () => {
  const broker = new MemoryBroker(new SystemClock(), { events: 1 });
  broker.append('events', 0, { key: 'k', value: 'a' });
  broker.appendControl('events', 0);
  broker.appendControl('events', 0);
  const feed = await assignedFeed(new MemorySource(broker, { group: 'g', topics: ['events'] }));
  feed.seek(1);
  const batch = await feed.poll(0);
  expect(batch && [recordsOf(batch), batch.nextOffset, batch.endOffset]).toEqual([[], 3, 3]);
});

test('the steps let a simulator stop a send after any of its records', async () => {
  const broker = new MemoryBroker(new SystemClock(), { out: 1 });
  let parts = 0;
  const writer = new MemoryWriter(broker, async (label) => {
    if (label === 'send out/0 part' && ++parts === 2) throw new Error('the reply was lost');
  });
  const record = { topic: 'out', partition: 0, key: null, value: Buffer.from('v') };
  await expect(writer.send([record, record, record])).rejects.toThrow('the reply was lost');
  expect(broker.partition('out', 0).end).toBe(2);
});

test('every port call stops before and after its effect', async () => {
  const broker = new MemoryBroker(new SystemClock(), { events: 1 });
  broker.append('events', 0, { key: 'k', value: 'a' });
  const labels: string[] = [];
  const step = async (label: string): Promise<void> => void labels.push(label);
  const feed = await assignedFeed(new MemorySource(broker, { group: 'g', topics: ['events'], step }));
  feed.seek(0);
  await feed.poll(0);
  await feed.commit(1);
  expect(labels).toEqual([
    'start before',
    'start after',
    'poll events/0 before',
    'poll events/0 after',
    'commit events/0 before',
    'commit events/0 after',
  ]);
});
