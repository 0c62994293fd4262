import { createHash } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { TO_SEND } from '../../src/state/cells.ts';
import { IngestStage } from '../../src/topology/ingest.ts';
import { unpacked } from '../../src/topology/packed-records.ts';
import type { PartialHeader } from '../../src/topology/partials.ts';
import { MINUTE, SECOND, START, Story } from './drive.ts';
import { readPartial } from './read-partial.ts';
import { Staged } from './staged.ts';

/** The marks of impressions/0 so far, oldest first, as one partition of `.partials` got them. */
const marks = (story: Story, partition = 0): PartialHeader[] =>
  story
    .partials(partition)
    .flatMap(({ value }) => (value === null ? [] : [readPartial(value).header]))
    .filter(({ topic }) => topic === 'impressions');

const last = (story: Story): PartialHeader | undefined => marks(story).at(-1);

test('a partition is idle after a silent minute at its end, and speaks again with its next record', async () => {
  const story = new Story();
  await story.started();
  story.impression({ at: 0 });
  await story.pass(MINUTE - 2 * SECOND);
  expect(last(story)?.idle).toBe(false);
  await story.pass(4 * SECOND);
  expect(last(story)?.idle).toBe(true);
  story.impression({ at: 1 });
  await story.pass(SECOND);
  expect(last(story)?.idle).toBe(false);
});

test('a restart at the end of the log is no silence: its own minute passes first', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 0 });
  await story.pass(2 * SECOND);
  process.kill();
  const before = marks(story).length;
  await story.started();
  await story.pass(MINUTE - 2 * SECOND);
  expect(
    new Set(
      marks(story)
        .slice(before)
        .map(({ idle }) => idle),
    ),
  ).toEqual(new Set([false]));
  await story.pass(4 * SECOND);
  expect(last(story)?.idle).toBe(true);
});

test('the oldest record of an emission is told once, however many partitions of `.partials` there are', async () => {
  const story = new Story({ partialsPartitions: 3 });
  await story.started();
  const told = (): (number | null)[] =>
    [0, 1, 2].flatMap((partition) => marks(story, partition).map(({ oldestRecordMs }) => oldestRecordMs));
  story.impression({ at: 0, kafkaAt: 5 });
  story.impression({ at: 0, kafkaAt: 3 });
  story.impression({ at: 0, kafkaAt: 9 });
  await story.pass(4 * SECOND);
  expect(told().filter((ms) => ms !== null)).toEqual([START + 3]);
  story.impression({ at: 0, kafkaAt: 7 });
  await story.pass(4 * SECOND);
  expect(
    told()
      .filter((ms) => ms !== null)
      .sort(),
  ).toEqual([START + 3, START + 7]);
});

test('a segment has its name in each record, whatever its number is in the task', () => {
  const staged = new Staged('exposures');
  const now = { monotonicMs: 60_000, wallMs: 60_000 };
  const feed = { endReachedMs: () => null, contactMs: () => 60_000 };
  let unit = 0;
  const expose = (experiment: string, countries: string[]): string[] => {
    const records = countries.map((country) => {
      const fields = { event_id: `e${unit}`, experiment_id: experiment, variant_id: 'a', unit_id: `u${unit}`, event_ts: START };
      const value = Buffer.from(JSON.stringify({ ...fields, attributes: { country } }));
      return { offset: unit, timestampMs: START, key: Buffer.from(`u${unit++}`), value };
    });
    staged.process(records);
    const sent = unpacked(staged.stage.emit(now, feed, true) ?? []).filter(({ topic }) => topic === 'partials');
    staged.stage.delivered(undefined, now);
    now.monotonicMs += 60_000;
    const cells = sent.flatMap(({ value }) => (value === null ? [] : readPartial(value).cells));
    return cells
      .filter(({ name }) => name === 'segmentUnits')
      .map(({ entity, segment, values }) => `${entity} ${segment?.variant.replace('\0', ' ')} ${values[0]}`)
      .sort();
  };
  expect(expose('x', ['DE', 'FR', 'DE'])).toEqual(['x country DE 2', 'x country FR 1']);
  expect(expose('y', ['US', 'FR'])).toEqual(['y country FR 1', 'y country US 1']);
  expect(expose('x', ['US'])).toEqual(['x country US 1']);
});

