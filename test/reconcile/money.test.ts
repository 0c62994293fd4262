/** What drift means in money. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backfillScope } from '../../reconcile/backfill.ts';
import { budgetsOf } from '../../reconcile/budgets.ts';
import { compareEntity } from '../../reconcile/compare.ts';
import { lastOverMedian, nearerToOne, wholeDays } from '../../reconcile/measures.ts';
import { type Budgets, moneyOf, spreadEvenly } from '../../reconcile/money.ts';
import { CHECKS, gateReason, judgeQuality, type Measures } from '../../reconcile/quality.ts';
import { NO_EVIDENCE, type StreamHour, type TruthHour } from '../../reconcile/types.ts';
import { campaignForever, StaticRegistry } from '../../src/sinks/registry.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const FOR_EVER = { spend: Number.POSITIVE_INFINITY, exposure: Number.POSITIVE_INFINITY };
const OPTIONS = { tolerance: { ratio: 0.01, floorMicros: 10, floorCount: 1 }, bounds: { closedMs: FOR_EVER, completeMs: FOR_EVER } };

const budgets = (capMicros: number | null, dayOf = (atMs: number) => Math.floor(atMs / DAY)): Budgets => ({
  dayOf: (_, atMs) => dayOf(atMs),
  startOf: (_, day) => day * DAY,
  capMicros: () => capMicros,
});

/** Micros by hour: ours, then theirs. */
function money(hours: readonly [number, number][], what = budgets(1000)) {
  const key = (i: number) => ({ kind: 'spend' as const, entityId: 'c', allocationVersion: 0, variantId: '', hourMs: i * HOUR });
  const stream = hours.map(([amount], i): StreamHour => {
    const amounts = { amount, count: 1 };
    return { ...key(i), shown: amounts, raw: amounts, adjustedAt: null, isCorrected: false, evidence: NO_EVIDENCE };
  });
  const truth = hours.map(([, amount], i): TruthHour => ({ ...key(i), amount, count: 1, credits: 0, bookedSince: 0 }));
  return moneyOf(compareEntity(stream, truth, OPTIONS), what);
}

describe('a campaign’s day', () => {
  test('that agrees is not in the report', () => {
    expect(money([[500, 500]])).toEqual([]);
  });

  test('over its cap: absorbed; beyond 2 % over tolerance; beyond 5 % the whole is to be made good', () => {
    const amounts = (truth: number) => {
      const [day] = money([[500, truth]]);
      return [day.unseenMicros, day.absorbedMicros, day.overToleranceMicros, day.makeGoodMicros];
    };
    expect(amounts(1000)).toEqual([500, 0, 0, 0]);
    expect(amounts(1020)).toEqual([520, 20, 0, 0]);
    expect(amounts(1050)).toEqual([550, 50, 30, 0]);
    expect(amounts(1051)).toEqual([551, 51, 31, 51]);
  });

  test('that our counters stopped short of its cap is proposed to catch up over three days', () => {
    const [day] = money([
      [700, 500],
      [300, 300],
    ]);
    expect([day.creditedMicros, day.underDeliveredMicros, day.catchUpMicros]).toEqual([200, 200, [66, 66, 68]]);
    const [open] = money([[700, 500]]);
    expect([open.creditedMicros, open.underDeliveredMicros, open.catchUpMicros], 'never throttled').toEqual([200, 0, []]);
    const [free] = money([[700, 500]], budgets(null));
    expect([free.creditedMicros, free.underDeliveredMicros, free.capMicros]).toEqual([200, 0, null]);
  });

  test('is the campaign’s own: an hour may belong to two', () => {
    const kathmandu = (atMs: number): number => Math.floor((atMs + 5.75 * HOUR) / DAY);
    const hours = Array.from({ length: 19 }, (_, i): [number, number] => [0, i === 18 ? 400 : 0]);
    expect(money(hours, budgets(1000, kathmandu)).map(({ day, truthMicros }) => [day, truthMicros])).toEqual([
      [0, 100],
      [1, 300],
    ]);
  });
});

test('a spread adds up', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 10 }), (amount, parts) => {
      expect(spreadEvenly(amount, parts).reduce((sum, part) => sum + part, 0)).toBe(amount);
    }),
  );
});

describe('a backfill', () => {
  const scope = (from: string, to: string, confirmed = false) => {
    const { fromMs, toMs } = backfillScope({ from, to, confirmed }, 30);
    return (toMs - fromMs) / HOUR;
  };
  test('of dates takes both days whole, of times the hours between', () => {
    expect([scope('2026-11-01', '2026-11-01'), scope('2026-11-01', '2026-11-30')]).toEqual([24, 720]);
    expect(scope('2026-11-01T05:30:00Z', '2026-11-01T07:30:00Z')).toBe(3);
  });
  test('of more than thirty days asks first', () => {
    expect(() => scope('2026-11-01', '2026-12-01')).toThrow('--confirm');
    expect(scope('2026-11-01', '2026-12-01', true)).toBe(31 * 24);
    expect(() => scope('2026-11-02', '2026-11-01')).toThrow('nothing lies between');
  });
});

