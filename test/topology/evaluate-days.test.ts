/** Days in the campaigns' zones: what they show after restarts, changes of zone and losses. */
import { describe, expect, test } from 'vitest';
import { MemoryCounters } from '../../src/sinks/memory-counters.ts';
import { campaignForever, makeRegistry } from '../../src/sinks/registry.ts';
import { DAY, HOUR, MINUTE, SECOND, START, Story } from './drive.ts';
import { Fed, spend, units, zoned } from './fed.ts';

/** 2026-03-02 in UTC. */
const MIDNIGHT = START - 12 * HOUR;
const QUARTER = 15 * MINUTE;

describe('a day', () => {
  test.each([
    'Pacific/Pago_Pago',
    'America/New_York',
    'UTC',
    'Asia/Kathmandu',
    'Asia/Tokyo',
    'Pacific/Kiritimati',
  ])('in %s is shown whole for 8 days after its end, then not at all: also after a restart from a snapshot', (zone) => {
    const fed = new Fed({ registered: zoned(zone) });
    const week = Array.from({ length: 7 * 96 }, (_, i) => spend('c', 1, MIDNIGHT + i * QUARTER));
    fed.take(week, { watermarkMs: MIDNIGHT + 7 * DAY });
    const whole = fed.shown();
    expect(Object.values(whole).filter((micros) => micros === 96).length).toBeGreaterThanOrEqual(6);
    for (let ageMs = 0; ageMs <= 20 * DAY; ageMs += 6 * HOUR) {
      fed.flushHours();
      fed.take([], { watermarkMs: MIDNIGHT + 7 * DAY + ageMs });
      fed.commit();
      const restored = new Fed({ registered: zoned(zone), commits: [fed.snapshot()] });
      const shown = fed.shown();
      expect(restored.shown()).toEqual(shown);
      expect(whole).toMatchObject(shown);
      if (ageMs <= 8 * DAY) expect(shown).toHaveProperty(['spend:{c}:2026-03-08']);
    }
    expect(fed.shown()).toEqual({});
  });

  test('whose last hours Postgres does not have is not shown in part after a restart', () => {
    const fed = new Fed();
    fed.take([spend('c', 1, MIDNIGHT), spend('c', 1, MIDNIGHT + HOUR)], { watermarkMs: MIDNIGHT });
    fed.flushHours();
    fed.take([spend('c', 2, MIDNIGHT + HOUR)], { watermarkMs: MIDNIGHT + 30 * DAY });
    fed.commit();
    const restored = new Fed({ commits: [fed.snapshot()] });
    expect(restored.shown()).toEqual({});
    expect(restored.stage.takeHours(10)?.rows).toMatchObject([{ spendMicros: 2 }]);
  });
});

describe('a campaign’s zone that changes', () => {
  const EVENING = MIDNIGHT + 22 * HOUR;
  const MOVED = { 'spend:{c}:2026-03-02': 0, 'spend:{c}:2026-03-03': 5 };

  test('moves its days, also where an experiment has the same id', () => {
    const fed = new Fed();
    fed.take([units('c', 'a', 1), spend('c', 5, EVENING)]);
    fed.stage.register(zoned('UTC', 1));
    fed.stage.register(zoned('Asia/Tokyo', 2));
    expect(fed.shown()).toMatchObject(MOVED);
  });

  test('moves them when a row that was registered before begins', () => {
    const rows = [
      { ...campaignForever('c', 'UTC'), toMs: START },
      { ...campaignForever('c', 'Asia/Tokyo'), fromMs: START },
    ];
    const empty = { budgets: new Map(), experiments: new Map(), variants: new Map(), allocations: new Map() };
    const registryAt = (asOfMs: number) =>
      makeRegistry({ ...empty, campaigns: new Map([['c', rows]]) }, { version: 7, epoch: 3, asOfMs, loadedWallMs: 0 });
    const fed = new Fed({ registered: registryAt(START - 1000) });
    fed.take([spend('c', 5, EVENING)]);
    fed.stage.register(registryAt(START - 1));
    expect(fed.shown()).toEqual({ 'spend:{c}:2026-03-02': 5 });
    fed.stage.register(registryAt(START));
    expect(fed.shown()).toEqual(MOVED);
  });

  test('while nobody evaluates takes back what the old zone’s day showed', async () => {
    const story = new Story();
    const process = await story.started();
    story.impression({ at: 10 * HOUR, spend_micros: 5 });
    await story.pass(3 * SECOND);
    process.kill();
    story.registry.set({ campaigns: new Map([['c', [campaignForever('c', 'Asia/Tokyo')]]]) });
    await story.started();
    await story.pass(3 * SECOND);
    expect(story.counter('spend:{c}:2026-03-02')).toEqual({ spend_micros: '0', impressions: '0' });
    expect(story.counter('spend:{c}:2026-03-03')).toEqual({ spend_micros: '5', impressions: '1' });
  });

  test.each([
    'commit',
    'snapshot',
  ] as const)('between writing and a %s counts as not yet shown, so that a crash then takes nothing for granted', (how) => {
    const fed = new Fed();
    fed.take([spend('c', 5, EVENING)]);
    const before = fed.commit();
    fed.take([]);
    fed.stage.register(zoned('Asia/Tokyo', 1));
    if (how === 'snapshot') fed.stage.beginSnapshot();
    while (how === 'snapshot' && !fed.stage.snapshotSlice(10));
    const commits = [...(how === 'commit' ? [before] : []), fed.stage.takeCommit()];
    expect(new Fed({ registered: zoned('Asia/Tokyo', 1), commits }).shown()).toEqual(MOVED);
    fed.writes();
    fed.take([]);
    const after = new Fed({ registered: zoned('Asia/Tokyo', 1), commits: [fed.snapshot()] });
    expect(after.shown()).toEqual({ 'spend:{c}:2026-03-03': 5 });
  });
});

