import { lnMean } from './log-space.ts';

/** Rates that are tried, as multiples of the tolerated one. */
export const EXCESS_FACTORS = [1.25, 1.5, 2, 3, 5, 10, 30, 100] as const;

/** count · ln p, where nothing times anything is nothing. */
const times = (count: number, lnP: number): number => (count === 0 ? 0 : count * lnP);

/**
 * ln e against "at most `tolerated` of all units": a one-sided mixture over the rates above, each at most 1. Anytime-valid,
 * where a raw rate against a bound flags half of all healthy experiments early.
 * @param events units that have it, of `units`
 */
export function lnExcessRate(events: number, units: number, tolerated: number): number {
  const logs = EXCESS_FACTORS.map((factor) => {
    const rate = Math.min(1, tolerated * factor);
    return times(events, Math.log(rate / tolerated)) + times(units - events, Math.log1p(-rate) - Math.log1p(-tolerated));
  });
  return lnMean(logs);
}
