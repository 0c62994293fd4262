import { describe, expect, test } from 'vitest';
import { FIRST_MULTIPLIER, nextDayMultiplier, steer } from '../../src/pacing/controller.ts';
import { dayCurve } from '../../src/pacing/day-curve.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;
const day = { startMs: 0, endMs: 24 * HOUR };
const CAP = 22_000_000;
const curve = dayCurve({ curve: 'even', capMicros: CAP, shares: null, day: 0, zone: 'UTC' });
const PER_S = CAP / (22 * 3600);
const seen = (spendMicros: number, rateMicrosPerS: number, atMs = 2 * HOUR) => ({ spendMicros, rateMicrosPerS, atMs });
const step = (multiplier: number, of: ReturnType<typeof seen>, elapsedMs = MINUTE) => steer({ multiplier, elapsedMs }, of, curve, day);
const ON_PLAN = 2 * HOUR * (PER_S / 1000);

describe('the share of auctions', () => {
  test('holds still on the plan, and in a band around it', () => {
    for (const factor of [1, 0.96, 1.04]) expect(step(0.5, seen(ON_PLAN, PER_S * factor))).toBe(0.5);
  });

  test('moves towards the plan, one tenth a minute at most, whatever the size of the fault', () => {
    expect(step(0.5, seen(0, PER_S))).toBeCloseTo(0.55, 9);
    expect(step(0.5, seen(CAP, PER_S * 9))).toBeCloseTo(0.45, 9);
    expect(step(0.5, seen(0, PER_S), MINUTE / 2)).toBeCloseTo(0.5 * Math.sqrt(1.1), 9);
    expect(step(0.5, seen(0, PER_S), 60 * MINUTE)).toBeCloseTo(0.55, 9);
  });

  test('goes no further than the plan asks for', () => {
    expect(step(0.5, seen(ON_PLAN, PER_S * 1.07))).toBeCloseTo(0.5 / 1.07, 9);
  });

  test('rises while nothing is spent, never above 1, and finds a way up from next to nothing', () => {
    let share = 0.0002;
    for (let minute = 0; minute < 110; minute++) share = step(share, seen(0, 0));
    expect(share).toBe(1);
  });

  test('is left as it was when all that was planned is spent: the right share for tomorrow', () => {
    expect(step(0.5, seen(CAP, PER_S, 21.8 * HOUR))).toBe(0.5);
  });

  test('begins slowly, the next day with half of what the last one needed', () => {
    expect(FIRST_MULTIPLIER).toBe(0.1);
    expect([1, 0.3, 0].map(nextDayMultiplier)).toEqual([0.5, 0.15, 0.0002]);
  });

  test.each([0.5, 2, 20, 200])('brings a campaign with %s times the demand it needs to its cap, near the plan all day', (demand) => {
    let share = FIRST_MULTIPLIER;
    let spent = 0;
    let rate = 0;
    let worst = 0;
    for (let second = 0; second < 22 * 3600 && spent < CAP; second++) {
      const perS = PER_S * demand * share;
      rate += (perS - rate) / 20;
      spent += perS;
      if (second % 5 === 0) share = steer({ multiplier: share, elapsedMs: 5000 }, seen(spent, rate, second * 1000), curve, day);
      if (second > 4 * 3600) worst = Math.max(worst, Math.abs(spent - second * PER_S) / CAP);
    }
    if (demand < 1) expect(spent / CAP).toBeGreaterThan(0.97 * demand);
    else {
      expect(spent / CAP).toBeGreaterThan(0.98);
      expect(worst).toBeLessThan(0.15);
    }
  });
});
