/** What a bidder is told about one campaign: a pure function of what is known, of the time, and of what is in disorder. */
import { slopeMicrosPerSAt, targetMicrosAt } from './curve.ts';
import { ladder, type PaceState, worseState } from './ladder.ts';
import type { PaceFields } from './pace-fields.ts';
import { ageMs, isStale, projectedMicros } from './projection.ts';

/** `conservative`: nothing fresh is known, so the last known is paced on carefully. `closed`: nothing is known at all. */
export type GateState = PaceState | 'conservative' | 'closed';

export interface GateAnswer {
  /** The probability of entering an auction, 0…1. */
  readonly multiplier: number;
  readonly state: GateState;
  /** A snake_case code; with `open`, `throttled`, `stopped` and `killed` usually the one in Redis. */
  readonly reason: string;
}

/** Why what is known is not to be trusted as it stands. */
export type Trouble = 'redis_gone' | 'key_missing' | 'key_unreadable' | 'stale' | 'recovering';

/** How well the gate can see. */
export interface Sight {
  /** Redis TIME. */
  nowMs: number;
  /** See `ageMs`. */
  unmovedMs: number;
  /** Known without looking at the age. */
  trouble: Exclude<Trouble, 'stale'> | null;
  staleAfterMs: number;
}

/** The share of the plan that is bid for while nothing fresh is known. */
export const CONSERVATIVE_SHARE = 0.8;

/** So long a campaign that was slow, or far behind its plan, is believed to be still. As long as a key lives that nobody writes. */
const SLOW_FOR_MS = 600_000;

const REASONS: Record<PaceState, string> = {
  open: 'on_pace',
  throttled: 'near_cap',
  stopped: 'cap_projected',
  killed: 'overspent',
};

export const closed = (reason: string): GateAnswer => ({ multiplier: 0, state: 'closed', reason });

/** How long what is known of a campaign has been true for. */
const ageOf = (fields: PaceFields, sight: Sight): number => ageMs(fields, sight.nowMs, sight.unmovedMs);

/** The trouble that counts: recovering is over as soon as there is another one. */
export function troubleOf(fields: PaceFields, sight: Sight): Trouble | null {
  const { trouble } = sight;
  if (trouble !== null && trouble !== 'recovering') return trouble;
  return isStale(ageOf(fields, sight), sight.staleAfterMs) ? 'stale' : trouble;
}

export function answer(fields: PaceFields, sight: Sight): GateAnswer {
  if (sight.nowMs >= fields.day.endMs) return closed('day_ended');
  if (fields.state === 'stopped' || fields.state === 'killed') {
    return { multiplier: 0, state: fields.state, reason: fields.reason };
  }
  const trouble = troubleOf(fields, sight);
  return trouble === null ? seeing(fields, sight) : groping(fields, sight, trouble);
}

/** Fresh: what Redis says, or worse where the money projected to this moment says so. */
function seeing(fields: PaceFields, sight: Sight): GateAnswer {
  const { spendMicros } = fields;
  const own = ladder({ spendMicros, projectedMicros: projectedMicros(fields, ageOf(fields, sight)) }, fields);
  const state = worseState(fields.state, own.state);
  return {
    multiplier: Math.min(fields.multiplier, own.multiplier),
    state,
    reason: state === fields.state ? fields.reason : REASONS[state],
  };
}

/**
 * Not fresh: the spend is believed to have gone on at the last rate until it was stale, then at 80 % of the plan's slope,
 * and bids are thinned so that it does. A campaign that would still be below 80 % of the plan is not thinned at first. After
 * ten minutes nobody knows any more that it is slow: at least 80 % of the slope is believed of it from then on, and the longer
 * nothing is seen the less is bid: where there was no traffic, what comes unseen spends less than an hour's worth in a day.
 * The rate belongs to the last multiplier, so the share of it that may go on is a share of the multiplier too.
 */
function groping(fields: PaceFields, sight: Sight, trouble: Trouble): GateAnswer {
  const { curve, day, spendMicros, rateMicrosPerS } = fields;
  const { nowMs, staleAfterMs } = sight;
  const age = ageOf(fields, sight);
  const blindMs = Math.max(0, age - staleAfterMs);
  const planned = targetMicrosAt(curve, day, nowMs);
  const floorMicros = Math.floor(planned * CONSERVATIVE_SHARE);
  const whenStale = projectedMicros(fields, age - blindMs);
  const alongPlan = (ms: number): number => whenStale + Math.ceil((planned - targetMicrosAt(curve, day, nowMs - ms)) * CONSERVATIVE_SHARE);
  const unthinned = projectedMicros(fields, age);
  const believed = Math.max(
    Math.min(unthinned, Math.max(floorMicros, alongPlan(blindMs))),
    age > SLOW_FOR_MS ? alongPlan(Math.min(blindMs, age - SLOW_FOR_MS)) : 0,
  );
  const step = ladder({ spendMicros, projectedMicros: Math.min(Number.MAX_SAFE_INTEGER, believed) }, fields);
  const slope = shareOfRate(slopeMicrosPerSAt(curve, day, nowMs) * CONSERVATIVE_SHARE, rateMicrosPerS, age);
  const share = unthinned <= floorMicros ? Math.max(slope, trustAt(age)) : slope;
  return { multiplier: Math.min(fields.multiplier * share, step.multiplier), state: 'conservative', reason: trouble };
}

/** How far a campaign that was slow is still believed to be: wholly for ten minutes, then the less the longer ago that was. */
const trustAt = (age: number): number => Math.min(1, SLOW_FOR_MS / age);

/**
 * A plan that stands still leaves nothing to bid for, whatever the rate. What the rate lacks of the allowed one may come, and
 * from ten minutes on it is believed that it does, the more of it the older the rate.
 */
function shareOfRate(allowedMicrosPerS: number, rateMicrosPerS: number, age: number): number {
  if (allowedMicrosPerS <= 0) return 0;
  if (rateMicrosPerS >= allowedMicrosPerS) return allowedMicrosPerS / rateMicrosPerS;
  if (age <= SLOW_FOR_MS) return 1;
  return allowedMicrosPerS / (rateMicrosPerS + ((allowedMicrosPerS - rateMicrosPerS) * age) / SLOW_FOR_MS);
}
