/** Sums of numbers known by their natural logs; −Infinity stands for 0. */

/** ln(e^a + e^b). */
export function lnAdd(a: number, b: number): number {
  const high = a > b ? a : b;
  if (high === Number.NEGATIVE_INFINITY || high === Number.POSITIVE_INFINITY) return high;
  return high + Math.log1p(Math.exp((a > b ? b : a) - high));
}

/** ln of the sum; −Infinity of none. */
export function lnSum(logs: ArrayLike<number>): number {
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logs.length; i++) if (logs[i] > high) high = logs[i];
  if (high === Number.NEGATIVE_INFINITY || high === Number.POSITIVE_INFINITY) return high;
  let sum = 0;
  for (let i = 0; i < logs.length; i++) sum += Math.exp(logs[i] - high);
  return high + Math.log(sum);
}

/** ln of the arithmetic mean: what a mixture of equal weights is. Of none, ln 1: a mixture of nothing has no evidence. */
export const lnMean = (logs: ArrayLike<number>): number => (logs.length === 0 ? 0 : lnSum(logs) - Math.log(logs.length));
