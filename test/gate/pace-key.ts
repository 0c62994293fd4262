/** A `pace:` key as evaluate writes it, for stories. */
import { PACE_FIELDS, SEPARATOR } from '../../src/gate/pace-fields.ts';

export const HOUR = 3_600_000;
export const DAY_START = 20_000 * 24 * HOUR;
export const NOON = DAY_START + 12 * HOUR;

export type PaceHash = Record<string, string>;

/** $240 a day, planned evenly over all 24 hours ($10 an hour), on plan at noon, counted a second ago. */
export const paceHash = (changes: Record<string, string | number> = {}): PaceHash => {
  const fields: Record<string, string | number> = {
    epoch: 1,
    version: 1000,
    state: 'open',
    multiplier: '0.5',
    reason: 'pacing',
    policy: 'graceful',
    day: '2024-10-04',
    day_start_ms: DAY_START,
    day_end_ms: DAY_START + 24 * HOUR,
    cap_micros: 240_000_000,
    spend_micros: 120_000_000,
    target_micros: 120_000_000,
    rate_micros_per_s: 2778,
    curve: Array.from({ length: 25 }, (_, at) => at * 10_000_000).join(','),
    counted_until_ms: NOON - 1000,
    updated_ms: NOON,
    ...changes,
  };
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
};

/** As a reader gives it. */
export const textOf = (hash: PaceHash): string => PACE_FIELDS.map((field) => hash[field] ?? '').join(SEPARATOR);
