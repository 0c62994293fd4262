/** Design §3 must 9: losing state lowers nothing, and is told for as long as it matters. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Metrics } from '../../src/metrics.ts';
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import { EVALUATE_PARTS } from '../../src/topology/evaluate-parts.ts';
import { collect } from '../../src/web/collect.ts';
import { MINUTE, PARTIALS, SECOND, Story, type StoryProcess } from './drive.ts';

const SPENT = 'spend:{c}:2026-03-02';
const EXPOSED = 'exposed:{e}';
const EVALUATE = `evaluate/${PARTIALS}/0`;

const stopped = async (story: Story, process: StoryProcess): Promise<void> => {
  const stopping = process.stop();
  await story.pass(SECOND);
  await stopping;
};

const hourOf = (story: Story, variantId = '') => story.totals.rows().find((row) => row.variantId === variantId);

/** Five micros, units of two variants and one contaminated unit in the story's first quarter hour, in Redis and Postgres. */
const counted = async (story: Story): Promise<void> => {
  const process = await story.started();
  for (let i = 0; i < 5; i++) story.impression({ at: i * SECOND });
  story.exposure({ at: 0, unit_id: 'u1' });
  story.exposure({ at: 0, unit_id: 'u2' });
  story.exposure({ at: SECOND, unit_id: 'u3', variant_id: 'b' });
  story.exposure({ at: SECOND, unit_id: 'u3' });
  await story.pass(2 * SECOND);
  await stopped(story, process);
  expectCounted(story);
};

const expectCounted = (story: Story): void => {
  expect(story.counter(SPENT)).toEqual({ spend_micros: '5', impressions: '5' });
  expect(story.counter(EXPOSED)).toEqual({ 'units:a': '2', 'units:b': '1', contaminated: '1' });
  expect(hourOf(story)).toMatchObject({ spendMicros: 5, impressions: 5 });
};

/** All partials so far are gone from the log. */
const truncatePartials = (story: Story): void => {
  const { end } = story.broker.bounds('evaluate', PARTIALS, 0);
  story.broker.partition(PARTIALS, 0).truncate(end);
};

const told = async (process: StoryProcess): Promise<Record<string, number>> => {
  const metrics = new Metrics();
  collect(metrics, process.pipeline, { ...process.now(), wallMs: 0 });
  const [sources] = (await metrics.gauge('sources_with_lost_state').get()).values;
  const tasks = (await metrics.gauge('tasks_with_lost_state').get()).values;
  return { ...Object.fromEntries(tasks.map(({ labels, value }) => [labels['stage'], value])), sources: sources.value };
};

describe('evaluate that has lost its state behind a truncated .partials', () => {
  let story: Story;
  beforeEach(async () => {
    story = new Story();
    await counted(story);
    story.disk.logs.delete(EVALUATE);
    truncatePartials(story);
  });

  test('stops, unless the loss is accepted', async () => {
    const process = await story.started();
    expect(process.failures).toEqual(['state_lost!']);
    expectCounted(story);
  });

  test('raises counters and hourly totals and lowers none, though it holds less than they do', async () => {
    const process = await story.started({ acceptStateLoss: true });
    const version = story.version(SPENT);
    // Another quarter of the same hour, and a variant of the same experiment: what was before is not sent again.
    story.impression({ at: 20 * MINUTE, spend_micros: 3 });
    story.exposure({ at: 20 * MINUTE, unit_id: 'u4' });
    await story.pass(2 * SECOND);
    expect(process.failures).toEqual([]);
    expect(story.version(SPENT)).toBeGreaterThan(version);
    expect(story.counter(SPENT)).toEqual({ spend_micros: '5', impressions: '5' });
    expect(story.counter(EXPOSED)).toEqual({ 'units:a': '3', 'units:b': '1', contaminated: '1' });
    story.impression({ at: 20 * MINUTE, spend_micros: 4 });
    await story.pass(2 * SECOND);
    expect(story.counter(SPENT)).toEqual({ spend_micros: '7', impressions: '5' });
    await stopped(story, process);
    expect(hourOf(story)).toMatchObject({ spendMicros: 7, impressions: 5 });
    expect([hourOf(story, 'a')?.units, hourOf(story, 'b')?.units]).toEqual([3, 1]);
  });

  test('says so, also after it has been started again without the option', async () => {
    const process = await story.started({ acceptStateLoss: true });
    expect(await told(process)).toEqual({ ingest: 0, evaluate: 1, sources: 0 });
    story.impression({ at: 20 * MINUTE });
    await story.pass(2 * SECOND);
    await stopped(story, process);
    const next = await story.started();
    expect(await told(next)).toEqual({ ingest: 0, evaluate: 1, sources: 0 });
    story.impression({ at: 20 * MINUTE });
    await story.pass(2 * SECOND);
    expect(story.counter(SPENT)).toEqual({ spend_micros: '5', impressions: '5' });
  });

  test('knows it by itself where the group has no committed offset to tell of a state', () => {
    const { pace, pacing, limits, srm } = story.settings;
    const stage = new EvaluateStage({
      topic: 'exposure-stream.partials',
      partition: 0,
      partialsPartitions: 1,
      pace,
      pacing,
      limits,
      srm,
      parts: EVALUATE_PARTS,
    });
    stage.begin(0, false);
    expect(stage.lossy).toBe(false);
    stage.begin(7, false);
    expect(stage.lossy).toBe(true);
  });
});

