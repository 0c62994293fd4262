import { describe, expect, test } from 'vitest';
import { StreamError } from '../../src/errors.ts';
import { makeRegistry, type RegistrySource, StaticRegistry } from '../../src/sinks/registry.ts';
import type { FlushResult, HourlyBatch } from '../../src/sinks/totals.ts';
import { TotalsFlusher } from '../../src/topology/totals-flusher.ts';
import { DAY, HOUR, MINUTE, PARTIALS, SECOND, Story } from './drive.ts';

const SPENT = 'spend:{c}:2026-03-02';
const away = new StreamError('postgres_unreachable', 'nobody answers');

/** A registry that fails as often as said, then has this epoch. */
function registryWith(failures: number, epochs: readonly number[]): RegistrySource {
  const rows = new StaticRegistry();
  let loads = 0;
  return {
    load: async () => {
      const load = loads++;
      if (load < failures) throw away;
      const epoch = epochs[Math.min(load - failures, epochs.length - 1)];
      return makeRegistry(await rows.load(), { version: 0, epoch, asOfMs: 0, loadedWallMs: 0 });
    },
    close: async () => {},
  };
}

describe('the runner', () => {
  test('keeps a task for every partition, and one that stands still delays no other', async () => {
    const story = new Story({ partitions: 2 });
    const process = await story.started();
    const release = process.hold(/^poll impressions\/0 before/);
    await story.pass(SECOND);
    for (const partition of [0, 1]) story.impression({ at: 0, partition });
    await story.pass(2 * SECOND);
    expect([process.dispositions('impressions', 0), process.dispositions('impressions', 1)]).toEqual([
      [0, 0, 0, 0],
      [1, 0, 0, 0],
    ]);
    release();
    await story.pass(2 * SECOND);
    expect(process.dispositions('impressions', 0)).toEqual([1, 0, 0, 0]);
    expect(story.counter(SPENT)?.['impressions']).toBe('2');
  });

  test('lets runs of one partition follow one another, however fast assignments come', async () => {
    const story = new Story();
    const process = await story.started();
    story.impression({ at: 0 });
    await story.pass(2 * SECOND);
    const release = process.hold(/^append ingest:impressions/);
    story.impression({ at: 1 });
    await story.pass(2 * SECOND);
    for (let i = 0; i < 5; i++) process.ingestSource.reassign(i % 2 === 0 ? [] : process.ingestSource.everything());
    process.ingestSource.reassign(process.ingestSource.everything());
    await story.pass(SECOND);
    const waiting = process.calls(/^bounds impressions\/0 before/);
    release();
    await story.pass(3 * SECOND);
    expect(process.calls(/^bounds impressions\/0 before/)).toBe(waiting + 1);
    expect(process.dispositions('impressions')).toEqual([2, 0, 0, 0]);
    expect(process.failures).toEqual([]);
  });

  test('gives the memory of a partition back when it has gone elsewhere, and only then', async () => {
    const story = new Story({ partitions: 2 });
    const process = await story.started({ stages: ['ingest'] });
    for (let i = 0; i < 500; i++) for (const partition of [0, 1]) story.exposure({ at: i * SECOND, unit_id: `u${i}`, partition });
    await story.pass(2 * SECOND);
    const both = process.pipeline.budget.usedBytes;
    process.ingestSource.reassign(process.ingestSource.everything().filter(({ partition }) => partition === 0));
    await story.pass(SECOND);
    const { usedBytes } = process.pipeline.budget;
    expect(usedBytes).toBeGreaterThan(5000);
    expect(usedBytes).toBeLessThan(both * 0.6);
    expect(process.pipeline.ingestTasks).toHaveLength(3);
    process.ingestSource.reassign([]);
    await story.pass(SECOND);
    expect(process.pipeline.budget.usedBytes).toBe(0);
    process.ingestSource.reassign(process.ingestSource.everything());
    await story.pass(2 * SECOND);
    expect(process.pipeline.budget.usedBytes).toBe(both);
    expect(process.dispositions('exposures', 1)).toEqual([500, 0, 0, 0]);
  });

  test('takes a partition whose task has stopped up again when it is assigned anew', async () => {
    const story = new Story();
    const process = await story.started();
    process.fault(/^send before/, new StreamError('message_too_large', 'a record'));
    story.impression({ at: 0 });
    await story.pass(2 * SECOND);
    const stopped = process.pipeline.ingestTasks.filter(({ state }) => state === 'stopped');
    expect(stopped).toHaveLength(1);
    process.ingestSource.reassign(process.ingestSource.everything());
    await story.pass(2 * SECOND);
    expect(story.counter(SPENT)?.['impressions']).toBe('1');
  });
});

