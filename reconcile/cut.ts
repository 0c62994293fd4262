/** Where a run cuts: which hours are closed in the stream and wholly booked in the truth. */
import { StreamError } from '../src/errors.ts';
import { HOUR_MS, type Kind, type SourcePosition } from './types.ts';

/** What must have sent marks before an hour counts as closed. */
export interface ExpectedSources {
  /** The input topic of each kind and its number of partitions. */
  inputs: Record<Kind, { topic: string; partitions: number }>;
  partialsPartitions: number;
}

/**
 * Hours of the kind that end at or before this (epoch ms) are closed: every source partition, as every task of evaluate knows
 * it, is idle or has a watermark of at least the hour's end + allowed lateness. -Infinity while one has not been heard of or
 * has no watermark: a partition without marks is lagging, never left out. Infinity when all are idle.
 */
export function closedUntilMs(
  kind: Kind,
  positions: readonly SourcePosition[],
  { expected, allowedLatenessMs }: { expected: ExpectedSources; allowedLatenessMs: number },
): number {
  const { topic, partitions } = expected.inputs[kind];
  const heard = positions.filter(
    (at) => at.topic === topic && at.partition < partitions && at.partialsPartition < expected.partialsPartitions,
  );
  if (heard.length < partitions * expected.partialsPartitions) return Number.NEGATIVE_INFINITY;
  return heard.reduce((least, { idle, watermarkMs }) => {
    if (idle) return least;
    return Math.min(least, (watermarkMs ?? Number.NEGATIVE_INFINITY) - allowedLatenessMs);
  }, Number.POSITIVE_INFINITY);
}

/** The event-time bound: the start of the hour that holds the given time, or now. */
export const untilOf = (atMs: number): number => Math.floor(atMs / HOUR_MS) * HOUR_MS;

/**
 * `--until`, not later than now: adjustments of a cut that lies ahead would outrank those of every run until then.
 * @throws StreamError bad_setting
 */
export function parseUntil(text: string, nowMs: number): number {
  const untilMs = parseInstant('--until', text);
  if (untilMs > nowMs) {
    throw new StreamError(
      'bad_setting',
      `--until is ${JSON.stringify(text)}, which lies ahead: expected a time up to ${new Date(nowMs).toISOString()}`,
    );
  }
  return untilMs;
}

/**
 * Epoch ms of `2026-11-25T10:00:00Z`, of a time with an offset, or of a bare date (its UTC midnight).
 * @throws StreamError bad_setting
 */
export function parseInstant(option: string, text: string): number {
  const isDate = /^\d{4}-\d\d-\d\d$/.test(text);
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const ms = isDate || isTime ? Date.parse(text) : Number.NaN;
  // Date.parse takes 30 February for 2 March.
  const day = text.slice(0, 10);
  if (Number.isNaN(ms) || new Date(Date.parse(day)).toISOString().slice(0, 10) !== day) {
    throw new StreamError(
      'bad_setting',
      `${option} is ${JSON.stringify(text)}: expected a date (2026-11-25) or a time (2026-11-25T10:00:00Z)`,
    );
  }
  return ms;
}
