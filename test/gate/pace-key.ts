/** A `pace:` key as evaluate writes it, for stories. */
import { hash } from 'node:crypto';
import { PACE_FIELDS, PLAN_FIELDS } from '../../src/gate/pace-fields.ts';
import { SEPARATOR } from '../../src/gate/pace-text.ts';

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
  // Another one wherever one of these is, as evaluate's is.
  fields['plan'] ??= hash('sha1', PLAN_FIELDS.map((name) => fields[name]).join(' ')).slice(0, 16);
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
};

/** As a reader gives it, in text. */
export const textOf = (hash: PaceHash): string => PACE_FIELDS.map((field) => hash[field] ?? '').join(SEPARATOR);
