/** With a hundred thousand campaigns nothing is done for all of them in one go: not looked at, not told of, not written. */
import { expect, test } from 'vitest';
import { FIRST_MULTIPLIER } from '../../src/pacing/controller.ts';
import { budgetForever, campaignForever } from '../../src/sinks/registry.ts';
import type { Registered } from '../../src/topology/evaluate-registered.ts';
import type { Commit, CounterWrite } from '../../src/topology/types.ts';
import { DAY, HOUR, SECOND, START, Story } from './drive.ts';
import { at, Fed, FINE, heardAt, spend, zoned } from './fed.ts';

const CAMPAIGNS = 20_000;
const IN_ONE_GO = 2048;
const ids = Array.from({ length: CAMPAIGNS }, (_, i) => `c${i}`);
const LAST = ids[CAMPAIGNS - 1];

const registered = (capMicros: number, version: number): Registered => ({
  ...zoned('UTC', version),
  campaigns: new Map(ids.map((id) => [id, [campaignForever(id, 'UTC')]])),
  budgets: new Map(ids.map((id) => [id, [budgetForever(id, capMicros)]])),
});

/** A partition whose log is read to its end, at a time of day that the test says. */
class Told {
  readonly fed: Fed;
  readonly #pace = new Map<string, Record<string, string>>();
  nowMs = 0;

  constructor(commits: readonly Commit[] = []) {
    this.fed = new Fed({ registered: registered(1000, 0), commits });
    this.fed.take([], { endAgeMs: 0, lastRecordMs: START });
    this.next();
  }

  /** What is written next. */
  next(): CounterWrite[] {
    const { stage } = this.fed;
    this.nowMs = Math.max(this.nowMs, Math.ceil(stage.dueMs()));
    const now = at(this.nowMs);
    const { writes = [] } = stage.emit(now, { ...heardAt(this.nowMs), endReachedMs: () => this.nowMs }, false) ?? {};
    stage.delivered({ refused: [], dataLost: false, kept: [], timeMs: START + this.nowMs }, now);
    const paces = writes.filter(({ key }) => key.startsWith('pace:'));
    for (const { key, fields } of paces) this.#pace.set(key, fields);
    return paces;
  }

  /** All that is written within that time; no step may be a large one. */
  pass(ms: number): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; ) expect(this.next().length).toBeLessThanOrEqual(2 * IN_ONE_GO);
  }

  of(id: string): Record<string, string> {
    return this.#pace.get(`pace:{${id}}`) ?? {};
  }

  /** How many campaigns have this in that field. */
  count(field: string, value: string): number {
    return ids.filter((id) => this.of(id)[field] === value).length;
  }
}

test('a registry of many campaigns is taken in steps, and soon all of them are told of', () => {
  const told = new Told();
  told.pass(SECOND);
  expect(told.count('cap_micros', '1000')).toBe(CAMPAIGNS);
});

test('whoever is told of before its turn is told what the newest registry says', () => {
  const told = new Told();
  told.pass(SECOND);
  told.fed.stage.register(registered(2000, 1));
  told.fed.take([spend(LAST, 7, START)], { endAgeMs: 0, lastRecordMs: START });
  told.next();
  expect([told.of(LAST)['cap_micros'], told.of(LAST)['spend_micros']]).toEqual(['2000', '7']);
  const done = told.count('cap_micros', '2000');
  expect(done).toBeLessThanOrEqual(2 * IN_ONE_GO + 1);
  // Another one in the midst: in the end it is the newest that counts, for those too that had their turn.
  told.fed.stage.register(registered(3000, 2));
  told.pass(SECOND / 2);
  expect(told.count('cap_micros', '3000')).toBe(CAMPAIGNS);
});

test('whoever is told of right after midnight, before its turn, is told of the new day; all are soon', () => {
  const told = new Told();
  told.pass(SECOND);
  told.nowMs = 12 * HOUR - 1;
  told.pass(1);
  told.fed.take([spend(LAST, 7, START + 12 * HOUR)], { endAgeMs: 0, lastRecordMs: START + 12 * HOUR });
  for (let turns = 0; told.of(LAST)['spend_micros'] !== '7' && turns < 4; turns++) told.next();
  expect([told.of(LAST)['day'], told.of(LAST)['spend_micros']]).toEqual(['2026-03-03', '7']);
  told.pass(2 * SECOND);
  expect(told.count('day', '2026-03-03')).toBe(CAMPAIGNS);
});

test('at midnight nobody is called overspent on the new day for what was spent on the day before', () => {
  const told = new Told();
  // Whoever is looked at first is told of last.
  const spendAll = (micros: number, ms: number): void =>
    told.fed.take(ids.map((id) => spend(id, micros, START)).reverse(), { endAgeMs: 0, lastRecordMs: START + ms });
  spendAll(1050, 0);
  told.pass(10 * SECOND);
  expect(told.count('state', 'killed')).toBe(CAMPAIGNS);
  spendAll(1051, 12 * HOUR);
  told.nowMs = 12 * HOUR;
  told.pass(10 * SECOND);
  expect(told.count('state', 'killed')).toBe(0);
  const phases = new Set([...told.fed.stage.state.alerts.open()].map(({ phase }) => phase));
  expect([...phases]).toEqual(['2026-03-02']);
});

