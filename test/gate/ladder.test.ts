import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atLeastPercent, type Budget, killMicros, ladder, nearCapMicros, worseState } from '../../src/gate/ladder.ts';

const DOLLAR = 1_000_000;
const graceful: Budget = { capMicros: 100 * DOLLAR, policy: 'graceful' };
const strict: Budget = { ...graceful, policy: 'strict' };
const projected = (micros: number) => ({ spendMicros: 0, projectedMicros: micros });
const counted = (micros: number) => ({ spendMicros: micros, projectedMicros: micros });

describe('the ladder', () => {
  it.each([
    [94_999_999, 'open', 1],
    [95_000_000, 'throttled', 1],
    [96_000_000, 'throttled', 0.8],
    [99_000_000, 'throttled', 0.2],
    [99_999_999, 'throttled', 1 / 5_000_000],
    [100_000_000, 'stopped', 0],
    [150_000_000, 'stopped', 0],
  ])('graceful, $100: %i projected is %s', (micros, state, multiplier) => {
    expect(ladder(projected(micros), graceful)).toEqual({ state, multiplier: expect.closeTo(multiplier, 12) });
  });

  it.each([
    [94_999_999, 'open'],
    [95_000_000, 'stopped'],
    [100_000_000, 'stopped'],
  ])('strict, $100: %i projected is %s', (micros, state) => {
    expect(ladder(projected(micros), strict).state).toBe(state);
  });

  it('only counted money kills, from 102 % of the cap on, under either policy', () => {
    expect(ladder(projected(500 * DOLLAR), graceful).state).toBe('stopped');
    expect(ladder(counted(101_999_999), graceful).state).toBe('stopped');
    expect(ladder(counted(102_000_000), graceful).state).toBe('killed');
    expect(ladder(counted(102_000_000), strict).state).toBe('killed');
  });

  it('a killed campaign stays so until the counted spend is below the cap, by a credit or a higher cap', () => {
    expect(ladder(counted(100_500_000), graceful, true).state).toBe('killed');
    expect(ladder(counted(99_000_000), graceful, true).state).toBe('throttled');
    expect(ladder(counted(103_000_000), { ...graceful, capMicros: 102_500_000 }, true).state).toBe('killed');
    expect(ladder(counted(103_000_000), { ...graceful, capMicros: 200_000_000 }, true).state).toBe('open');
  });

  it('without a cap nothing may be spent, and nothing spent is no reason to kill', () => {
    const none: Budget = { capMicros: 0, policy: 'graceful' };
    expect(ladder(counted(0), none)).toEqual({ state: 'stopped', multiplier: 0 });
    expect(ladder(counted(1), none).state).toBe('killed');
  });

  it('a cap of a few micros has no band to throttle in, and stops all the same', () => {
    const tiny: Budget = { capMicros: 3, policy: 'graceful' };
    expect([0, 2, 3, 4].map((micros) => ladder(counted(micros), tiny).state)).toEqual(['open', 'open', 'stopped', 'killed']);
  });

  it('more money never means a better state or a higher multiplier', () => {
    const amount = fc.nat({ max: Number.MAX_SAFE_INTEGER });
    const policy = fc.constantFrom('graceful', 'strict');
    fc.assert(
      fc.property(amount, amount, amount, policy, (capMicros, a, b, policy) => {
        const budget = { capMicros, policy };
        const less = ladder(counted(Math.min(a, b)), budget);
        const more = ladder(counted(Math.max(a, b)), budget);
        expect(worseState(less.state, more.state)).toBe(more.state);
        expect(more.multiplier).toBeLessThanOrEqual(less.multiplier);
        for (const { multiplier } of [less, more]) expect(multiplier >= 0 && multiplier <= 1).toBe(true);
      }),
    );
  });
});

describe('percentages of a cap', () => {
  it('are exact where a double could not hold the product', () => {
    // A cap of $2^53 / 10^6 × 0.9: × 102 would leave the integers.
    fc.assert(
      fc.property(fc.nat({ max: 8_000_000_000_000_000 }), fc.constantFrom(95, 102), (micros, percent) => {
        const exact = (BigInt(micros) * BigInt(percent) + 99n) / 100n;
        expect(atLeastPercent(micros, percent)).toBe(Number(exact));
      }),
    );
  });

  it('round up: the last micro below the bound is below the bound', () => {
    expect(nearCapMicros(101)).toBe(96);
    expect(killMicros(101)).toBe(104);
  });
});
