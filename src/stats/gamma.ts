/**
 * The gamma function by what Stirling's formula leaves over: lnΓ(x) = (x − ½) ln x − x + ½ ln 2π + stirlingRest(x). Where
 * differences of lnΓ are wanted the large terms are cancelled by hand, since at 10^15 they swallow the answer.
 */

const HALF_LN_TWO_PI = 0.5 * Math.log(2 * Math.PI);
/** From here on the series below is exact to a double. */
const SERIES_FROM = 16;
/** B₂ₖ / (2k(2k − 1)): Abramowitz & Stegun 6.1.40. */
const SERIES = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156];

/** lnΓ(x) − ((x − ½) ln x − x + ½ ln 2π), for x > 0. */
export function stirlingRest(x: number): number {
  let shifted = x;
  let rest = 0;
  // rest(x) = rest(x + 1) + (x + ½) ln(1 + 1/x) − 1
  for (; shifted < SERIES_FROM; shifted++) rest += (shifted + 0.5) * Math.log1p(1 / shifted) - 1;
  const inverse = 1 / shifted;
  const square = inverse * inverse;
  let series = 0;
  for (let k = SERIES.length - 1; k >= 0; k--) series = series * square + SERIES[k];
  return rest + series * inverse;
}

/** ln Γ(x), for x > 0. */
export const lnGamma = (x: number): number => (x - 0.5) * Math.log(x) - x + HALF_LN_TWO_PI + stirlingRest(x);

/** 1/19, 1/17 … 1/3. */
const ODD_INVERSES = Array.from({ length: 9 }, (_, i) => 1 / (19 - 2 * i));

/** (1 + u) ln(1 + u) − u for u ≥ −1: half a square near 0, where the plain form would cancel. */
export function excess(u: number): number {
  if (u === -1) return 1;
  if (Math.abs(u) > 0.1) return (1 + u) * Math.log1p(u) - u;
  // With w = u / (2 + u): ln(1 + u) = 2 (w + w³/3 + w⁵/5 …), and u = 2w / (1 − w).
  const w = u / (2 + u);
  const square = w * w;
  let series = 0;
  for (let k = 0; k < ODD_INVERSES.length; k++) series = series * square + ODD_INVERSES[k];
  return u * w + (1 + u) * 2 * w * square * series;
}

/** How far `count` is from `expected` > 0, in nats: count ln(count / expected) − (count − expected). */
export const deviance = (count: number, expected: number): number => expected * excess((count - expected) / expected);

/** ln of the binomial probability C(n, x) p^x (1−p)^(n−x), by Loader's saddle point: exact where lnΓ differences are not. */
export function lnBinomial(x: number, n: number, p: number): number {
  if (x < 0 || x > n) return Number.NEGATIVE_INFINITY;
  if (p === 0) return x === 0 ? 0 : Number.NEGATIVE_INFINITY;
  if (p === 1) return x === n ? 0 : Number.NEGATIVE_INFINITY;
  if (x === 0) return n * Math.log1p(-p);
  if (x === n) return n * Math.log(p);
  // The rest of x! is that of Γ(x).
  const rest = stirlingRest(n) - stirlingRest(x) - stirlingRest(n - x);
  const spread = 0.5 * (Math.log(n / x) - Math.log(n - x)) - HALF_LN_TWO_PI;
  return rest - deviance(x, n * p) - deviance(n - x, n * (1 - p)) + spread;
}
