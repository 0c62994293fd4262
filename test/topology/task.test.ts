import { describe, expect, test } from 'vitest';
import { StreamError } from '../../src/errors.ts';
import { Lifecycle, type TaskState } from '../../src/topology/lifecycle.ts';
import { HOUR, PARTIALS, SECOND, Story, type StoryProcess } from './drive.ts';
import { readPartial } from './read-partial.ts';

const SPENT = 'spend:{c}:2026-03-02';

/** `n` impressions of 1 micro each, a second apart. */
const impressions = (story: Story, n: number, from = 0): void => {
  for (let i = from; i < from + n; i++) story.impression({ at: i * SECOND, event_id: `i${i}` });
};

const stopped = async (story: Story, process: StoryProcess): Promise<void> => {
  const stopping = process.stop();
  await story.pass(SECOND);
  await stopping;
};

const spent = (story: Story): string | undefined => story.counter(SPENT)?.['spend_micros'];

/** Appends of ingest of impressions that were asked for. */
const APPEND = /^append ingest:impressions\/0 before/;

describe('the life of a task', () => {
  test('only takes the steps that are drawn, and throws on every other', () => {
    const paths: Record<TaskState, TaskState[]> = {
      idle: [],
      claiming: ['claiming'],
      restoring: ['claiming', 'restoring'],
      running: ['claiming', 'running'],
      backing_off: ['claiming', 'backing_off'],
      stopped: ['claiming', 'stopped'],
    };
    const states = Object.keys(paths) as TaskState[];
    const allowed = states.flatMap((from) =>
      states
        .filter((to) => {
          const life = new Lifecycle();
          for (const state of paths[from]) life.to(state);
          expect(life.state).toBe(from);
          try {
            life.to(to);
          } catch (error) {
            expect((error as Error).message).toBe(`a task cannot go from ${from} to ${to}`);
            expect(life.state).toBe(from);
            return false;
          }
          return true;
        })
        .map((to) => `${from} → ${to}`),
    );
    expect(allowed).toEqual([
      'idle → claiming',
      'claiming → idle',
      'claiming → restoring',
      'claiming → running',
      'claiming → backing_off',
      'claiming → stopped',
      'restoring → idle',
      'restoring → running',
      'restoring → backing_off',
      'restoring → stopped',
      'running → idle',
      'running → backing_off',
      'running → stopped',
      'backing_off → idle',
      'backing_off → claiming',
    ]);
  });

  test('a stop commits what was judged since the last commit, before its time', async () => {
    const story = new Story({ settings: { pace: { commitMs: HOUR } } });
    const process = await story.started();
    impressions(story, 3);
    await story.pass(300);
    expect(process.calls(APPEND)).toBe(0);
    await stopped(story, process);
    expect(process.calls(APPEND)).toBe(1);
    expect(story.broker.bounds('ingest', 'impressions', 0).committed).toBe(3);
    expect(process.failures).toEqual([]);
    const next = await story.started();
    expect(next.dispositions('impressions')).toEqual([3, 0, 0, 0]);
  });
});

