/** When a day is closed for good: after that its totals are history, and a difference is a row of its own. */
import type { RunHead } from './store.ts';
import { DAY_MS, HOUR_MS } from './types.ts';

/** What runs before this one have left; null where there was none. */
export interface LockState {
  /** The highest lock of all runs but dry ones. */
  lockedMs: number | null;
  /** The first hour that one of them looked at, backfills apart. */
  beganMs: number | null;
}

const startOfDay = (ms: number): number => Math.floor(ms / DAY_MS) * DAY_MS;

/**
 * Hours before this are locked: UTC day D is once day D + `lockDays` has begun. So an hourly run looks at the last seven days
 * (today among them), and each day is looked at until its eighth.
 */
export const lockedBeforeMs = (untilMs: number, lockDays: number): number => startOfDay(untilMs) - (lockDays - 1) * DAY_MS;

/** The lock of a run: it never goes back, however far back `--until` lies. */
export const lockOf = (untilMs: number, lockDays: number, { lockedMs }: LockState): number =>
  Math.max(lockedBeforeMs(untilMs, lockDays), lockedMs ?? Number.NEGATIVE_INFINITY);

/**
 * The first hour that a run looks at. Days that are not locked; and what was not settled when they were: hours that the last applied
 * run found open or not wholly booked, and all that were not locked yet then, so that each is looked at once more after its lock.
 */
export function firstHourMs(
  untilMs: number,
  lockDays: number,
  { last, lock }: { last: Pick<RunHead, 'cut' | 'scope' | 'lockedMs'> | null; lock: LockState },
): number {
  const fromMs = lockedBeforeMs(untilMs, lockDays);
  if (last === null) return Math.min(fromMs, lock.beganMs ?? fromMs);
  if (untilMs < last.cut.untilMs) return fromMs;
  return Math.min(fromMs, last.lockedMs, settledBeforeMs(last));
}

/** Hours of spend before this had been settled by that run, or by one before it. */
function settledBeforeMs({ cut, scope }: Pick<RunHead, 'cut' | 'scope'>): number {
  const finalMs = Math.min(cut.closedMs.spend, cut.completeMs.spend, scope.toMs);
  return Math.max(scope.fromMs, Math.floor(finalMs / HOUR_MS) * HOUR_MS);
}
