/** `--from D --to D`: the same code over days of choice. */
import { StreamError } from '../src/errors.ts';
import { parseInstant, untilOf } from './cut.ts';
import type { Scope } from './store.ts';
import { DAY_MS, HOUR_MS } from './types.ts';

export interface BackfillRequest {
  from: string;
  to: string;
  confirmed: boolean;
}

/**
 * A date names its whole UTC day, so `--to` is inclusive there; times are whole hours, `--to` exclusive.
 * @throws StreamError bad_setting: no time, an empty range, or more than `confirmDays` without --confirm
 */
export function backfillScope({ from, to, confirmed }: BackfillRequest, confirmDays: number): Scope {
  const fromMs = untilOf(parseInstant('--from', from));
  const isDate = to.length === 'YYYY-MM-DD'.length;
  const toMs = isDate ? parseInstant('--to', to) + DAY_MS : Math.ceil(parseInstant('--to', to) / HOUR_MS) * HOUR_MS;
  if (toMs <= fromMs) throw new StreamError('bad_setting', `--from ${from} --to ${to}: nothing lies between them`);
  const days = (toMs - fromMs) / DAY_MS;
  if (days > confirmDays && !confirmed) {
    throw new StreamError(
      'bad_setting',
      `--from ${from} --to ${to} are ${Math.ceil(days)} days: more than ${confirmDays} are done only with --confirm. Look first: --dry-run`,
    );
  }
  return { fromMs, toMs, isBackfill: true };
}
