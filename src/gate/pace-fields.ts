/** The hash `pace:{<campaign_id>}` as the gate reads it. */
import { type BudgetDay, CURVE_POINTS, parseCurve } from './curve.ts';
import { PACE_POLICIES, PACE_STATES, type PacePolicy, type PaceState } from './ladder.ts';
import type { Counted } from './projection.ts';

export interface PaceFields extends Counted {
  /** The writer's position: what is written at a lower (epoch, version) is older. */
  epoch: number;
  version: number;
  state: PaceState;
  /** 0…1. */
  multiplier: number;
  reason: string;
  policy: PacePolicy;
  day: BudgetDay;
  capMicros: number;
  /** 25 cumulative micros. */
  curve: readonly number[];
}

/** The fields that are asked for, in this order. `inflight_micros` may be absent and is 0 then; all others must be there. */
export const PACE_FIELDS = [
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
  'policy',
  'cap_micros',
  'day_start_ms',
  'day_end_ms',
  'curve',
] as const;

/** A reading of one key is one text: the values of `PACE_FIELDS`, an absent one empty, with this between them. */
export const SEPARATOR = '\n';

/** What a key that is not there reads as. */
export const ABSENT = SEPARATOR.repeat(PACE_FIELDS.length - 1);

export const paceKey = (keyPrefix: string, campaignId: string): string => `${keyPrefix}pace:{${campaignId}}`;

/** A curve is parsed when it changes: a few times a day. */
export interface KnownCurve {
  text: string;
  curve: readonly number[];
}

/** Null for a text that is no reading of a whole `pace:` key. */
export function parsePace(text: string, known: KnownCurve): PaceFields | null {
  const values = text.split(SEPARATOR);
  if (values.length !== PACE_FIELDS.length) return null;
  const [epoch, version, countedUntil, updated, spend, inflight, rate, multiplier, state, reason, policy, cap, start, end, curve] = values;
  const fields: PaceFields = {
    epoch: whole(epoch),
    version: whole(version),
    countedUntilMs: whole(countedUntil),
    updatedMs: whole(updated),
    spendMicros: whole(spend),
    inflightMicros: inflight === '' ? 0 : whole(inflight),
    rateMicrosPerS: atLeastZero(rate),
    multiplier: atLeastZero(multiplier),
    state: state as PaceState,
    reason,
    policy: policy as PacePolicy,
    day: { startMs: whole(start), endMs: whole(end) },
    capMicros: whole(cap),
    curve: curve === known.text ? known.curve : curveOf(curve, known),
  };
  return isWhole(fields) ? fields : null;
}

/** One not-a-number makes the sum one. */
function isWhole(fields: PaceFields): boolean {
  const { day, curve } = fields;
  const sum = fields.epoch + fields.version + fields.countedUntilMs + fields.updatedMs + fields.spendMicros + fields.inflightMicros;
  return (
    !Number.isNaN(sum + fields.rateMicrosPerS + fields.capMicros + day.startMs + day.endMs) &&
    fields.multiplier <= 1 &&
    PACE_STATES.includes(fields.state) &&
    PACE_POLICIES.includes(fields.policy) &&
    day.startMs < day.endMs &&
    curve.length === CURVE_POINTS
  );
}

function curveOf(text: string, known: KnownCurve): readonly number[] {
  const curve = parseCurve(text);
  if (curve === null) return [];
  known.text = text;
  known.curve = curve;
  return curve;
}

const whole = (text: string): number => {
  const value = atLeastZero(text);
  return Number.isSafeInteger(value) ? value : Number.NaN;
};

const atLeastZero = (text: string): number => {
  const value = text === '' ? Number.NaN : Number(text);
  return value >= 0 && value < Number.POSITIVE_INFINITY ? value : Number.NaN;
};
