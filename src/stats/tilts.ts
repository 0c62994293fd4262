/**
 * One shared cause over all allocation versions of an experiment: an arm whose units come e^δ times as often as they should,
 * `qᵢ ∝ θᵢ e^{δᵢ}`. Each version is held against its own split, so a ramp is no deviation.
 */

/** |δ| that are tried, both signs, one arm at a time. */
export const TILT_SIZES = [0.02, 0.04, 0.08, 0.16, 0.4, 1, 2.5] as const;
export const TILTS: readonly number[] = TILT_SIZES.flatMap((size) => [size, -size]);

/** Likelihood ratios of every tilt against one split, kept as [arm][tilt] in one array of arms × TILTS.length. */
export class TiltedSplit {
  readonly #arms: readonly number[];
  /** ln Σⱼ θⱼ e^{δⱼ} per unit. */
  readonly #costs: Float64Array;

  /** @param shares of all arms, adding to 1 */
  constructor(shares: readonly number[]) {
    const sum = shares.reduce((total, share) => total + share, 0);
    this.#arms = shares.flatMap((share, arm) => (share > 0 ? [arm] : []));
    this.#costs = new Float64Array(shares.length * TILTS.length);
    for (const arm of this.#arms)
      TILTS.forEach((tilt, t) => {
        this.#costs[arm * TILTS.length + t] = Math.log1p((shares[arm] / sum) * Math.expm1(tilt));
      });
  }

  /** Adds ln L of each tilt for these counts. */
  addLnLikelihood(counts: ArrayLike<number>, to: Float64Array): void {
    if (this.#arms.length < 2) return; // one arm gets all, tilted or not
    let units = 0;
    for (const arm of this.#arms) units += counts[arm];
    if (units === 0) return;
    for (const arm of this.#arms) {
      const first = arm * TILTS.length;
      const count = counts[arm];
      for (let t = 0; t < TILTS.length; t++) to[first + t] += count * TILTS[t] - units * this.#costs[first + t];
    }
  }
}