describe('where a task starts', () => {
  test('no state and no committed offset: at the first offset there is', async () => {
    const story = new Story();
    impressions(story, 5);
    story.broker.partition('impressions', 0).truncate(2);
    const process = await story.started();
    await story.pass(2 * SECOND);
    expect(process.dispositions('impressions')).toEqual([3, 0, 0, 0]);
    expect(process.ingest('impressions').stage?.state.origin).toBe(2);
  });

  test('no state though the group has a committed offset: from the first offset when that is 0', async () => {
    const story = new Story();
    impressions(story, 5);
    story.broker.commit('ingest', 'impressions', 0, 4);
    const process = await story.started();
    await story.pass(2 * SECOND);
    expect(process.dispositions('impressions')).toEqual([5, 0, 0, 0]);
  });

  test('no state, a committed offset, and a log that begins later: it stops and says what to do', async () => {
    const story = new Story();
    impressions(story, 5);
    story.broker.commit('ingest', 'impressions', 0, 4);
    story.broker.partition('impressions', 0).truncate(2);
    const process = await story.started();
    expect(process.failures).toEqual(['state_lost!']);
    expect(process.ingest('impressions').error?.message).toContain('--accept-state-loss');
  });

  test('the loss accepted: it goes on at the first retained offset, and no counter goes down', async () => {
    const story = new Story();
    const before = await story.started();
    impressions(story, 5);
    await story.pass(2 * SECOND);
    expect(spent(story)).toBe('5');
    await stopped(story, before);

    story.disk.logs.delete('ingest/impressions/0');
    impressions(story, 2, 5);
    story.broker.partition('impressions', 0).truncate(4);
    const after = await story.started({ acceptStateLoss: true });
    await story.pass(2 * SECOND);
    expect(after.dispositions('impressions')).toEqual([3, 0, 0, 0]);
    expect(spent(story)).toBe('5');
    expect(after.evaluate().stage?.state.sources.lost.size).toBe(1);
    impressions(story, 4, 7);
    await story.pass(2 * SECOND);
    expect(spent(story)).toBe('7');
  });

  test.each([0, 1, 5])('with a state: at its own position, whatever the group has committed (%i)', async (committed) => {
    const story = new Story();
    const before = await story.started();
    impressions(story, 3);
    await story.pass(2 * SECOND);
    await stopped(story, before);
    impressions(story, 2, 3);
    story.broker.commit('ingest', 'impressions', 0, committed);
    const after = await story.started();
    await story.pass(2 * SECOND);
    expect(after.dispositions('impressions')).toEqual([5, 0, 0, 0]);
    expect(spent(story)).toBe('5');
  });

  test('a state ahead of its log is named: the topic was recreated', async () => {
    const story = new Story();
    const before = await story.started();
    impressions(story, 3);
    await story.pass(2 * SECOND);
    await stopped(story, before);
    const recreated = new Story();
    impressions(recreated, 2);
    const after = await recreated.started({ disk: story.disk, acceptStateLoss: true });
    expect(after.failures).toContain('position_beyond_log!');
  });

  test('a state behind the first retained offset is named, unless the loss is accepted', async () => {
    const story = new Story();
    const before = await story.started();
    impressions(story, 3);
    await story.pass(2 * SECOND);
    await stopped(story, before);
    impressions(story, 4, 3);
    story.broker.partition('impressions', 0).truncate(5);
    const refused = await story.started();
    expect(refused.failures).toEqual(['position_before_log!']);
    refused.kill();
    const accepted = await story.started({ acceptStateLoss: true });
    await story.pass(2 * SECOND);
    expect(accepted.dispositions('impressions')).toEqual([5, 0, 0, 0]);
    expect(accepted.ingest('impressions').stage?.state.origin).toBe(0);
    expect(spent(story)).toBe('5');
  });

  test('records that retention takes away while a task reads are named too', async () => {
    const story = new Story();
    const process = await story.started();
    impressions(story, 3);
    await story.pass(2 * SECOND);
    const release = process.hold(/^poll impressions\/0 before/);
    await story.pass(2 * SECOND);
    impressions(story, 4, 3);
    story.broker.partition('impressions', 0).truncate(5);
    release();
    await story.pass(SECOND);
    expect(process.failures).toEqual(['position_before_log!']);
  });

  test('a changed partition count is named, of the input as of .partials', async () => {
    const story = new Story();
    const before = await story.started();
    impressions(story, 1);
    await story.pass(2 * SECOND);
    await stopped(story, before);
    const counted = (topic: string) => () => Promise.resolve(new Map(Object.entries({ ...story.topics, [topic]: 2 })));
    for (const topic of ['impressions', PARTIALS]) {
      const after = await story.started({ partitionCounts: counted(topic), stages: ['ingest'] });
      expect(after.failures).toContain('partition_count_changed!');
      expect(after.fatal).toContain('partition_count_changed');
      after.kill();
    }
  });
});

