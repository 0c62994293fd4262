/** What a campaign plans to have spent at each 24th of a day. */
import { CURVE_POINTS } from '../gate/curve.ts';
import { weekHoursOf } from '../operators/days.ts';
import type { WeekShares } from '../sinks/registry.ts';

const PARTS = CURVE_POINTS - 1;
/** The plan is fulfilled after so many 24ths of the day: what went wrong before can still be made up for. */
export const FINISH_PART = 22;

export interface DayPlan {
  curve: 'even' | 'accelerated' | 'predicted';
  capMicros: number;
  /** Learned by `exposure-stream curve`; null where there was too little to learn from: then the day is even. */
  shares: WeekShares | null;
  /** Local day, and its zone. */
  day: number;
  zone: string;
}

/** 25 cumulative micros that never fall; the last is the cap. `accelerated` plans all of it from the beginning. */
export function dayCurve({ curve, capMicros, shares, day, zone }: DayPlan): number[] {
  if (curve === 'accelerated') return new Array(CURVE_POINTS).fill(capMicros);
  const done = curve === 'predicted' && shares !== null ? doneShares(weekHoursOf(day, zone), shares) : null;
  return Array.from({ length: CURVE_POINTS }, (_, part) => {
    const share = done === null ? part / FINISH_PART : done[part];
    return share >= 1 ? capMicros : Math.round(capMicros * share);
  });
}

/** Cumulative shares at each 24th, 1 at the finish; null where the day has no share before it. */
function doneShares(weekHours: Uint8Array, shares: WeekShares): number[] | null {
  const until = [0];
  for (const hour of weekHours) until.push(until[until.length - 1] + shares[hour]);
  const at = (part: number): number => {
    const place = (part * weekHours.length) / PARTS;
    const slot = Math.floor(place);
    return slot >= weekHours.length ? until[weekHours.length] : until[slot] + (until[slot + 1] - until[slot]) * (place - slot);
  };
  const whole = at(FINISH_PART);
  return whole > 0 ? Array.from({ length: CURVE_POINTS }, (_, part) => at(part) / whole) : null;
}