describe('records that are gone before they were read', () => {
  test('of .partials: what Redis got from them beyond the last commit does not go down', async () => {
    const story = new Story();
    await counted(story);
    const process = await story.started();
    process.hold(/^append evaluate/);
    for (let i = 0; i < 4; i++) story.impression({ at: 20 * MINUTE });
    await story.pass(2 * SECOND);
    process.kill();
    expect(story.counter(SPENT)).toEqual({ spend_micros: '9', impressions: '9' });
    truncatePartials(story);
    const next = await story.started({ acceptStateLoss: true });
    story.impression({ at: 40 * MINUTE });
    await story.pass(2 * SECOND);
    expect(next.evaluate().stage?.state.totals.spend.size).toBe(2); // the quarter between is missing
    expect(story.counter(SPENT)).toEqual({ spend_micros: '9', impressions: '9' });
    expect(await told(next)).toEqual({ ingest: 0, evaluate: 1, sources: 0 });
  });

  test('of an input: it goes on from what it has, and says so from then on', async () => {
    const story = new Story();
    await counted(story);
    for (let i = 0; i < 3; i++) story.impression({ at: 2 * SECOND });
    story.broker.partition('impressions', 0).truncate(7);
    const process = await story.started({ acceptStateLoss: true });
    await story.pass(2 * SECOND);
    expect(story.counter(SPENT)).toEqual({ spend_micros: '6', impressions: '6' });
    expect(await told(process)).toEqual({ ingest: 1, evaluate: 0, sources: 0 });
    await stopped(story, process);
    expect(await told(await story.started())).toEqual({ ingest: 1, evaluate: 0, sources: 0 });
  });
});

test('ingest that has lost its state behind a truncated input is told of by both stages, also after a restart', async () => {
  const story = new Story();
  await counted(story);
  story.disk.logs.delete('ingest/impressions/0');
  story.impression({ at: 3 * SECOND });
  story.broker.partition('impressions', 0).truncate(4);
  const process = await story.started({ acceptStateLoss: true });
  await story.pass(2 * SECOND);
  expect(process.ingest('impressions').stage?.lossy).toBe(true);
  expect(process.ingest('exposures').stage?.lossy).toBe(false);
  expect(story.counter(SPENT)).toEqual({ spend_micros: '5', impressions: '5' });
  expect(await told(process)).toEqual({ ingest: 1, evaluate: 0, sources: 1 });
  await stopped(story, process);
  expect(await told(await story.started())).toEqual({ ingest: 1, evaluate: 0, sources: 1 });
});

test('a beginning at the first offset there is, and a state recomputed from a whole log, are no loss', async () => {
  const story = new Story();
  for (let i = 0; i < 5; i++) story.impression({ at: i * SECOND });
  story.broker.partition('impressions', 0).truncate(2);
  const process = await story.started();
  await story.pass(2 * SECOND);
  expect(await told(process)).toEqual({ ingest: 0, evaluate: 0, sources: 0 });
  await stopped(story, process);
  story.disk.logs.delete(EVALUATE);
  const next = await story.started({ acceptStateLoss: true });
  await story.pass(2 * SECOND);
  expect(next.restored.map(({ position }) => position).sort()).toEqual([0, 0, 0, 5]);
  expect(await told(next)).toEqual({ ingest: 0, evaluate: 0, sources: 0 });
  expect(story.counter(SPENT)).toEqual({ spend_micros: '3', impressions: '3' });
});
