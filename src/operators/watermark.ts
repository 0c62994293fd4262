/**
 * The watermark of one source partition: no event before it is expected any more. It follows the highest accepted event
 * time at a fixed distance and never goes back.
 */
export class Watermark {
  readonly #maxOutOfOrdernessMs: number;
  #highestEventTs = Number.NEGATIVE_INFINITY;

  constructor(maxOutOfOrdernessMs: number) {
    this.#maxOutOfOrdernessMs = maxOutOfOrdernessMs;
  }

  /** Epoch ms; -Infinity before the first accepted record. */
  get ms(): number {
    return this.#highestEventTs - this.#maxOutOfOrdernessMs;
  }

  /** What it is once an event of that time was accepted. */
  after(eventTs: number): number {
    return Math.max(eventTs, this.#highestEventTs) - this.#maxOutOfOrdernessMs;
  }

  get highestEventTs(): number {
    return this.#highestEventTs;
  }

  /** True when it moved. */
  observe(eventTs: number): boolean {
    if (eventTs <= this.#highestEventTs) return false;
    this.#highestEventTs = eventTs;
    return true;
  }
}
