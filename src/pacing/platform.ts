/** Spend of all campaigns together: what is expected of an hour, and who is behind it when there is more. Pure. */
import type { AlertDraft, Json } from '../alerts/types.ts';

/** Of what is expected; above it somebody should look. */
const TOO_MUCH = 1.4;
/** Of the hour: before that, too little has happened to be held against a part of it. */
const LEAST_ELAPSED = 0.25;
/** Of the excess; one that explains so much of it is the culprit. */
const CULPRIT_SHARE = 0.6;
const WEEK_HOURS = 168;
const NAMED = 5;

export type Expected = { micros: number; from: 'forecast' | 'median' } | { micros: null; from: 'too_little_history' };

/**
 * The forecast, else the median of the same weekday and hour over 14 days: of one value it is that one, of two their mean.
 * @param hour count of hours since the epoch
 * @param history total spend of past hours; one that nobody was there to read is missing, and says nothing of what is usual
 */
export function expectedOf(hour: number, forecast: ReadonlyMap<number, number>, history: ReadonlyMap<number, number>): Expected {
  const planned = forecast.get(hour * 3_600_000);
  if (planned !== undefined) return { micros: planned, from: 'forecast' };
  const known = [hour - WEEK_HOURS, hour - 2 * WEEK_HOURS].flatMap((one) => history.get(one) ?? []);
  if (known.length === 0) return { micros: null, from: 'too_little_history' };
  return { micros: known.reduce((sum, micros) => sum + micros, 0) / known.length, from: 'median' };
}

/** One campaign's, advertiser's or surface's part of an hour, and of the same hour the day before. */
export interface Part {
  name: string;
  micros: number;
  yesterday: number;
}
export const SPLITS = ['campaign', 'advertiser', 'surface'] as const;
export type Split = (typeof SPLITS)[number];

export interface PlatformHour {
  hour: number;
  /** How much of it is counted: 0…1. */
  elapsed: number;
  micros: number;
  parts: Readonly<Record<Split, readonly Part[]>>;
}

export const isTooMuch = ({ elapsed, micros }: PlatformHour, expectedMicros: number): boolean =>
  expectedMicros > 0 && (micros > TOO_MUCH * expectedMicros || (elapsed >= LEAST_ELAPSED && micros > TOO_MUCH * expectedMicros * elapsed));

interface Culprit {
  split: Split;
  name: string;
  /** Of the excess. */
  share: number;
}

/** The narrowest that explains most of the excess; null when it is many. */
function culpritOf({ elapsed, parts }: PlatformHour, excess: number): Culprit | null {
  for (const split of SPLITS) {
    const more = parts[split].map(({ name, micros, yesterday }) => ({ name, share: (micros - yesterday * elapsed) / excess }));
    const [worst] = more.sort((a, b) => b.share - a.share);
    if (worst !== undefined && worst.share >= CULPRIT_SHARE) return { split, ...worst };
  }
  return null;
}

const money = (micros: number): string => (micros / 1e6).toFixed(2);

export function platformDraft(seen: PlatformHour, expected: Expected & { micros: number }): AlertDraft {
  const due = expected.micros * Math.min(1, Math.max(seen.elapsed, LEAST_ELAPSED));
  const culprit = culpritOf(seen, seen.micros - due);
  const start = new Date(seen.hour * 3_600_000).toISOString();
  const who =
    culprit === null
      ? 'No single campaign, advertiser or surface explains it: it is everyone.'
      : `The ${culprit.split} ${culprit.name === '' ? '(none given)' : culprit.name} alone explains ${Math.round(Math.min(1, culprit.share) * 100)} % of what is too much.`;
  const source = expected.from === 'forecast' ? 'the forecast' : 'the median of this weekday and hour';
  return {
    kind: 'platform_spend',
    subject: { kind: 'platform', id: 'all' },
    phase: start.slice(0, 10),
    severity: 'page',
    owner: '',
    summary: `Spend is ${Math.round((seen.micros / due) * 100)} % of what is expected${culprit === null ? '' : `, most of it of one ${culprit.split}`}`,
    description: `In the hour from ${start}, ${money(seen.micros)} are counted where ${source} says ${money(due)} by now. ${who}`,
    nextStep:
      culprit === null
        ? 'Was there a change for all: prices, a new bidder, doubled events (suspected_duplicates_total)? Is the forecast right?'
        : `Look at that ${culprit.split}: a budget raised by a mistake, bids, doubled events? Pause it in the registry to stop it.`,
    facts: {
      hour_ms: seen.hour * 3_600_000,
      elapsed: seen.elapsed,
      spend_micros: seen.micros,
      expected_micros: Math.round(expected.micros),
      expected_from: expected.from,
      culprit: culprit === null ? null : { split: culprit.split, name: culprit.name, share: culprit.share },
      ...Object.fromEntries(SPLITS.map((split) => [split, seen.parts[split].slice(0, NAMED).map(factOf)])),
    },
  };
}

const factOf = ({ name, micros, yesterday }: Part): Json => ({ name, micros, yesterday });
