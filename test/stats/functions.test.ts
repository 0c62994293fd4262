import { describe, expect, it } from 'vitest';
import { chiSquared, chiSquaredUpperTail } from '../../src/stats/chi-squared.ts';
import { excess, lnBinomial, lnGamma, stirlingRest } from '../../src/stats/gamma.ts';
import { lnAdd, lnMean, lnSum } from '../../src/stats/log-space.ts';
import { relativeError, VECTORS } from './vectors.ts';

describe('sums in logs', () => {
  it('neither overflow nor lose the smaller part', () => {
    expect(lnAdd(1000, 1000)).toBeCloseTo(1000 + Math.LN2, 12);
    expect(lnAdd(0, -40)).toBe(Math.exp(-40));
    expect(lnSum([Math.log(1), Math.log(2), Math.log(4)])).toBeCloseTo(Math.log(7), 14);
    expect(lnMean([-5000, -5000])).toBe(-5000);
  });

  it('take −Infinity for 0, and know no mean of nothing but "no evidence"', () => {
    expect(lnAdd(Number.NEGATIVE_INFINITY, 3)).toBe(3);
    expect(lnAdd(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
    expect(lnMean([Number.NEGATIVE_INFINITY, 0])).toBeCloseTo(-Math.LN2, 15);
    expect(lnSum([])).toBe(Number.NEGATIVE_INFINITY);
    expect(lnMean([])).toBe(0);
  });
});

describe('the gamma function', () => {
  it.each(VECTORS.ln_gamma)('ln Γ(%d) is what mpmath says', (x, expected) => {
    // Near its zeros at 1 and 2 only the absolute error can be small.
    expect(Math.min(relativeError(lnGamma(x), expected), Math.abs(lnGamma(x) - expected))).toBeLessThan(2e-15 * Math.max(1, x / 1e3));
  });

  it.each(VECTORS.stirling_rest)('what Stirling leaves over at %d is exact', (x, expected) => {
    expect(relativeError(stirlingRest(x), expected)).toBeLessThan(2e-12);
  });

  it.each(VECTORS.ln_binomial)('the binomial probability of %d of %d at %d', (x, n, p, expected) => {
    expect(relativeError(lnBinomial(x, n, p), expected)).toBeLessThan(1e-12);
  });

  it('a binomial of certain outcome has probability 1 or 0', () => {
    expect(lnBinomial(0, 5, 0)).toBe(0);
    expect(lnBinomial(5, 5, 1)).toBe(0);
    expect(lnBinomial(4, 5, 1)).toBe(Number.NEGATIVE_INFINITY);
    expect(lnBinomial(6, 5, 0.5)).toBe(Number.NEGATIVE_INFINITY);
  });

  it('the excess is half a square near 0 and joins its plain form', () => {
    expect(relativeError(excess(1e-9), 5e-19)).toBeLessThan(1e-9);
    for (const u of [0.1, -0.1]) expect(relativeError(excess(u * (1 - 1e-12)), excess(u * (1 + 1e-12)))).toBeLessThan(1e-11);
    expect(excess(-1)).toBe(1);
  });
});

describe('chi-squared', () => {
  it.each([...VECTORS.chi_squared, ...VECTORS.chi_squared_scipy])('upper tail of %d with %d degrees of freedom', (x, df, expected) => {
    expect(relativeError(chiSquaredUpperTail(x, df), expected)).toBeLessThan(2e-13);
  });

  it('keeps tails far below what 1 − cdf could show', () => {
    expect(relativeError(chiSquaredUpperTail(100, 1), 1.523970604832105e-23)).toBeLessThan(1e-13);
    expect(relativeError(chiSquaredUpperTail(50, 2), 1.3887943864964021e-11)).toBeLessThan(1e-13);
    expect(chiSquaredUpperTail(1e6, 1)).toBe(0);
  });

  it('leaves out arms of share 0, and says nothing of no units or one arm', () => {
    expect(chiSquared([60, 40, 9], [0.5, 0.5, 0])).toEqual({ statistic: 4, df: 1, pValue: chiSquaredUpperTail(4, 1) });
    expect(chiSquared([0, 0], [0.5, 0.5])).toEqual({ statistic: 0, df: 1, pValue: 1 });
    expect(chiSquared([7], [1])).toEqual({ statistic: 0, df: 0, pValue: 1 });
  });
});