describe('a commit', () => {
  test('covers only what was sent: a rejected send leaves no commit, and the same values go out again', async () => {
    const story = new Story({ settings: { pace: { emitMs: 5000 } } });
    const process = await story.started();
    await story.pass(2 * SECOND);
    impressions(story, 3);
    story.raw('impressions', 'broken');
    // The side output is on its way, then the broker goes: nobody knows what was written.
    process.fault(/^send exposure-stream.invalid\/0 part/);
    await story.pass(SECOND);
    expect(process.failures).toEqual(['unexpected']);
    expect(process.calls(APPEND)).toBe(0);
    expect(process.ingest('impressions').committed).toBe(0);
    await story.pass(3 * SECOND);
    expect(process.calls(APPEND)).toBe(1);
    expect(story.side('invalid').map(({ offset }) => offset)).toEqual([3, 3]);
    expect(spent(story)).toBe('3');
    expect(process.dispositions('impressions')).toEqual([3, 0, 0, 1]);
  });

  test('may be appended and its answer lost: the task reads it back and goes on after it', async () => {
    const story = new Story();
    const process = await story.started();
    process.fault(/^append ingest:impressions\/0 after/);
    impressions(story, 3);
    await story.pass(3 * SECOND);
    impressions(story, 3);
    await story.pass(3 * SECOND);
    expect(process.failures).toEqual(['unexpected']);
    expect(process.dispositions('impressions')).toEqual([3, 3, 0, 0]);
    expect(spent(story)).toBe('3');
  });

  test.each([
    /^bounds impressions/,
    /^claim ingest:impressions/,
    /^poll impressions\/0 after/,
    /^send before/,
    /^append ingest/,
    /^commit impressions/,
  ])('and every await around it may fail or be the last: %s', async (label) => {
    const story = new Story();
    const process = story.process();
    process.fault(label, undefined, 2);
    await process.start();
    impressions(story, 3);
    story.exposure({ at: 0 });
    await story.pass(5 * SECOND);
    expect(process.failures.length).toBeGreaterThan(0);
    expect(process.fatal).toEqual([]);
    expect(spent(story)).toBe('3');

    process.hold(label);
    impressions(story, 3, 2);
    await story.pass(5 * SECOND);
    process.kill();
    const next = await story.started();
    await story.pass(3 * SECOND);
    expect(next.dispositions('impressions')).toEqual([5, 1, 0, 0]);
    expect(spent(story)).toBe('5');
  });

  test('that another owner has overtaken does not count: the task claims again and reads what the other has done', async () => {
    const story = new Story();
    const first = await story.started();
    impressions(story, 2);
    await story.pass(2 * SECOND);
    const other = await story.started({ stages: ['ingest'] });
    await story.pass(2 * SECOND);
    other.kill();
    impressions(story, 2, 2);
    await story.pass(3 * SECOND);
    expect(first.failures).toContain('claim_lost');
    expect(first.dispositions('impressions')).toEqual([4, 0, 0, 0]);
    expect(spent(story)).toBe('4');
    const claims = story.partials().map(({ value }) => readPartial(value as Uint8Array).header);
    expect(new Set(claims.filter(({ topic }) => topic === 'impressions').map(({ claim }) => claim)).size).toBeGreaterThanOrEqual(3);
  });

  test('of counts that do not add up is not made: the task stops, the others go on', async () => {
    const story = new Story();
    const process = await story.started();
    impressions(story, 2);
    await story.pass(100);
    const totals = process.ingest('impressions').stage?.state.totals;
    if (totals) totals.sums.consumed++;
    story.exposure({ at: 0 });
    await story.pass(3 * SECOND);
    expect(process.failures).toEqual(['counts_mismatch!']);
    expect(process.calls(APPEND)).toBe(0);
    expect(process.fatal).toEqual([]);
    expect(process.dispositions('exposures')).toEqual([1, 0, 0, 0]);
  });
});

describe('a partition that goes and comes back', () => {
  test('between two steps, nobody else having claimed: memory still stands, and nothing is read again', async () => {
    const story = new Story({ settings: { pace: { commitMs: HOUR } } });
    const process = await story.started();
    impressions(story, 3);
    await story.pass(300);
    process.ingestSource.reassign(process.ingestSource.everything());
    await story.pass(300);
    impressions(story, 2, 3);
    await story.pass(300);
    expect(process.restored.filter(({ stage, position }) => stage === 'ingest' && position > 0)).toEqual([
      { stage: 'ingest', position: 3, resumed: true, commits: 0 },
    ]);
    await stopped(story, process);
    expect((await story.started()).dispositions('impressions')).toEqual([5, 0, 0, 0]);
  });

  test('in the middle of a step: memory is in doubt and restored from the last commit', async () => {
    const story = new Story();
    const process = await story.started();
    impressions(story, 3);
    await story.pass(2 * SECOND);
    const release = process.hold(/^send before/);
    impressions(story, 2, 3);
    await story.pass(100);
    process.fault(/^send exposure-stream.partials\/0 part/);
    process.ingestSource.reassign(process.ingestSource.everything());
    release();
    await story.pass(3 * SECOND);
    const again = process.restored.filter(({ stage, position }) => stage === 'ingest' && position > 0);
    expect(again).toEqual([{ stage: 'ingest', position: 3, resumed: false, commits: expect.any(Number) }]);
    expect(process.dispositions('impressions')).toEqual([5, 0, 0, 0]);
    expect(spent(story)).toBe('5');
  });

  test('after another owner: its commits are read, stale memory is dropped', async () => {
    const story = new Story();
    const first = await story.started();
    impressions(story, 2);
    await story.pass(2 * SECOND);
    first.ingestSource.reassign([]);
    const second = await story.started({ stages: ['ingest'] });
    impressions(story, 3, 2);
    await story.pass(2 * SECOND);
    second.ingestSource.reassign([]);
    first.ingestSource.reassign(first.ingestSource.everything());
    impressions(story, 1, 5);
    await story.pass(2 * SECOND);
    expect(first.dispositions('impressions')).toEqual([6, 0, 0, 0]);
    expect(spent(story)).toBe('6');
  });

  test('at once, though another has claimed meanwhile: memory that looks clean is dropped all the same', async () => {
    const story = new Story();
    const first = await story.started();
    impressions(story, 2);
    await story.pass(2 * SECOND);
    const release = first.hold(/^poll impressions\/0 before/);
    await story.pass(2 * SECOND);
    const second = await story.started({ stages: ['ingest'] });
    impressions(story, 3, 2);
    await story.pass(2 * SECOND);
    second.kill();
    first.ingestSource.reassign(first.ingestSource.everything());
    release();
    await story.pass(3 * SECOND);
    const again = first.restored.filter(({ stage, position }) => stage === 'ingest' && position > 0);
    expect(again).toEqual([{ stage: 'ingest', position: 5, resumed: false, commits: 2 }]);
    expect(first.failures.filter((code) => code !== 'claim_lost')).toEqual([]);
    expect(spent(story)).toBe('5');
  });
});

