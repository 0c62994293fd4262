/** Sums of numbers known by their natural logs; −Infinity stands for 0. */

/** A million terms so much smaller than the largest do not change a double. */
const NEGLIGIBLE = -52;

/** ln(e^a + e^b). */
export function lnAdd(a: number, b: number): number {
  const high = a > b ? a : b;
  if (high === Number.NEGATIVE_INFINITY || high === Number.POSITIVE_INFINITY) return high;
  return high + Math.log1p(Math.exp((a > b ? b : a) - high));
}

/** ln of the sum of the first `count`; −Infinity of none. */
export function lnSum(logs: ArrayLike<number>, count = logs.length): number {
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) if (logs[i] > high) high = logs[i];
  if (high === Number.NEGATIVE_INFINITY || high === Number.POSITIVE_INFINITY) return high;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const less = logs[i] - high;
    if (less > NEGLIGIBLE) sum += Math.exp(less);
  }
  return high + Math.log(sum);
}

/** ln of the arithmetic mean: what a mixture of equal weights is. Of none, ln 1: a mixture of nothing has no evidence. */
export const lnMean = (logs: ArrayLike<number>, count = logs.length): number => (count === 0 ? 0 : lnSum(logs, count) - Math.log(count));
