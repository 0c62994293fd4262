/** Confidence sequences for the true split: at every look at once, the set holds the truth with probability 1 − alpha. */
import { DirichletMultinomial } from './dirichlet-multinomial.ts';
import { deviance } from './gamma.ts';

export type Interval = [low: number, high: number];

const MAX_HALVINGS = 200;

/** n·KL(p̂ ‖ x): how much worse share `x` explains `count` of `units` than the observed share does, in nats. */
const distance = (count: number, units: number, x: number): number => {
  if (x <= 0) return count === 0 ? 0 : Number.POSITIVE_INFINITY;
  if (x >= 1) return count === units ? 0 : Number.POSITIVE_INFINITY;
  return deviance(count, units * x) + deviance(units - count, units * (1 - x));
};

/** The share farthest from `inside` towards `outside` whose distance is within the budget. */
function bisect(inside: number, outside: number, within: (x: number) => boolean): number {
  if (within(outside)) return outside;
  let near = inside;
  let far = outside;
  for (let halving = 0; halving < MAX_HALVINGS; halving++) {
    const middle = (near + far) / 2;
    if (middle === near || middle === far) break;
    if (within(middle)) near = middle;
    else far = middle;
  }
  return near;
}

/**
 * The interval of each arm: the marginals of {θ: Σ Sᵢ ln θᵢ ≥ ln alpha + ln of the mixture's B(a+S)/B(a)} with a = kθ₀.
 * For an arm held at x the others fit best in proportion to their counts, so that a marginal is the binomial distance of
 * that arm alone within what the whole set allows. An arm of share 0 is no part of the test: [0, 0].
 * @param shares θ₀, the registry's, adding to 1
 */
export function confidenceIntervals(counts: readonly number[], shares: readonly number[], alpha: number): Interval[] {
  const test = new DirichletMultinomial(shares);
  const units = test.units(counts);
  const sum = shares.reduce((total, share) => total + share, 0);
  // Σ Sᵢ ln(p̂ᵢ/θ₀ᵢ) − ln e: by how much the best split beats the mixture. Never negative but by rounding.
  const best = units === 0 ? 0 : test.arms.reduce((total, arm) => total + deviance(counts[arm], (units * shares[arm]) / sum), 0);
  const budget = Math.max(0, best - test.lnE(counts)) - Math.log(alpha);
  return shares.map((share, arm) => {
    if (share === 0) return [0, 0];
    if (test.arms.length === 1) return [1, 1];
    if (units === 0) return [0, 1];
    const within = (x: number): boolean => distance(counts[arm], units, x) <= budget;
    const observed = counts[arm] / units;
    return [bisect(observed, 0, within), bisect(observed, 1, within)];
  });
}

/** Whether some arm's interval leaves out all shares nearer to the expected one than `floor`: a deviation worth a page. */
export const exceedsFloor = (intervals: readonly Interval[], shares: readonly number[], floor: number): boolean =>
  intervals.some(([low, high], arm) => shares[arm] > 0 && (low >= shares[arm] + floor || high <= shares[arm] - floor));