describe('the pipeline', () => {
  test('writes nothing before the registry has been read, and begins when it is', async () => {
    const story = new Story();
    story.impression({ at: 0 });
    const process = story.process({ registry: registryWith(3, [1]) });
    const starting = process.start();
    await story.pass(2500);
    expect([story.counters.keys(), process.pipeline.ready, process.trouble]).toEqual([
      [],
      false,
      Array(3).fill('registry postgres_unreachable'),
    ]);
    await story.pass(SECOND);
    await starting;
    await story.pass(2 * SECOND);
    expect(process.pipeline.ready).toBe(true);
    expect(story.counter(SPENT)?.['impressions']).toBe('1');
  });

  test('goes on with the registry it has while Postgres is away', async () => {
    const story = new Story();
    const rows = new StaticRegistry();
    let down = false;
    const registry: RegistrySource = { load: () => (down ? Promise.reject(away) : rows.load()), close: async () => {} };
    const process = await story.started({ registry });
    down = true;
    story.impression({ at: 0 });
    await story.pass(5 * SECOND);
    expect([process.fatal, process.trouble]).toEqual([[], ['registry postgres_unreachable', 'registry postgres_unreachable']]);
    expect(story.counter(SPENT)?.['impressions']).toBe('1');
  });

  test('ends the process when the epoch is raised under it', async () => {
    const story = new Story();
    const process = await story.started({ registry: registryWith(0, [1, 1, 2]) });
    await story.pass(3 * SECOND);
    expect(process.fatal).toEqual([]);
    await story.pass(2 * SECOND);
    expect(process.fatal).toEqual(['epoch_changed']);
  });

  test('needs no registry for ingest alone', async () => {
    const story = new Story();
    const process = await story.started({ stages: ['ingest'], registry: registryWith(1000, [1]) });
    story.impression({ at: 0 });
    await story.pass(2 * SECOND);
    expect(process.dispositions('impressions')).toEqual([1, 0, 0, 0]);
  });

  test('waits for Kafka at the start, and says so, but not for a topic that is missing', async () => {
    const story = new Story();
    let asked = 0;
    const partitionCounts = async (): Promise<ReadonlyMap<string, number>> => {
      if (asked++ < 2) throw new StreamError('kafka_unreachable', 'no broker');
      return new Map(Object.entries(story.topics));
    };
    const process = story.process({ partitionCounts });
    const starting = process.start();
    await story.pass(5 * SECOND);
    await starting;
    expect([process.trouble, process.pipeline.joined]).toEqual([Array(2).fill('partition_counts kafka_unreachable'), true]);
    const missing = () => Promise.reject(new StreamError('topic_missing', 'impressions'));
    await expect(story.process({ partitionCounts: missing }).start()).rejects.toMatchObject({ code: 'topic_missing' });
  });

  test('is ready once it has joined and every task has its state', async () => {
    const story = new Story();
    const process = story.process();
    const release = process.hold(/^claim ingest:exposures/);
    expect(process.pipeline.ready).toBe(false);
    await process.start();
    await story.pass(SECOND);
    expect([process.pipeline.joined, process.pipeline.ready]).toEqual([true, false]);
    release();
    await story.pass(0);
    expect(process.pipeline.ready).toBe(true);
  });

  test('after a new epoch on an empty .partials: everything is sent and written again, and nothing is counted twice', async () => {
    const story = new Story();
    const before = await story.started();
    story.impression({ at: 0, spend_micros: 3 });
    story.exposure({ at: 0 });
    await story.pass(2 * SECOND);
    const stopping = before.stop();
    await story.pass(SECOND);
    await stopping;
    story.broker.createTopic(PARTIALS, 1);
    const after = await story.started({ registry: registryWith(0, [2]) });
    story.impression({ at: 1, spend_micros: 4 });
    await story.pass(3 * SECOND);
    expect([after.failures, after.fatal]).toEqual([[], []]);
    expect(story.counter(SPENT)).toEqual({ spend_micros: '7', impressions: '2' });
    expect(story.counter('exposed:{e}')).toEqual({ contaminated: '0', 'units:a': '1' });
    expect(story.counters.get(SPENT)?.fields['epoch']).toBe('2');
  });
});

