/**
 * How fast a campaign spends, by Kafka time: each amount counts with the age of the records it came from, falling by e
 * every `averageMs`. Kafka time and not the clock, so that a backlog counted in a second is not taken for a rush. Beside it
 * goes a much shorter average, so that a rush is: of the two the larger is told, since what is not believed is overspent.
 */

export interface SpendRate {
  /** Micros a ms, over the long average and over the short one. */
  slow: number;
  fast: number;
  /** Kafka time they are of, and of the first spend; -Infinity before there was any. */
  atMs: number;
  sinceMs: number;
}

/** The short average is this part of the long one. */
const FAST = 1 / 8;

export const newRate = (): SpendRate => ({ slow: 0, fast: 0, atMs: Number.NEGATIVE_INFINITY, sinceMs: Number.NEGATIVE_INFINITY });

/** From when until when, by Kafka time, an amount was spent. */
export interface Span {
  fromMs: number;
  toMs: number;
}

/** Adds an amount spent evenly over a span; one of no length counts as spent at its end. */
export function addSpend(rate: SpendRate, micros: number, { fromMs, toMs }: Span, averageMs: number): void {
  if (!Number.isFinite(toMs)) return;
  const lengthMs = Math.max(0, toMs - (Number.isFinite(fromMs) ? fromMs : toMs));
  if (rate.sinceMs === Number.NEGATIVE_INFINITY) rate.sinceMs = toMs - lengthMs;
  const stepMs = toMs - rate.atMs;
  rate.slow = added(rate.slow, micros, { lengthMs, stepMs, averageMs });
  rate.fast = added(rate.fast, micros, { lengthMs, stepMs, averageMs: averageMs * FAST });
  rate.atMs = Math.max(rate.atMs, toMs);
}

/** What it is when everything up to that Kafka time is counted, micros a second. */
export const microsPerSecondAt = (rate: SpendRate, atMs: number, averageMs: number): number =>
  1000 * Math.max(longAverage(rate, atMs, averageMs), rate.fast * fading(atMs - rate.atMs, averageMs * FAST));

/** The long average alone, for what must not jump with every impression. */
export const steadyMicrosPerSecondAt = (rate: SpendRate, atMs: number, averageMs: number): number =>
  1000 * longAverage(rate, atMs, averageMs);

/** Soon after the first spend an average over more than there was would be too low by just that. */
function longAverage({ slow, atMs, sinceMs }: SpendRate, toMs: number, averageMs: number): number {
  if (slow === 0) return 0;
  const seen = -Math.expm1(-Math.max(atMs - sinceMs, averageMs * FAST) / averageMs);
  return (slow * fading(toMs - atMs, averageMs)) / seen;
}

const fading = (ms: number, averageMs: number): number => (ms > 0 ? Math.exp(-ms / averageMs) : 1);

function added(before: number, micros: number, of: { lengthMs: number; stepMs: number; averageMs: number }): number {
  const { lengthMs, stepMs, averageMs } = of;
  // The weight that is left at the end of the span: the mean of e^(-age / average) over it, divided by the average.
  const weight = lengthMs > 0 ? -Math.expm1(-lengthMs / averageMs) / lengthMs : 1 / averageMs;
  return stepMs >= 0 ? before * fading(stepMs, averageMs) + micros * weight : before + micros * weight * fading(-stepMs, averageMs);
}
