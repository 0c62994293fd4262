/** Budget days as calendars have them, from impressions in the log to `pace:` in Redis, through the production pipeline. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type BudgetRow, budgetForever, campaignForever } from '../../src/sinks/registry.ts';
import { HOUR, MINUTE, SECOND, START, Story } from './drive.ts';

const CAP = 1_000_000;
let story: Story;
beforeEach(() => {
  story = new Story();
});

const register = (timeZone: string, budgets: BudgetRow[] = [budgetForever('c', CAP)]): void =>
  story.registry.set({ campaigns: new Map([['c', [campaignForever('c', timeZone)]]]), budgets: new Map([['c', budgets]]) });
const pace = () => story.counters.get('pace:{c}')?.fields ?? {};
const told = (...names: string[]) => names.map((name) => pace()[name]);
const win = (spendMicros: number, at = story.clock.now().wallMs - START): void => void story.impression({ at, spend_micros: spendMicros });
const leapTo = async (wallMs: number): Promise<void> => {
  await story.pass(SECOND);
  story.clock.leap(wallMs - START - 20 * SECOND - story.clock.now().monotonicMs);
  await story.pass(20 * SECOND);
};
const dayOf = (timeZone: string, atMs: number): string => new Intl.DateTimeFormat('en-CA', { timeZone }).format(atMs);

describe.each([
  ['Europe/Berlin', 23, Date.UTC(2026, 2, 28, 23)],
  ['Europe/Berlin', 25, Date.UTC(2026, 9, 24, 22)],
  ['America/New_York', 23, Date.UTC(2027, 2, 14, 5)],
  ['America/New_York', 25, Date.UTC(2026, 10, 1, 4)],
  ['Pacific/Auckland', 23, Date.UTC(2026, 8, 26, 12)],
  ['Pacific/Auckland', 25, Date.UTC(2026, 3, 4, 11)],
  // Half an hour of summer time, and a zone of :45 that changes.
  ['Australia/Lord_Howe', 23.5, Date.UTC(2026, 9, 3, 13, 30)],
  ['Pacific/Chatham', 25, Date.UTC(2026, 3, 4, 10, 15)],
])('in %s, the day of %s h', (zone, hours, startMs) => {
  test('has the full cap on 24 parts of its own length, and all of its spend and none of the next day’s', async () => {
    const endMs = startMs + hours * HOUR;
    register(zone);
    await story.started();
    await leapTo(startMs + 10 * HOUR);
    const day = dayOf(zone, startMs);
    expect(told('day', 'day_start_ms', 'day_end_ms', 'cap_micros')).toEqual([day, String(startMs), String(endMs), String(CAP)]);
    expect(Number(pace()['target_micros']) / CAP).toBeCloseTo((10 * 24) / hours / 22, 3);
    win(7);
    await leapTo(endMs - 2 * SECOND);
    win(11);
    await story.pass(SECOND);
    expect(told('day', 'spend_micros')).toEqual([day, '18']);
    await story.pass(2 * SECOND);
    win(13);
    win(17, endMs - 1 - START);
    await story.pass(3 * SECOND);
    const next = dayOf(zone, endMs);
    expect(told('day', 'day_start_ms', 'spend_micros')).toEqual([next, String(endMs), '13']);
    expect(story.counter(`spend:{c}:${day}`)?.['spend_micros']).toBe('35');
    expect(story.counter(`spend:{c}:${next}`)?.['spend_micros']).toBe('13');
  });
});

describe.each([
  ['Asia/Kolkata', 5.5],
  ['Asia/Kathmandu', 5.75],
])('in %s', (zone, offsetHours) => {
  test('the day changes under load at its own midnight, to the micro', async () => {
    const midnightMs = START + 12 * HOUR - offsetHours * HOUR;
    register(zone);
    await story.started();
    await leapTo(midnightMs - 10 * SECOND);
    const sums: Record<string, number> = {};
    for (let i = 0; i < 200; i++) {
      await story.pass(100);
      const day = story.clock.now().wallMs < midnightMs ? '2026-03-02' : '2026-03-03';
      sums[day] = (sums[day] ?? 0) + 11;
      win(11);
    }
    await story.pass(2 * SECOND);
    expect(told('day', 'day_start_ms', 'spend_micros')).toEqual(['2026-03-03', String(midnightMs), String(sums['2026-03-03'])]);
    expect(story.counter('spend:{c}:2026-03-02')?.['spend_micros']).toBe(String(sums['2026-03-02']));
  });
});

test('a budget that is entered now for this morning counts as if it had been there: the cap, its curve, and what was spent against it', async () => {
  register('UTC');
  await story.started();
  for (let i = 0; i < 10; i++) {
    win(CAP / 10);
    await story.pass(20 * SECOND);
  }
  expect(told('state', 'spend_micros')).toEqual(['stopped', String(CAP)]);
  register('UTC', [{ ...budgetForever('c', 4 * CAP), fromMs: START - 11 * HOUR }]);
  await story.pass(5 * SECOND);
  expect(told('state', 'cap_micros', 'spend_micros')).toEqual(['open', String(4 * CAP), String(CAP)]);
  expect(Number(pace()['target_micros']) / (4 * CAP)).toBeCloseTo(12 / 22, 1);
  register('UTC', [{ ...budgetForever('c', CAP / 2), fromMs: START - 11 * HOUR }]);
  await story.pass(MINUTE);
  expect(told('state', 'cap_micros', 'multiplier')).toEqual(['killed', String(CAP / 2), '0']);
});