describe('hourly totals', () => {
  const hours = (story: Story): [string, number][] => story.totals.rows().map(({ entityId, spendMicros }) => [entityId, spendMicros]);

  test('go to Postgres every 30 s, gate no commit, and come again after a failure', async () => {
    const story = new Story();
    const process = await story.started();
    process.fault(/^totals.before/, away, 2);
    story.impression({ at: 0, spend_micros: 3 });
    await story.pass(29 * SECOND);
    expect([hours(story), process.dispositions('impressions')]).toEqual([[], [1, 0, 0, 0]]);
    story.impression({ at: 1, spend_micros: 4 });
    await story.pass(60 * SECOND);
    expect(process.trouble).toEqual(['totals postgres_unreachable', 'totals postgres_unreachable']);
    expect(hours(story)).toEqual([]);
    await story.pass(5 * SECOND);
    expect(hours(story)).toEqual([['c', 7]]);
  });

  test('go early when the watermark closes an hour', async () => {
    const story = new Story();
    await story.started();
    story.impression({ at: 0, spend_micros: 3 });
    await story.pass(2 * SECOND);
    story.impression({ at: HOUR + MINUTE });
    await story.pass(3 * SECOND);
    expect(hours(story)).toEqual([
      ['c', 3],
      ['c', 1],
    ]);
  });

  test('are flushed at a stop, and dirty again for the next owner', async () => {
    const story = new Story();
    const process = await story.started();
    story.impression({ at: 0, spend_micros: 3 });
    await story.pass(2 * SECOND);
    const stopping = process.stop();
    await story.pass(SECOND);
    await stopping;
    expect(hours(story)).toEqual([['c', 3]]);
    const next = await story.started();
    expect(next.evaluate().stage?.state.hours.size).toBe(1);
  });

  test('of a writer that another has overtaken are fenced, and stay dirty', async () => {
    const story = new Story();
    const process = await story.started();
    story.totals.apply({ partialsPartition: 0, epoch: 9, version: 0, rows: [], positions: [] });
    story.impression({ at: 0 });
    await story.pass(31 * SECOND);
    expect([hours(story), process.trouble, process.evaluate().stage?.state.hours.size]).toEqual([[], [], 1]);
  });

  test('of two flushes at once: what one has not written stays dirty though the other has', async () => {
    const story = new Story();
    const process = await story.started();
    story.impression({ at: 0, spend_micros: 3 });
    await story.pass(2 * SECOND);
    const answers: ((result: FlushResult | Error) => void)[] = [];
    const flush = (_batch: HourlyBatch): Promise<FlushResult> =>
      new Promise((resolve, reject) => answers.push((result) => (result instanceof Error ? reject(result) : resolve(result))));
    const flusher = new TotalsFlusher({
      sink: { flush, close: async () => {} },
      clock: story.clock,
      flushMs: DAY,
      tasks: () => process.pipeline.evaluateTasks,
      observer: {},
    });
    const first = flusher.flush(process.pipeline.evaluateTasks);
    await story.pass(0);
    story.impression({ at: 1, campaign_id: 'd', spend_micros: 4 });
    await story.pass(2 * SECOND);
    const second = flusher.flush(process.pipeline.evaluateTasks);
    await story.pass(0);
    answers.shift()?.('written');
    await story.pass(0);
    for (let answer = answers.shift(); answer !== undefined; answer = answers.shift()) {
      answer(away);
      await story.pass(0);
    }
    await Promise.all([first, second]);
    expect(process.evaluate().stage?.state.hours.size).toBe(1);
  });
});
