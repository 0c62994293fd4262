/** When, by the watermark, a fingerprint table is swept: a little at a time, and done long before a tag comes round again. */
import { TAGS } from './fingerprint-lines.ts';

/** A sweep begins at most so many buckets of watermark after the one before. */
const SWEEP_BUCKETS = 8;
/** Of the buckets that can be told apart and are not live, that long at most: it ends well before a tag comes round again. */
const SWEEP_SHARE = 1 / 3;
/** A sweep is done in half of that time, in so many steps. */
export const SWEEP_STEPS = 512;
/** After a jump of the watermark they come so much closer together: a batch moves it by little then. */
const HURRY = 16;
/**
 * Between two pieces of upkeep lie so many calls, each of a block of records where traffic is dense, or that share of the time between two sweeps: a batch whose records span hours
 * would else do all of a sweep.
 */
const UPKEEP_CALLS = 16;
const UPKEEP_SHARE = 1 / 128;

export class SweepTimes {
  /** Between two sweeps. */
  readonly #sweepMs: number;
  readonly #hurryMs: number;
  #sweepDueMs = Number.POSITIVE_INFINITY;
  #stepDueMs = Number.POSITIVE_INFINITY;
  /** At which there is something to do. */
  dueMs = Number.NEGATIVE_INFINITY;
  /** Calls in which it was due and not done. */
  #calls = 0;

  /** `span`: how many buckets are live at once. */
  constructor(bucketMs: number, span: number) {
    this.#sweepMs = bucketMs * Math.min(SWEEP_BUCKETS, (TAGS - span) * SWEEP_SHARE);
    this.#hurryMs = this.#sweepMs / 2 / SWEEP_STEPS / HURRY;
  }

  /** Whether upkeep that is due is done now; asked at each call. */
  mayKeepUp(watermarkMs: number): boolean {
    this.#calls++;
    if (this.#calls < UPKEEP_CALLS && watermarkMs < this.dueMs + this.#sweepMs * UPKEEP_SHARE) return false;
    this.#calls = 0;
    return true;
  }

  sweepIsDue(watermarkMs: number): boolean {
    if (this.#sweepDueMs === Number.POSITIVE_INFINITY) this.swept(watermarkMs);
    return watermarkMs >= this.#sweepDueMs;
  }

  /** True once where a step is due. */
  takeStep(watermarkMs: number): boolean {
    if (watermarkMs < this.#stepDueMs) return false;
    this.#stepDueMs = Math.max(this.#stepDueMs + this.#hurryMs * HURRY, watermarkMs + this.#hurryMs);
    return true;
  }

  /** A sweep begins, or there was nothing to sweep. */
  swept(watermarkMs: number): void {
    this.#sweepDueMs = watermarkMs === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : watermarkMs + this.#sweepMs;
    this.#stepDueMs = watermarkMs;
  }

  /** Another sweep is wanted soon. */
  hurry(watermarkMs: number): void {
    this.#sweepDueMs = watermarkMs + this.#hurryMs;
  }

  /** `nextExpiryMs`: the watermark at which the oldest bucket expires. */
  schedule(nextExpiryMs: number, isMoving: boolean): void {
    this.dueMs = Math.min(nextExpiryMs, isMoving ? this.#stepDueMs : this.#sweepDueMs);
  }
}
