/** What an ingest state adds up over the life of its log. */
import { DISPOSITIONS } from './types.ts';

/** Sums over the life of the log, in the order they are written. Money is micros of the judged record's own amount. */
export const TOTALS = [
  'consumed',
  'lateMicros',
  'duplicateMicros',
  'invalidTrafficMicros',
  'suspected',
  'suspectedMicros',
  'outdatedEvidence',
] as const;
export type TotalName = (typeof TOTALS)[number];
export type MoneyName = Extract<TotalName, `${string}Micros`>;

export interface IngestTotals {
  /** By DISPOSITIONS. */
  dispositions: Float64Array;
  /** Invalid records by number of reason (INVALID_REASONS). */
  reasons: Float64Array;
  sums: Record<TotalName, number>;
}

export const emptyTotals = (reasons: number): IngestTotals => ({
  dispositions: new Float64Array(DISPOSITIONS.length),
  reasons: new Float64Array(reasons),
  sums: Object.fromEntries(TOTALS.map((name) => [name, 0])) as Record<TotalName, number>,
});
