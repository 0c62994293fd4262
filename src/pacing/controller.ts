/**
 * Steers the share of auctions that a campaign enters, so that its spend follows the day's curve: proportional, with a
 * band in which it holds still, and slow: one tenth a minute.
 */
import { type BudgetDay, targetMicrosAt } from '../gate/curve.ts';

/** What is missing, or too much, is made up for over this time. */
const HORIZON_MS = 30 * 60_000;
/** A share that would change by less than this part of it stays. */
const BAND = 0.05;
const UP_A_MINUTE = 1.1;
const DOWN_A_MINUTE = 0.9;
/** From nothing there would be no way up again. */
const LEAST = 0.0002;
/** Steps are small also after a pause. */
const MAX_STEP_MS = 60_000;

/** A campaign begins with this share. */
export const FIRST_MULTIPLIER = 0.1;

/** A new day begins with half of what the last one needed: slow, but not from nothing. */
export const nextDayMultiplier = (multiplier: number): number => Math.min(1, Math.max(LEAST, multiplier / 2));

export interface Steering {
  /** Now in force. */
  multiplier: number;
  /** Since it was last looked at. */
  elapsedMs: number;
}

export interface Seen {
  spendMicros: number;
  rateMicrosPerS: number;
  /** Where in the day we are, epoch ms. */
  atMs: number;
}

/** The share from now on. */
export function steer({ multiplier, elapsedMs }: Steering, seen: Seen, curve: readonly number[], day: BudgetDay): number {
  const soonMicros = targetMicrosAt(curve, day, Math.min(seen.atMs + HORIZON_MS, day.endMs));
  const wantedPerS = ((soonMicros - seen.spendMicros) * 1000) / HORIZON_MS;
  // At the end of the plan nothing more is wanted, which says nothing about the share that was right.
  if (wantedPerS <= 0 && soonMicros === curve[curve.length - 1]) return multiplier;
  const proposal = seen.rateMicrosPerS > 0 ? (multiplier * wantedPerS) / seen.rateMicrosPerS : wantedPerS > 0 ? 1 : multiplier;
  if (proposal < 1 && Math.abs(proposal - multiplier) <= BAND * multiplier) return multiplier;
  const minutes = Math.min(Math.max(0, elapsedMs), MAX_STEP_MS) / 60_000;
  const most = Math.min(1, multiplier * UP_A_MINUTE ** minutes);
  const least = Math.max(LEAST, multiplier * DOWN_A_MINUTE ** minutes);
  return Math.min(most, Math.max(least, proposal));
}
