/** When a day is closed for good: after that its totals are history, and a difference is a row of its own. */
import { DAY_MS } from './types.ts';

const startOfDay = (ms: number): number => Math.floor(ms / DAY_MS) * DAY_MS;

/**
 * Hours before this are locked: UTC day D is once day D + `lockDays` has begun. So an hourly run looks at the last seven days
 * (today among them), and each day is looked at until its eighth.
 */
export const lockedBeforeMs = (untilMs: number, lockDays: number): number => startOfDay(untilMs) - (lockDays - 1) * DAY_MS;
