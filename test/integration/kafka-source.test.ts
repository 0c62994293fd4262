import { createHook } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { CompressionTypes } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { asError, codeOf } from '../../src/errors.ts';
import type { RecordBatch } from '../../src/topology/types.ts';
import { AssignmentRecorder, type GivenRecord, readTo, recordsOf, type SourceBed, sourceConformance } from '../conformance/source.ts';
import { describeIntegration } from '../services/integration.ts';
import { clock, eventually, KafkaBed, silent } from './kafka-bed.ts';

const values = (seen: { value: string | null }[]): (string | null)[] => seen.map(({ value }) => value);

const many = (count: number, from = 0): GivenRecord[] =>
  Array.from({ length: count }, (_, i) => ({ key: 'k', value: `v${from + i}`, timestampMs: 1_700_000_000_000 + i }));

describeIntegration('a source over a real Kafka', ({ kafkaBrokers }) => {
  const withBed = (story: (bed: KafkaBed) => Promise<void>) => async (): Promise<void> => {
    const bed = await KafkaBed.open(kafkaBrokers);
    await story(bed).finally(() => bed.close());
  };

  const bedOf = (decoder: 'in_place' | 'kafkajs') => async (): Promise<SourceBed> => {
    const bed = await KafkaBed.open(kafkaBrokers);
    return {
      topic: bed.topic,
      live: true,
      append: (partition, records) => bed.append(partition, records),
      open: () => bed.member({ decoder }),
      rebalance: async (_source, recorder) => {
        // A second member comes and goes: the first ends with both partitions again, after two rebalances.
        const other = bed.member({ decoder });
        const others = new AssignmentRecorder();
        await other.start(others);
        await eventually(() => others.feeds.length === 1);
        await other.stop();
        await eventually(() => recorder.feeds.length === 2);
      },
      close: () => bed.close(),
    };
  };
  describe('with records in place', () => sourceConformance(bedOf('in_place')));
  describe("with kafkajs's decoding", () => sourceConformance(bedOf('kafkajs')));

  test.each([
    ['gzip', CompressionTypes.GZIP],
    ['snappy', CompressionTypes.Snappy],
    ['lz4', CompressionTypes.LZ4],
    ['zstd', CompressionTypes.ZSTD],
  ])('a batch compressed with %s is read, also from its middle', async (_name, compression) => {
    const bed = await KafkaBed.open(kafkaBrokers);
    await bed.append(0, many(50), compression);
    await bed.append(0, many(3, 50));
    const { feed } = await bed.joined();
    feed.seek(0);
    expect(values(await readTo(feed, 53))).toEqual(values(many(53)));
    feed.seek(37);
    const seen = await readTo(feed, 53);
    expect(values(seen)).toEqual(values(many(16, 37)));
    expect(seen[0].offset).toBe(37);
    await bed.close();
  });

  test(
    'of transactions only committed records are seen, and the position passes what ends them',
    withBed(async (bed) => {
      const producer = await bed.transactional();
      const committed = await producer.begin();
      await bed.sendIn(committed, ['a', 'b']);
      await committed.commit();
      const aborted = await producer.begin();
      await bed.sendIn(aborted, ['x', 'y']);
      await aborted.abort();
      await bed.append(0, many(1));
      await producer.end();
      const { feed } = await bed.joined();
      feed.seek(0);
      // a b commit x y abort v0; a busy broker writes its marker after it has answered, so behind v0
      const seen = await readTo(feed, 7);
      expect(seen.map(({ value }) => value)).toEqual(['a', 'b', 'v0']);
      expect(seen.slice(0, 2).map(({ offset }) => offset)).toEqual([0, 1]);
      expect([5, 6]).toContain(seen[2].offset);
    }),
  );

  test(
    'a batch of nothing but aborted and control records moves the position to the end',
    withBed(async (bed) => {
      const producer = await bed.transactional();
      const aborted = await producer.begin();
      await bed.sendIn(aborted, ['x', 'y']);
      await aborted.abort();
      await producer.end();
      const { feed } = await bed.joined();
      expect((await feed.bounds()).end).toBe(3);
      feed.seek(0);
      const batches: (RecordBatch | null)[] = [await feed.poll(5000)];
      expect(batches.map((batch) => batch && [recordsOf(batch), batch.nextOffset, batch.endOffset])).toEqual([[[], 3, 3]]);
      await eventually(() => feed.endReachedMs(3) !== null);
      expect(feed.endReachedMs(2)).toBeNull();
    }),
  );

  test(
    'the end is where a reader of committed records must stop: an open transaction and all after it are beyond',
    withBed(async (bed) => {
      await bed.append(0, many(2));
      const producer = await bed.transactional();
      const open = await producer.begin();
      await bed.sendIn(open, ['pending']);
      await bed.append(0, many(1, 2));
      const { feed } = await bed.joined();
      expect(await feed.bounds()).toMatchObject({ first: 0, end: 2 });
      feed.seek(0);
      const batch = await feed.poll(5000);
      expect(batch && [recordsOf(batch).length, batch.nextOffset, batch.endOffset]).toEqual([2, 2, 2]);
      await eventually(() => feed.endReachedMs(2) !== null);
      await open.commit();
      await producer.end();
      expect(values(await readTo(feed, 5))).toEqual(['pending', 'v2']);
    }),
  );

  test(
    'reading from inside two aborted transactions lets none of their records through',
    withBed(async (bed) => {
      const [first, second] = [await bed.transactional(), await bed.transactional()];
      const [one, two] = [await first.begin(), await second.begin()];
      await bed.sendIn(one, ['x0']);
      await bed.sendIn(two, ['y1']);
      await bed.sendIn(two, ['y2']);
      await bed.sendIn(one, ['x3']);
      await two.abort();
      await bed.sendIn(one, ['x5']);
      await one.abort();
      await bed.append(0, many(1));
      await Promise.all([first.end(), second.end()]);
      const { feed } = await bed.joined();
      for (const from of [0, 2, 3, 5]) {
        feed.seek(from);
        expect(values(await readTo(feed, 8))).toEqual(['v0']);
      }
    }),
  );

  test(
    'a record that looks like an abort marker ends no transaction',
    withBed(async (bed) => {
      const producer = await bed.transactional();
      const aborted = await producer.begin();
      await aborted.send({ topic: bed.topic, messages: [{ partition: 0, key: Buffer.alloc(4), value: 'x' }] });
      await bed.sendIn(aborted, ['y']);
      await aborted.abort();
      await producer.end();
      const { feed } = await bed.joined();
      feed.seek(0);
      expect(await readTo(feed, 3)).toEqual([]);
    }),
  );

  test(
    'a task that takes no batch for three session timeouts stays a member and stops no other partition',
    withBed(async (bed) => {
      const { feed, recorder } = await bed.joined({ sessionTimeoutMs: 2000, mailboxBytes: 1 });
      const other = recorder.feeds.find(({ partition }) => partition === 1);
      if (!other) throw new Error('partition 1 was not assigned');
      feed.seek(0);
      other.seek(0);
      const began = clock.now().monotonicMs;
      let sent = 0;
      while (clock.now().monotonicMs - began < 6000) {
        await bed.append(0, many(1, sent));
        await bed.append(1, many(1, sent));
        expect(values(await readTo(other, ++sent))).toEqual([`v${sent - 1}`]);
      }
      expect(sent).toBeGreaterThan(6);
      expect([feed.lost, other.lost, recorder.failures]).toEqual([false, false, []]);
      expect(values(await readTo(feed, sent))).toEqual(values(many(sent)));
    }),
  );

  test(
    'two members share the partitions; when one leaves the other gets them all',
    withBed(async (bed) => {
      await bed.append(0, many(3));
      await bed.append(1, many(3));
      const first = await bed.joined({ sessionTimeoutMs: 2000, rebalanceTimeoutMs: 3000 });
      const second = bed.member({ sessionTimeoutMs: 2000, rebalanceTimeoutMs: 3000 });
      const recorder = new AssignmentRecorder();
      await second.start(recorder);
      await eventually(() => recorder.feeds.length === 1 && first.recorder.feeds.length === 1);
      expect([...recorder.feeds, ...first.recorder.feeds].map(({ partition }) => partition).sort()).toEqual([0, 1]);
      const kept = first.recorder.feeds[0];
      await second.stop();
      await eventually(() => first.recorder.feeds.length === 2);
      expect(kept.lost).toBe(true);
      for (const feed of first.recorder.feeds) {
        feed.seek(0);
        expect(values(await readTo(feed, 3))).toEqual(values(many(3)));
      }
    }),
  );

  test(
    'when a member is killed the other gets its partitions after the session timeout',
    withBed(async (bed) => {
      await bed.append(0, many(3));
      await bed.append(1, many(3));
      const { recorder } = await bed.joined({ sessionTimeoutMs: 2000, rebalanceTimeoutMs: 3000 });
      const path = new URL('kafka-member.ts', import.meta.url).pathname;
      const child = spawn(process.execPath, [path, kafkaBrokers, bed.group, bed.topic], { stdio: ['ignore', 'pipe', 'inherit'] });
      let assigned = '';
      child.stdout.on('data', (text: Buffer) => {
        assigned = text.toString().trim();
      });
      await eventually(() => /^[01]$/.test(assigned) && recorder.feeds.length === 1);
      expect(`${recorder.feeds[0].partition}`).not.toBe(assigned);
      const kept = recorder.feeds[0];
      kept.seek(0);
      await readTo(kept, 3);
      child.kill('SIGKILL');
      await eventually(() => recorder.feeds.length === 2);
      expect(kept.lost).toBe(true);
      for (const feed of recorder.feeds) {
        feed.seek(0);
        expect(values(await readTo(feed, 3))).toEqual(values(many(3)));
      }
    }),
  );

  test(
    'an idle member sets no more than a few timers a second (#1556)',
    withBed(async (bed) => {
      const { recorder } = await bed.joined();
      for (const feed of recorder.feeds) feed.seek(0);
      await eventually(() => recorder.feeds.every((feed) => feed.endReachedMs(0) !== null));
      let timers = 0;
      const hook = createHook({ init: (_id, type) => void (type === 'Timeout' && timers++) }).enable();
      await clock.sleep(1000);
      hook.disable();
      expect(timers).toBeLessThan(60);
    }),
  );

  test('who joins takes its share and moves nothing else, and what it had goes back when it leaves', async () => {
    const bed = await KafkaBed.open(kafkaBrokers, 6);
    const places = (recorder: AssignmentRecorder): number[] => recorder.feeds.map(({ partition }) => partition).sort();
    const joining = async () => {
      const [source, recorder] = [bed.member(), new AssignmentRecorder()];
      await source.start(recorder);
      return { source, recorder };
    };
    const { recorder: first } = await bed.joined();
    const { recorder: second } = await joining();
    await eventually(() => first.feeds.length === 3 && second.feeds.length === 3);
    const [before, beside] = [places(first), places(second)];
    const { source: third, recorder: last } = await joining();
    await eventually(() => [first, second, last].every(({ feeds }) => feeds.length === 2));
    expect(before).toEqual(expect.arrayContaining(places(first)));
    expect(beside).toEqual(expect.arrayContaining(places(second)));
    const [kept, keptBeside] = [places(first), places(second)];
    await third.stop();
    await eventually(() => first.feeds.length === 3 && second.feeds.length === 3);
    expect(places(first)).toEqual(expect.arrayContaining(kept));
    expect(places(second)).toEqual(expect.arrayContaining(keptBeside));
    await bed.close();
  });

  test(
    'a commit is refused when the generation of its assignment is over, even if nobody has noticed yet',
    withBed(async (bed) => {
      await bed.append(0, many(5));
      const { feed, source } = await bed.joined();
      feed.seek(0);
      await readTo(feed, 5);
      await feed.commit(3);
      // Another member joins on its own: this one's generation is over at the broker before it hears of it.
      const other = bed.kafka.consumer({ groupId: bed.group, sessionTimeout: 10_000 });
      await other.connect();
      await other.subscribe({ topics: [bed.topic] });
      const joined = new Promise((resolve) => other.on('consumer.group_join', resolve));
      await other.run({ autoCommit: false, eachBatch: async () => undefined });
      await joined;
      expect(feed.lost).toBe(true);
      await feed.commit(5);
      await other.disconnect();
      const [{ partitions }] = await bed.withAdmin((admin) => admin.fetchOffsets({ groupId: bed.group, topics: [bed.topic] }));
      expect(partitions.find(({ partition }) => partition === 0)?.offset).toBe('3');
      await source.stop();
    }),
  );

  test(
    'a missing topic ends membership by name',
    withBed(async (bed) => {
      const recorder = new AssignmentRecorder();
      await bed.member({ topics: [`${bed.topic}-not-there`], absentAfterMs: 500 }).start(recorder);
      await eventually(() => recorder.failures.length > 0);
      expect(recorder.failures.map(codeOf)).toEqual(['topic_missing']);
    }),
  );

  test('while no broker answers nothing fails, and stop ends at once', async () => {
    const bed = await KafkaBed.open(kafkaBrokers);
    const { kafkaClient } = await import('../../src/topology/sources/kafka-client.ts');
    const { KafkaSource } = await import('../../src/topology/sources/kafka-source.ts');
    const warnings: object[] = [];
    const logger = { ...silent, warn: (fields: object) => void warnings.push(fields) };
    const source = new KafkaSource(kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, silent), {
      groupId: 'g',
      topics: ['t'],
      clock,
      logger,
    });
    const recorder = new AssignmentRecorder();
    await source.start(recorder);
    await eventually(() => warnings.length > 1);
    expect(warnings[0]).toMatchObject({ code: 'kafka_unreachable' });
    expect(recorder.failures).toEqual([]);
    const refused = await source.partitionCounts().catch((error: unknown) => codeOf(asError(error)));
    expect(refused).toBe('kafka_unreachable');
    await source.stop();
    await bed.close();
  });
});