test('the cap of a day is the one valid when its zone’s day ends, and not when UTC’s does', () => {
  const midnight = Date.UTC(2026, 4, 1, 15); // of 2 May in Tokyo
  const row = (dayCapMicros: number, fromMs: number, toMs: number) => ({ campaignId: 'c', dayCapMicros, fromMs, toMs });
  const rows = [row(100, 0, midnight), row(200, midnight, Number.POSITIVE_INFINITY)];
  const registry = new StaticRegistry({
    campaigns: new Map([['c', [campaignForever('c', 'Asia/Tokyo')]]]),
    budgets: new Map([['c', rows]]),
  });
  return registry.load().then((loaded) => {
    const { capMicros } = budgetsOf({ ...loaded, asOfMs: midnight + 9 * DAY });
    const firstOfMay = Date.UTC(2026, 4, 1) / DAY;
    expect([capMicros('c', firstOfMay), capMicros('c', firstOfMay + 1)]).toEqual([100, 200]);
  });
});

test('shares of a cap are exact, whatever the cap', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.integer({ min: -5, max: 5 }), (any, apart) => {
      const cap = Math.floor(Math.abs(any) / 2);
      const truth = cap + Math.floor(cap / 20) + apart;
      if (truth < 0) return;
      const [day] = money([[0, truth]], budgets(cap));
      if (day === undefined) return;
      const [exactCap, exactTruth] = [BigInt(cap), BigInt(truth)];
      const over = exactTruth * 50n - exactCap * 51n; // fiftieths of a micro
      expect(BigInt(day.overToleranceMicros)).toBe(over <= 0n ? 0n : (over + 49n) / 50n);
      expect(day.makeGoodMicros > 0).toBe(exactTruth * 20n > exactCap * 21n);
    }),
  );
});

describe('data-quality checks', () => {
  const good: Measures = {
    rowCountRatio: 1,
    nullShare: 0,
    staleHours: 1,
    wrongColumns: 0,
    baselineRatio: 1,
    unassignedShare: 0,
    duplicateShare: 0.05,
  };
  const options = { nowMs: 100 * DAY, shadowMs: 14 * DAY, staleHours: 6, alwaysShadow: [], firstMs: new Map<string, number>() };
  const since = (days: number) => new Map(CHECKS.map(({ name, version }) => [`${name}/${version}`, options.nowMs - days * DAY]));

  test('only watch for their first fourteen days, then hold the run', () => {
    const bad = { ...good, rowCountRatio: 0.1 };
    for (const [days, held] of [
      [0, false],
      [13, false],
      [14, true],
    ] as const) {
      const results = judgeQuality(bad, { ...options, firstMs: since(days) });
      expect(results.filter(({ passed }) => !passed).map(({ check }) => check.name)).toEqual(['row_count_floor']);
      expect(gateReason(results)?.includes('row_count_floor') ?? false).toBe(held);
    }
    expect(gateReason(judgeQuality(bad, { ...options, firstMs: since(20), alwaysShadow: ['row_count_floor'] }))).toBeNull();
  });

  test('all pass on good data, each fails on bad, and what cannot be measured says nothing', () => {
    expect(judgeQuality(good, options).every(({ passed }) => passed)).toBe(true);
    const bad: Measures = {
      rowCountRatio: 0.4,
      nullShare: 0.01,
      staleHours: 7,
      wrongColumns: 1,
      baselineRatio: 3,
      unassignedShare: 0.1,
      duplicateShare: 0.3,
    };
    expect(judgeQuality(bad, options).filter(({ passed }) => passed)).toEqual([]);
    expect(judgeQuality({ ...good, unassignedShare: null }, options)).toHaveLength(CHECKS.length - 1);
    const gates = judgeQuality(bad, { ...options, firstMs: since(20) }).filter(({ mode }) => mode === 'gate');
    expect(
      gates.map(({ check }) => check.priority),
      'hygiene holds no money',
    ).not.toContain(3);
  });

  test('a truth that does not say how far it is complete is infinitely stale; how stale it may be is set', () => {
    const passes = (staleHours: number, most: number): boolean | undefined =>
      judgeQuality({ ...good, staleHours }, { ...options, staleHours: most }).find(({ check }) => check.name === 'freshness')?.passed;
    expect([passes(7, 6), passes(7, 30), passes(31, 30), passes(Number.POSITIVE_INFINITY, 1e9)]).toEqual([false, true, false, false]);
    const unknown = judgeQuality({ ...good, staleHours: Number.POSITIVE_INFINITY }, { ...options, firstMs: since(20) });
    expect(gateReason(unknown)).toContain('unknown');
  });

  test('know days without rows, from the truth’s first whole day on', () => {
    const day = (i: number, rows: number) => ({ dayMs: i * DAY, rows, micros: rows, nulls: 0 });
    const rows = (days: ReturnType<typeof day>[], from: number, to: number) => wholeDays(days, from * DAY, to * DAY).map((one) => one.rows);
    expect(rows([day(3, 9), day(4, 8), day(6, 7)], 3, 8.5)).toEqual([9, 8, 0, 7, 0]);
    expect(rows([day(3, 9), day(4, 8)], 1, 5), 'a truth that began on day 3, at whatever time').toEqual([8]);
    expect(rows([day(3, 9), day(4, 8)], 3.5, 5), 'a scope that begins within a day').toEqual([8]);
    expect(rows([], 1, 5)).toEqual([]);
  });

  test('blame the truth for no change of spend that the stream has seen too, and for one that it has not', () => {
    expect([
      nearerToOne(7, 7),
      nearerToOne(7, 1),
      nearerToOne(0, 1),
      nearerToOne(1, 0.5),
      nearerToOne(null, 1),
      nearerToOne(7, null),
    ]).toEqual([1, 7, 0, 1, null, 7]);
  });

  test('hold the last day against the median of those before, if there are three', () => {
    expect([lastOverMedian([1, 2, 3]), lastOverMedian([10, 20, 30, 10]), lastOverMedian([0, 0, 0, 5])]).toEqual([null, 0.5, null]);
  });
});
