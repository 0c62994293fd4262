/** What Postgres does not have yet, a batch at a time. */
import type { HourlyBatch } from '../sinks/totals.ts';
import type { EvaluateState } from './evaluate-state.ts';
import { hourlyRow } from './hourly-row.ts';
import type { CounterWriter } from './types.ts';

export class HourlyBatches {
  readonly #state: EvaluateState;
  /** What Postgres has, or is being sent. */
  #sourcesVersion = -1;

  constructor(state: EvaluateState) {
    this.#state = state;
  }

  /**
   * Hours that Postgres does not have, at most `limit` of them, or null. With the last of them go the sources' positions: so
   * what `stream_position` says is in Postgres is there. `landed` says how it went.
   */
  take(limit: number, { partition, epoch, version }: CounterWriter): HourlyBatch | null {
    const { hours: dirty, sources, loss } = this.#state;
    const hours = dirty.take(limit);
    if (hours.length === 0 && sources.version === this.#sourcesVersion) return null;
    const isLast = dirty.waiting === 0;
    if (isLast) this.#sourcesVersion = sources.version;
    return {
      partialsPartition: partition,
      epoch,
      version,
      keepLarger: loss.happened,
      rows: hours.map((hour) => hourlyRow(this.#state, hour)),
      positions: isLast ? sources.reported() : [],
    };
  }

  landed(written: boolean): void {
    if (!written) this.#sourcesVersion = -1;
    this.#state.hoursLanded(written);
  }
}
