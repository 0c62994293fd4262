/**
 * The first accepted exposure of (experiment, unit) decides the unit's variant for good. An exposure of another variant
 * is a violation each time; it makes the unit contaminated once.
 */
import type { UnitStore } from '../state/units.ts';

export const FIRST = 0;
export const SAME_VARIANT = 1;
export const OTHER_VARIANT = 2;
export const NEWLY_CONTAMINATED = 3;
export type ExposureVerdict = typeof FIRST | typeof SAME_VARIANT | typeof OTHER_VARIANT | typeof NEWLY_CONTAMINATED;

/** The payload of a unit: its variant's index among those of its experiment, and this bit once it was seen in another. */
export const CONTAMINATED_BIT = 0x8000;
/** Of one experiment: indices must stay below the bit. */
export const MAX_VARIANTS = CONTAMINATED_BIT - 1;

export interface UnitKey {
  experiment: number;
  /** Hash of the unit id. */
  hi: number;
  lo: number;
  /** What is kept of it, once it was judged. */
  payload: number;
}

/** Judges one accepted exposure and notes it in the store. */
export function judgeExposure(units: UnitStore, unit: UnitKey, variant: number): ExposureVerdict {
  const known = units.look(unit.experiment, unit.hi, unit.lo);
  if (known === -1) {
    units.put(variant);
    unit.payload = variant;
    return FIRST;
  }
  unit.payload = known;
  if ((known & ~CONTAMINATED_BIT) === variant) return SAME_VARIANT;
  if ((known & CONTAMINATED_BIT) !== 0) return OTHER_VARIANT;
  units.put(known | CONTAMINATED_BIT);
  unit.payload = known | CONTAMINATED_BIT;
  return NEWLY_CONTAMINATED;
}
