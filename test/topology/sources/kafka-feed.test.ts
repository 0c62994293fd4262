import { expect, test } from 'vitest';
import { asError, codeOf } from '../../../src/errors.ts';
import { RecordColumns } from '../../../src/topology/sources/column-batch.ts';
import { type FeedHome, KafkaFeed } from '../../../src/topology/sources/kafka-feed.ts';
import type { FetchedPartition } from '../../../src/topology/sources/kafkajs-internals.ts';
import { HandClock } from '../hand-clock.ts';

const nothing = (): void => undefined;
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** A feed of t/0 whose group and broker only listen. `end` is what the broker says when it is asked. */
const feedOf = () => {
  const broker = { end: 0, asked: 0 };
  const clock = new HandClock(1_700_000_000_000);
  const home: FeedHome = {
    clock,
    logger: silent,
    mailboxBytes: 100,
    bounds: async () => {
      broker.asked++;
      return { first: 0, end: broker.end, committed: null };
    },
    wake: nothing,
  };
  const offsetManager = { resolveOffset: nothing, commitOffsets: async () => undefined };
  const group = { assigners: [], generationId: 1, offsetManager, assigned: () => [], pause: nothing, resume: nothing, seek: nothing };
  return { feed: new KafkaFeed(home, group, { topic: 't', partition: 0 }), clock, broker };
};

const fetched = (fetchOffset: number, nextOffset: number, more: Partial<FetchedPartition> = {}): FetchedPartition => ({
  topic: 't',
  partition: 0,
  fetchOffset,
  nextOffset,
  lastStableOffset: 50,
  byteLength: 10,
  records: new RecordColumns(),
  fault: null,
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
