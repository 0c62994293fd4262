/** How long after its assignment a unit is exposed, by arm; of exposures that say when they were assigned. */
export class ExposureTiming {
  /** By arm: exposures with `assigned_ts`, those assigned after they were exposed, and the sum of the other's lags in ms. */
  readonly known: number[] = [];
  readonly backwards: number[] = [];
  readonly lagMs: number[] = [];

  grew(arm: number, growth: ArrayLike<number>): void {
    while (this.known.length <= arm) {
      this.known.push(0);
      this.backwards.push(0);
      this.lagMs.push(0);
    }
    this.known[arm] += growth[0];
    this.backwards[arm] += growth[1];
    this.lagMs[arm] += growth[2];
  }

  /** Null without an exposure of which it is known. */
  meanLagMs(arm: number): number | null {
    const forwards = (this.known[arm] ?? 0) - (this.backwards[arm] ?? 0);
    return forwards > 0 ? this.lagMs[arm] / forwards : null;
  }

  clear(): void {
    this.known.length = 0;
    this.backwards.length = 0;
    this.lagMs.length = 0;
  }
}
