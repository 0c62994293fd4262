import { lnGamma } from './gamma.ts';

const MAX_ROUNDS = 10_000;
const PRECISION = 1e-17;
/** Keeps the continued fraction away from a division by 0. */
const TINY = 1e-300;

/** x^a e^−x / Γ(a): what both halves of the incomplete gamma function are multiples of. */
const weight = (a: number, x: number): number => Math.exp(a * Math.log(x) - x - lnGamma(a));

/** P(a, x), the lower half, by its power series: for x < a + 1. */
function lowerHalf(a: number, x: number): number {
  let term = 1 / a;
  let sum = term;
  for (let k = 1; k < MAX_ROUNDS && term > sum * PRECISION; k++) {
    term *= x / (a + k);
    sum += term;
  }
  return sum * weight(a, x);
}

/** Q(a, x), the upper half, by Legendre's continued fraction in Lentz's form: for x ≥ a + 1. */
function upperHalf(a: number, x: number): number {
  let b = x + 1 - a;
  let c = 1 / TINY;
  let d = 1 / b;
  let value = d;
  for (let k = 1; k < MAX_ROUNDS; k++) {
    const term = k * (a - k);
    b += 2;
    d = 1 / (term * d + b || TINY);
    c = b + term / c || TINY;
    value *= d * c;
    if (Math.abs(d * c - 1) < 1e-16) break;
  }
  return value * weight(a, x);
}

/** The chance of a chi-squared of `df` degrees of freedom above `x`; the tail itself, since 1 − cdf loses all below 1e-16. */
export function chiSquaredUpperTail(x: number, df: number): number {
  if (df <= 0 || x <= 0) return 1;
  const a = df / 2;
  const half = x / 2;
  return half < a + 1 ? 1 - lowerHalf(a, half) : upperHalf(a, half);
}

export interface ChiSquared {
  statistic: number;
  df: number;
  /** Valid for one look only; shown because people know it, never alerted on. */
  pValue: number;
}

/** Pearson's statistic of counts against shares (adding to 1); arms of share 0 are left out. */
export function chiSquared(counts: readonly number[], shares: readonly number[]): ChiSquared {
  const arms = shares.flatMap((share, arm) => (share > 0 ? [arm] : []));
  const units = arms.reduce((sum, arm) => sum + counts[arm], 0);
  const df = arms.length - 1;
  let statistic = 0;
  if (units > 0) for (const arm of arms) statistic += (counts[arm] - units * shares[arm]) ** 2 / (units * shares[arm]);
  return { statistic, df, pValue: chiSquaredUpperTail(statistic, df) };
}