describe('a snapshot', () => {
  test('that is cut short because its partition goes elsewhere lets another task have its turn', async () => {
    const story = new Story({ partitions: 2, settings: { limits: { snapshotBytes: 1, snapshotRatio: 0 } } });
    const process = await story.started({ stages: ['ingest'] });
    const only = (partition: number) => process.ingestSource.reassign([{ topic: 'impressions', partition }]);
    const has = (what: 'complete' | 'commit', partition: number): boolean =>
      (story.disk.logs.get(`ingest/impressions/${partition}`) ?? []).some((entry) => what in entry);
    only(0);
    story.impression({ at: 0, partition: 0 });
    while (!has('commit', 0)) await story.pass(50);
    await story.pass(50);
    expect(has('complete', 0)).toBe(false);
    only(1);
    story.impression({ at: 0, partition: 1 });
    await story.pass(5 * SECOND);
    expect([has('complete', 0), has('complete', 1)]).toEqual([false, true]);
  });
});

describe('an error', () => {
  test('that ends the process rejects the run; one that ends the task does not', async () => {
    const story = new Story();
    const process = await story.started();
    process.fault(/^send before/, new StreamError('message_too_large', 'a record'));
    impressions(story, 1);
    await story.pass(SECOND);
    expect([process.failures, process.fatal]).toEqual([['message_too_large!'], []]);
    process.fault(/^append evaluate/, new StreamError('state_unwritable', 'a disk'));
    story.exposure({ at: 0 });
    await story.pass(2 * SECOND);
    expect(process.failures).toEqual(['message_too_large!', 'state_unwritable!']);
    expect(process.fatal).toContain('state_unwritable');
  });

  test('that may pass is tried again after 100 ms, 200 ms and so on, and is shown until the task runs', async () => {
    const story = new Story();
    const backoffs: (number | null)[] = [];
    const process = story.process({ stages: ['evaluate'], observer: { failed: (_task, _error, backoffMs) => backoffs.push(backoffMs) } });
    process.fault(/^bounds/, new StreamError('kafka_unreachable', 'no broker'), 9);
    await process.start();
    await story.pass(100);
    expect(process.evaluate()).toMatchObject({ state: 'backing_off', stage: null, error: { code: 'kafka_unreachable' } });
    await story.pass(100_000);
    expect(backoffs).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    expect(process.evaluate()).toMatchObject({ state: 'running', error: null });
  });

  test('of a newer state, or of another hash seed, is named before anything is read', async () => {
    const story = new Story();
    const before = await story.started();
    impressions(story, 1);
    await story.pass(2 * SECOND);
    await stopped(story, before);
    const entries = story.disk.logs.get('ingest/impressions/0') ?? [];
    const headers = entries.flatMap((entry) => ('header' in entry ? [entry.header] : []));
    for (const header of headers) header.formatVersion++;
    expect((await story.started()).failures).toEqual(['state_newer_format!']);
    for (const header of headers) Object.assign(header, { formatVersion: 1, hashSeedId: 'another' });
    expect((await story.started()).failures).toEqual(['state_other_seed!']);
  });

  test('of a stopped task leaves no memory behind', async () => {
    const story = new Story({ settings: { limits: { maxIds: 1 } } });
    const process = await story.started({ stages: ['ingest'] });
    process.ingestSource.reassign([{ topic: 'impressions', partition: 0 }]);
    await story.pass(0);
    impressions(story, 1);
    story.impression({ at: 0, campaign_id: 'one too many' });
    await story.pass(SECOND);
    expect(process.failures).toEqual(['too_many_ids!']);
    expect(process.pipeline.budget.usedBytes).toBe(0);
  });
});