test('whoever is gone from the registry is told of as not valid', () => {
  const told = new Told();
  told.pass(SECOND);
  told.fed.stage.register({ ...registered(1000, 1), campaigns: new Map([[LAST, [campaignForever(LAST, 'UTC')]]]) });
  told.pass(2 * SECOND);
  expect(told.count('reason', 'not_valid')).toBe(CAMPAIGNS - 1);
  expect(told.of(LAST)['reason']).not.toBe('not_valid');
});

test('when all change their zone, whoever is told of before its turn is told of its day in the new one; all days are settled soon', () => {
  const told = new Told();
  // 18 h UTC is the next day in Tokyo.
  told.fed.take(
    ids.map((id) => spend(id, 5, START + 6 * HOUR)),
    { endAgeMs: 0, lastRecordMs: START },
  );
  told.pass(SECOND);
  told.nowMs = 6 * HOUR;
  told.pass(SECOND);
  const { stage } = told.fed;
  stage.register({ ...registered(1000, 1), zonesOf: zoned('Asia/Tokyo').zonesOf });
  told.fed.take([spend('new', 1, START + 6 * HOUR), spend(LAST, 12, START + 6 * HOUR)], { endAgeMs: 0, lastRecordMs: START + 6 * HOUR });
  told.next();
  expect([told.of(LAST)['day'], told.of(LAST)['spend_micros']]).toEqual(['2026-03-03', '12']);
  expect(stage.state.days.isSettled).toBe(false);
  told.pass(SECOND);
  expect(stage.state.days.isSettled).toBe(true);
  const [before, after] = [START / DAY - 0.5, START / DAY + 0.5];
  const days = ids.map((_, group) => [before, after].map((day) => stage.state.days.spendMicros(stage.state.groupNamed(ids[group]), day)));
  expect(days.every(([old, now], i) => old === 0 && now === (ids[i] === LAST ? 12 : 5))).toBe(true);
  expect([told.count('day', '2026-03-03'), told.count('spend_micros', '5')]).toEqual([CAMPAIGNS, CAMPAIGNS - 1]);
});

test('a commit waits for all portions of what it covers', async () => {
  const story = new Story({ settings: { pace: { commitMs: 1 } } });
  for (const id of ids) story.impression({ at: 0, campaign_id: id });
  const missing: number[] = [];
  const process = story.process({
    observer: {
      committed: ({ stage }) => {
        const held = process.evaluate().stage?.state.days.table.size ?? 0;
        if (stage === 'evaluate') missing.push(held - story.counters.keys().filter((key) => key.startsWith('spend:')).length);
      },
    },
  });
  await process.start();
  await story.pass(2 * SECOND);
  expect(story.counters.keys().filter((key) => key.startsWith('spend:'))).toHaveLength(CAMPAIGNS);
  expect(Math.max(...missing)).toBe(0);
});

test.each([1, 5])('a snapshot that is made after look %i, when not all campaigns were looked at, has how each was steered', (looks) => {
  const first = new Told();
  for (let minute = 1; minute < 4; minute++) {
    first.pass(60 * SECOND);
    first.fed.take([], { endAgeMs: 0, lastRecordMs: START + minute * 60 * SECOND });
  }
  const least = ({ fed }: Told): number => Math.min(...fed.stage.pacing.campaigns.map(({ steered: { multiplier } }) => multiplier));
  const second = new Told([first.fed.stage.takeCommit()]);
  for (let look = 1; look < looks; look++) second.next();
  second.fed.stage.takeCommit();
  const third = new Told([second.fed.snapshot()]);
  third.pass(SECOND);
  expect(least(first)).toBeGreaterThan(1.2 * FIRST_MULTIPLIER);
  expect(least(third)).toBeGreaterThan(0.95 * least(first));
});

test('days that may have been shown by others are all taken back within a second of the first', () => {
  const fed = new Fed();
  for (let day = 0; day < 3; day++)
    fed.take(
      ids.map((id) => spend(id, 5, START - day * DAY)),
      { endAgeMs: 0, lastRecordMs: START },
    );
  const takenBack = new Set<string>();
  for (let nowMs = 0; nowMs < SECOND; nowMs = Math.max(nowMs + 1, Math.ceil(fed.stage.dueMs()))) {
    const { writes = [] } = fed.stage.emit(at(nowMs), heardAt(nowMs), false) ?? {};
    fed.stage.delivered(FINE, at(nowMs));
    const empty = writes.filter(({ onlyExisting }) => onlyExisting);
    expect(empty.length).toBeLessThan(3 * IN_ONE_GO);
    for (const { key } of empty) takenBack.add(key);
  }
  // Two days before the first, and two after the last.
  expect(takenBack.size).toBe(4 * CAMPAIGNS);
});
