/** Spend by surface: an hour takes a handful of names, and decides alike after a restart. */
import { expect, test } from 'vitest';
import { DAY, HOUR, SECOND, START, Story } from './drive.ts';

/** By surface, in the hour of the story's start. */
const surfaces = async (story: Story): Promise<Record<string, number>> => {
  const process = await story.started();
  await story.pass(5 * SECOND);
  const { groups, totals } = process.evaluate().stage?.state ?? {};
  const found: Record<string, number> = {};
  groups?.forEach(({ entity }, group) => {
    const index = totals?.surfaceSpend.find(group, 0, START / HOUR) ?? -1;
    if (index !== -1) found[entity] = totals?.surfaceSpend.get(index, 0) ?? 0;
  });
  process.kill();
  return found;
};

test('is counted by hour, invalid traffic and what names no surface apart', async () => {
  const story = new Story();
  story.impression({ at: 0, surface: 'feed', spend_micros: 3 });
  story.impression({ at: 1, surface: 'feed', spend_micros: 4, campaign_id: 'other' });
  story.impression({ at: 2, surface: 'home', spend_micros: 5 });
  story.impression({ at: 3, surface: 'home', spend_micros: 9, is_valid: false });
  story.impression({ at: 4, spend_micros: 7 });
  story.impression({ at: HOUR, surface: 'feed', spend_micros: 100 });
  expect(await surfaces(story)).toEqual({ feed: 7, home: 5 });
});

test('beyond 64 names an hour, and of long names, is counted under none; a restart in between changes nothing', async () => {
  const names = Array.from({ length: 70 }, (_, i) => `surface ${i}`);
  const send = (story: Story, some: readonly string[]) => {
    for (const surface of some) story.impression({ at: 0, surface, spend_micros: 1 });
  };
  const once = new Story();
  send(once, [...names, 'x'.repeat(65), ...names]);
  const twice = new Story();
  send(twice, names.slice(0, 40));
  const before = await surfaces(twice);
  send(twice, [...names.slice(40), 'x'.repeat(65), ...names]);
  const after = await surfaces(twice);
  expect(Object.keys(before)).toHaveLength(40);
  expect(after).toEqual(await surfaces(once));
  expect(Object.keys(after)).toHaveLength(65);
  expect(after['']).toBe(1 + 2 * 6);
});

test('goes to the right hour though records of two hours take turns, and each hour has its own 64 names', async () => {
  const story = new Story();
  const names = (hour: number): string[] => Array.from({ length: 60 }, (_, i) => `surface ${i + 50 * hour}`);
  for (let round = 1; round <= 3; round++) {
    // The later hour first: it is no later than the records are allowed to come out of order.
    for (const surface of names(1)) story.impression({ at: HOUR, surface, spend_micros: 1000 });
    for (const surface of names(0)) story.impression({ at: HOUR - 1, surface, spend_micros: round });
  }
  expect(await surfaces(story)).toEqual(Object.fromEntries(names(0).map((name) => [name, 6])));
});

test('of closed hours is forgotten by ingest, and by evaluate with the days', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 0, surface: 'feed' });
  story.impression({ at: 3 * HOUR, surface: 'feed' });
  await story.pass(3 * SECOND);
  expect(process.ingest('impressions').stage?.state.cells.surfaceSpend.size).toBe(1);
  expect(process.evaluate().stage?.state.totals.surfaceSpend.size).toBe(2);
  story.impression({ at: 20 * DAY, surface: 'feed' });
  await story.pass(3 * SECOND);
  expect(process.evaluate().stage?.state.totals.surfaceSpend.size).toBe(1);
});