describe('a change of zone that Redis refuses, since an owner before was further', () => {
  test('is sent again, after a restart too', () => {
    const fed = new Fed();
    fed.take([spend('c', 5, MIDNIGHT + 22 * HOUR)]);
    const commits = [fed.commit()];
    fed.stage.register(zoned('Asia/Tokyo', 1));
    fed.writes({ refused: [{ key: 'spend:{c}:2026-03-02', epoch: 3, version: 7 }], dataLost: false });
    commits.push(fed.stage.takeCommit());
    const moved = ['spend:{c}:2026-03-02', 'spend:{c}:2026-03-03'];
    fed.take([]);
    expect(fed.write(2000)).toEqual(moved);
    expect(Object.keys(new Fed({ registered: zoned('Asia/Tokyo', 1), commits }).shown())).toEqual(moved);
  });
});

describe('a day that may be known only in part, since state was lost', () => {
  const larger = (fed: Fed): string[] => {
    fed.stage.owned();
    return fed.writes().flatMap(({ key, keepLarger }) => (keepLarger ? [key] : []));
  };

  test('keeps what is higher, until its campaign’s zone changes and it is empty', async () => {
    const redis = new MemoryCounters();
    const fed = new Fed({ lostBefore: 100 });
    const write = async (): Promise<unknown> => {
      await redis.write({ partition: 0, epoch: 3, version: fed.stage.position }, fed.writes());
      return ['02', '03'].map((day) => redis.get(`spend:{c}:2026-03-${day}`)?.['spend_micros']);
    };
    redis.store.plant('spend:{c}:2026-03-02', { fields: { spend_micros: '9', epoch: '3', version: '99' }, expiryMs: null });
    fed.take([spend('c', 6, MIDNIGHT + 22 * HOUR)], { watermarkMs: START });
    expect(await write()).toEqual(['9', undefined]);
    fed.stage.register(zoned('Asia/Tokyo', 1));
    expect(await write()).toEqual(['0', '6']);
  });

  test('is one that began before every source had been read to its end again', () => {
    const fed = new Fed({ lostBefore: 100 });
    const from = (partition: number, watermarkMs: number, endAgeMs: number | null = 0) => ({
      partition,
      partitions: 2,
      watermarkMs,
      endAgeMs,
    });
    fed.take([spend('c', 1), spend('c', 1, START + 3 * DAY), units('e', 'a', 1)], from(0, START));
    fed.take([], from(1, START - DAY, null)); // counts again from the beginning: it may have been further
    expect(larger(fed)).toEqual(['spend:{c}:2026-03-02', 'spend:{c}:2026-03-05', 'exposed:{e}']);
    const unsure = new Fed({ commits: [fed.snapshot()] });
    expect(larger(unsure)).toEqual(['spend:{c}:2026-03-02', 'spend:{c}:2026-03-05', 'exposed:{e}']);
    unsure.take([], from(1, START + HOUR));
    const partial = ['spend:{c}:2026-03-02', 'exposed:{e}'];
    expect(larger(unsure)).toEqual(partial);
    unsure.take([], from(0, START + 4 * DAY));
    expect(larger(unsure)).toEqual(partial);
    expect(larger(new Fed({ commits: [unsure.snapshot()] }))).toEqual(partial);
  });
});