test('a large emission is made in portions, and is the same as one that is made at once', () => {
  const campaigns = 50_000;
  const records = (from: number) =>
    Array.from({ length: campaigns }, (_, i) => {
      const value = JSON.stringify({ event_id: `e${from + i}`, campaign_id: `c${i}`, spend_micros: i, event_ts: START });
      return { offset: from + i, timestampMs: START, key: Buffer.from(`k${i}`), value: Buffer.from(value) };
    });
  const [whole, parted] = [new Staged('impressions'), new Staged('impressions')];
  const process = (given: ReturnType<typeof records>): void => {
    for (const staged of [whole, parted]) for (let i = 0; i < campaigns; i += 1000) staged.process(given.slice(i, i + 1000));
  };
  const { stage } = parted;
  const left = (): number => stage.state.cells.spend.changed(TO_SEND);
  const now = { monotonicMs: 60_000, wallMs: 60_000 };
  const feed = { endReachedMs: () => null, contactMs: () => 60_000 };
  const sent = ({ stage: of }: Staged): string[] =>
    unpacked(of.emit(now, feed, false) ?? []).map(({ value }) =>
      createHash('sha256')
        .update(value ?? '')
        .digest('hex'),
    );
  /** How many cells were listed as changed after each part: of campaigns that are new, and then of those that were added up. */
  const emitted = (): number[] => {
    const lefts = [left()];
    while (stage.prepare(now, feed, false)) lefts.push(left());
    const steps = lefts.slice(1).map((many, i) => Math.abs(many - lefts[i]));
    expect(Math.max(...steps)).toBeLessThan(17_000);
    const partials = sent(parted);
    expect(left()).toBe(0);
    expect(partials.length).toBeGreaterThan(5);
    expect(partials).toEqual(sent(whole));
    for (const staged of [whole, parted]) staged.stage.delivered(undefined, now);
    expect(stage.prepare(now, feed, false)).toBe(false);
    expect(stage.emit(now, feed, false)).toBeNull();
    return lefts;
  };
  process(records(0));
  expect(emitted()).toHaveLength(4);
  process(records(campaigns));
  now.monotonicMs += 60_000;
  const lefts = emitted();
  expect([lefts[0], Math.max(...lefts)]).toEqual([0, campaigns]);
  expect(lefts.length).toBeGreaterThan(6);
});

test('a task sends all that it emits in portions, also when it is stopped between two', async () => {
  const campaigns = 40_000;
  const told = (story: Story): number =>
    new Set(
      story.partials(0).flatMap(({ value }) =>
        value === null
          ? []
          : readPartial(value)
              .cells.filter(({ name, values }) => name === 'spend' && values[0] === 3)
              .map(({ entity }) => entity),
      ),
    ).size;
  const prepared: boolean[] = [];
  const { prepare } = IngestStage.prototype;
  const story = new Story();
  let stop: () => void = () => undefined;
  vi.spyOn(IngestStage.prototype, 'prepare').mockImplementation(function (this: IngestStage, ...given) {
    prepared.push(prepare.apply(this, given));
    if (prepared.at(-1)) stop();
    return prepared.at(-1) as boolean;
  });
  const process = await story.started({ stages: ['ingest'] });
  for (let i = 0; i < campaigns; i++) story.impression({ at: 0, campaign_id: `c${i}`, spend_micros: 3 });
  const stops: Promise<void>[] = [];
  stop = () => {
    if (stops.length === 0) stops.push(process.stop());
  };
  await story.pass(5 * SECOND);
  await Promise.all(stops);
  vi.restoreAllMocks();
  expect(prepared.filter((more) => more).length).toBeGreaterThan(1);
  const before = told(story);
  await story.started({ stages: ['ingest'] });
  await story.pass(5 * SECOND);
  expect([before > 0, told(story)]).toEqual([true, campaigns]);
});
