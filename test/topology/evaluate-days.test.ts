/** Days in the campaigns' zones: what they show after restarts, changes of zone and losses. */
import { describe, expect, test } from 'vitest';
import { MemoryCounters } from '../../src/sinks/memory-counters.ts';
import { type CampaignRow, campaignForever, EMPTY_ROWS, makeRegistry } from '../../src/sinks/registry.ts';
import { DAY, HOUR, MINUTE, SECOND, START, Story } from './drive.ts';
import { at, Fed, FINE, heardAt, spend, units, zoned } from './fed.ts';

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

  const registered = (...rows: CampaignRow[]) =>
    makeRegistry({ ...EMPTY_ROWS, campaigns: new Map([['c', rows]]) }, { version: 7, epoch: 3, asOfMs: START, loadedWallMs: 0 });
  const until = (zone: string, toMs: number) => ({ ...campaignForever('c', zone), toMs });
  const from = (zone: string, fromMs: number, retroactiveFromMs: number | null = null) => ({
    ...campaignForever('c', zone),
    fromMs,
    retroactiveFromMs,
  });

  test('by a row of its own applies from that row’s time on', () => {
    const fed = new Fed({ registered: registered(until('UTC', START + 11 * HOUR), from('Asia/Tokyo', START + 11 * HOUR)) });
    fed.take([spend('c', 5, EVENING), spend('c', 7, EVENING + HOUR)]);
    expect(fed.shown()).toEqual({ 'spend:{c}:2026-03-02': 5, 'spend:{c}:2026-03-03': 7 });
  });

  test('retroactively applies from the time that the row says', () => {
    const fed = new Fed({ registered: registered(until('UTC', START + 11 * HOUR), from('Asia/Tokyo', START + 11 * HOUR, EVENING)) });
    fed.take([spend('c', 3, EVENING - HOUR), spend('c', 5, EVENING), spend('c', 7, EVENING + HOUR)]);
    expect(fed.shown()).toEqual({ 'spend:{c}:2026-03-02': 3, 'spend:{c}:2026-03-03': 12 });
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
  ] as const)('leaves a day that a restart from a %s knows nothing of: it is taken back, where Redis has it', (how) => {
    const fed = new Fed();
    fed.take([spend('c', 5, EVENING)]);
    const commits = [how === 'commit' ? fed.commit() : fed.snapshot()];
    const restored = new Fed({ registered: zoned('Asia/Tokyo', 1), commits });
    expect(restored.shown()).toEqual({ 'spend:{c}:2026-03-03': 5 });
    expect(restored.takenBack).toEqual(['03-01', '03-02', '03-04', '03-05'].map((day) => `spend:{c}:2026-${day}`));
  });

  test('twice while nobody evaluates takes back what each has shown', async () => {
    const story = new Story();
    const days = () => ['01', '02', '03'].map((day) => story.counter(`spend:{c}:2026-03-${day}`)?.['spend_micros']);
    story.impression({ at: -2 * HOUR, spend_micros: 5 });
    for (const zone of ['Pacific/Pago_Pago', 'UTC', 'Pacific/Kiritimati']) {
      story.registry.set({ campaigns: new Map([['c', [campaignForever('c', zone)]]]) });
      const process = await story.started();
      await story.pass(3 * SECOND);
      process.kill();
      story.disk.logs.clear();
    }
    expect(days()).toEqual(['0', '0', '5']);
  });

  test('makes no key where there was none', async () => {
    const story = new Story();
    await story.started();
    story.impression({ at: 0 });
    await story.pass(2 * MINUTE);
    expect(story.counters.keys().filter((key) => key.startsWith('spend:'))).toEqual(['spend:{c}:2026-03-02']);
  });
});

describe('a day to be taken back that somebody has written who was further', () => {
  test('is taken back when his version has been passed', () => {
    const fed = new Fed({ registered: zoned('Asia/Tokyo') });
    fed.take([spend('c', 5, MIDNIGHT + 22 * HOUR)]);
    const old = 'spend:{c}:2026-03-02';
    fed.writes({ ...FINE, refused: [{ key: old, epoch: 3, version: 3 }] });
    expect(fed.takenBack).toContain(old);
    const later = (monotonicMs: number): boolean => {
      fed.take([]);
      const out = fed.stage.emit(at(monotonicMs), heardAt(monotonicMs), true);
      fed.stage.delivered(FINE, at(monotonicMs));
      return out?.writes.some(({ key, onlyExisting }) => key === old && onlyExisting) ?? false;
    };
    expect([later(2000), later(4000), later(6000)]).toEqual([false, true, false]);
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
