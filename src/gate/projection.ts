/** What has been spent by now though not all of it is counted yet, and how old what is counted has grown. */

/** What is known of a campaign's money, all amounts of one budget day. */
export interface Counted {
  spendMicros: number;
  rateMicrosPerS: number;
  /** Won, but not yet so far that `countedUntilMs` would cover it: rate × (impression's way to Kafka + the gate's reaction). */
  inflightMicros: number;
  /** Every impression whose Kafka time is before it is counted. */
  countedUntilMs: number;
  /** When that was written, Redis TIME. */
  updatedMs: number;
}

/** The time for which the amounts speak. */
export const asOfMs = (counted: Counted): number => Math.min(counted.countedUntilMs, counted.updatedMs);

/**
 * How long ago that was by Redis' clock, never negative.
 * `unmovedMs`: how long, by the reader's own monotonic clock, either of the two times has not moved on. Where Redis' clock is
 * behind Kafka's, what has stopped being counted would look fresh otherwise.
 */
export const ageMs = (counted: Counted, nowMs: number, unmovedMs = 0): number => Math.max(0, nowMs - asOfMs(counted), unmovedMs);

/** `spend + inflight + rate × age`, whole micros, at most 2^53 − 1. */
export const projectedMicros = (counted: Counted, age: number): number =>
  Math.min(Number.MAX_SAFE_INTEGER, counted.spendMicros + counted.inflightMicros + Math.ceil((counted.rateMicrosPerS * age) / 1000));

/** Setting's default: older than this, the amounts are not believed any more. */
export const STALE_AFTER_MS = 30_000;

export const isStale = (age: number, staleAfterMs = STALE_AFTER_MS): boolean => age > staleAfterMs;
