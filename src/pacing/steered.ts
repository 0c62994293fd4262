/** How a campaign was steered so far. */
import { FIRST_MULTIPLIER } from './controller.ts';

export const NO_DAY = Number.NEGATIVE_INFINITY;

/** What a restart must know. */
export interface Steered {
  day: number;
  multiplier: number;
  steeredMs: number;
  killed: boolean;
  /** After a credit no more than this until then; Infinity and 0 without one. */
  dampedMicros: number;
  dampedUntilMs: number;
}

export const notSteered = (): Steered => ({
  day: NO_DAY,
  multiplier: FIRST_MULTIPLIER,
  steeredMs: Number.NaN,
  killed: false,
  dampedMicros: Number.POSITIVE_INFINITY,
  dampedUntilMs: 0,
});
