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
const SEPARATOR_CODE = 10;

/** What a key that is not there reads as. */
export const ABSENT = SEPARATOR.repeat(PACE_FIELDS.length - 1);

export const paceKey = (keyPrefix: string, campaignId: string): string => `${keyPrefix}pace:{${campaignId}}`;

/** A curve is parsed when it changes: a few times a day. */
export interface KnownCurve {
  text: string;
  curve: readonly number[];
}

/**
 * Null for a text that is no reading of a whole `pace:` key. `known` itself when it was written at the same position and at
 * the same time, so that most campaigns of a quiet day cost next to nothing.
 */
export function parsePace(text: string, knownCurve: KnownCurve, known: PaceFields | null = null): PaceFields | null {
  const values = new Values(text);
  const epoch = values.whole();
  const version = values.whole();
  const countedUntilMs = values.whole();
  const updatedMs = values.whole();
  if (known !== null && known.updatedMs === updatedMs && known.countedUntilMs === countedUntilMs) {
    if (known.version === version && known.epoch === epoch) return known;
  }
  const fields: PaceFields = {
    epoch,
    version,
    countedUntilMs,
    updatedMs,
    spendMicros: values.whole(),
    inflightMicros: values.isEmpty() ? 0 : values.whole(),
    rateMicrosPerS: values.number(),
    multiplier: values.number(),
    state: values.oneOf(PACE_STATES),
    reason: values.code(),
    policy: values.oneOf(PACE_POLICIES),
    capMicros: values.whole(),
    day: { startMs: values.whole(), endMs: values.whole() },
    curve: values.curve(knownCurve),
  };
  return values.areGood && fields.multiplier <= 1 && fields.day.startMs < fields.day.endMs ? fields : null;
}

/**
 * Takes one value after the other. Read by character, without a text for each: a bidder reads ten thousand keys a second
 * beside its auctions. After a value that is not what it should be, `areGood` is false.
 */
class Values {
  areGood = true;
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The next value is empty, and is taken then. */
  isEmpty(): boolean {
    if (this.#text.charCodeAt(this.#at) !== SEPARATOR_CODE) return false;
    this.#at += 1;
    return true;
  }

  /** Decimal digits, at most 2^53 − 1. */
  whole(): number {
    const from = this.#at;
    let value = 0;
    let at = from;
    for (; at < this.#text.length; at++) {
      const digit = this.#text.charCodeAt(at) - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    this.#at = at;
    if (at === from || !Number.isSafeInteger(value)) this.areGood = false;
    this.#endValue();
    return value;
  }

  /** At least 0, with a fraction or without. */
  number(): number {
    const text = this.#next();
    const value = Number(text);
    if (!/^\d+(\.\d+)?(e-?\d+)?$/.test(text) || value === Number.POSITIVE_INFINITY) this.areGood = false;
    return value;
  }

  oneOf<Value extends string>(values: readonly Value[]): Value {
    const text = this.#next();
    for (const value of values) if (value === text) return value;
    this.areGood = false;
    return values[0];
  }

  code(): string {
    return ownCopy(this.#next());
  }

  /** The last value. */
  curve(known: KnownCurve): readonly number[] {
    const text = this.#text.slice(this.#at);
    if (text === known.text && known.curve.length === CURVE_POINTS) return known.curve;
    const curve = parseCurve(text);
    if (curve === null) {
      this.areGood = false;
      return [];
    }
    known.text = text;
    known.curve = curve;
    return curve;
  }

  #next(): string {
    const end = this.#text.indexOf(SEPARATOR, this.#at);
    const text = this.#text.slice(this.#at, end < 0 ? this.#text.length : end);
    this.#at += text.length;
    this.#endValue();
    return text;
  }

  #endValue(): void {
    if (this.#text.charCodeAt(this.#at) !== SEPARATOR_CODE) this.areGood = false;
    this.#at += 1;
  }
}

const MAX_CODES = 1000;
const codes = new Map<string, string>();

/** The same few texts for all campaigns; a slice would keep the whole reading alive. */
function ownCopy(text: string): string {
  const known = codes.get(text);
  if (known !== undefined || codes.size >= MAX_CODES) return known ?? text;
  const copy = JSON.parse(JSON.stringify(text)) as string;
  codes.set(copy, copy);
  return copy;
}
