/** The hash `pace:{<campaign_id>}` as the gate reads it. */
import type { BudgetDay } from './curve.ts';
import type { PacePolicy, PaceState } from './ladder.ts';
import type { Counted } from './projection.ts';

export interface PaceFields extends Counted {
  /** The writer's position: what is written at a lower (epoch, version) is older. */
  epoch: number;
  version: number;
  state: PaceState;
  /** 0…1. */
  multiplier: number;
  reason: string;
  /** Names the fields that follow; empty where the writer gives no name. */
  plan: string;
  policy: PacePolicy;
  day: BudgetDay;
  capMicros: number;
  /** 25 cumulative micros. */
  curve: readonly number[];
}

/**
 * What changes from second to second, in the order in which it is asked for. `inflight_micros` and `plan` may be absent;
 * all others must be there, and all of the plan.
 */
export const BRIEF_FIELDS = [
  'epoch',
  'version',
  'counted_until_ms',
  'updated_ms',
  'spend_micros',
  'inflight_micros',
  'rate_micros_per_s',
  'multiplier',
  'state',
  'reason',
  'plan',
] as const;

/** Most of a key, and a few times a day another: while `plan` is the same, so are these, and are not asked for. */
export const PLAN_FIELDS = ['policy', 'cap_micros', 'day_start_ms', 'day_end_ms', 'curve'] as const;

/** A whole key. */
export const PACE_FIELDS = [...BRIEF_FIELDS, ...PLAN_FIELDS] as const;

export const paceKey = (keyPrefix: string, campaignId: string): string => `${keyPrefix}pace:{${campaignId}}`;

/** To be read into. Numbers that are not whole from the beginning: their places in memory then never have to be widened. */
export const noFields = (): PaceFields => ({
  epoch: Number.NaN,
  version: Number.NaN,
  countedUntilMs: Number.NaN,
  updatedMs: Number.NaN,
  spendMicros: Number.NaN,
  inflightMicros: Number.NaN,
  rateMicrosPerS: Number.NaN,
  multiplier: Number.NaN,
  capMicros: Number.NaN,
  day: { startMs: Number.NaN, endMs: Number.NaN },
  state: 'stopped',
  policy: 'graceful',
  reason: '',
  plan: '',
  curve: [],
});

/** In place: ten thousand a second, each made anew and living for a second, would cost more garbage collection than reading. */
export function copyFields(from: PaceFields, to: PaceFields): void {
  to.epoch = from.epoch;
  to.version = from.version;
  to.countedUntilMs = from.countedUntilMs;
  to.updatedMs = from.updatedMs;
  to.spendMicros = from.spendMicros;
  to.inflightMicros = from.inflightMicros;
  to.rateMicrosPerS = from.rateMicrosPerS;
  to.multiplier = from.multiplier;
  to.state = from.state;
  to.reason = from.reason;
  to.plan = from.plan;
  copyPlan(from, to);
}

export function copyPlan(from: PaceFields, to: PaceFields): void {
  to.policy = from.policy;
  to.capMicros = from.capMicros;
  to.day.startMs = from.day.startMs;
  to.day.endMs = from.day.endMs;
  to.curve = from.curve;
}
