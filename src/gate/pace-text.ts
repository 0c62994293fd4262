/**
 * A reading of one `pace:` key: the bytes of its `BRIEF_FIELDS` or of all `PACE_FIELDS`, an absent one empty, with line
 * feeds between. They are read where they lie, without a text for each value: a bidder reads ten thousand keys a second
 * beside its auctions.
 */
import { CURVE_POINTS, parseCurve } from './curve.ts';
import { PACE_POLICIES, PACE_STATES } from './ladder.ts';
import { BRIEF_FIELDS, copyPlan, noFields, PACE_FIELDS, type PaceFields } from './pace-fields.ts';

/** Part of an answer that holds many. */
export interface PaceText {
  bytes: Uint8Array;
  start: number;
  end: number;
}

export const SEPARATOR = '\n';
const LINE_FEED = 10;
const ZERO = 48;
const POINT = 46;

/** What a key that is not there reads as, when it was asked for as a whole. */
export const ABSENT = SEPARATOR.repeat(PACE_FIELDS.length - 1);
const ABSENT_LENGTHS = [BRIEF_FIELDS.length - 1, ABSENT.length];

const utf8 = new TextEncoder();

/** For who has the values as text. */
export function paceText(text: string): PaceText {
  const bytes = utf8.encode(text);
  return { bytes, start: 0, end: bytes.length };
}

export function isAbsent({ bytes, start, end }: PaceText): boolean {
  if (!ABSENT_LENGTHS.includes(end - start)) return false;
  for (let at = start; at < end; at++) if (bytes[at] !== LINE_FEED) return false;
  return true;
}

/** A curve is parsed when it changes: a few times a day. */
export interface KnownCurve {
  text: Uint8Array;
  curve: readonly number[];
}

export const noCurve = (): KnownCurve => ({ text: new Uint8Array(0), curve: [] });

export interface KnownPace {
  fields: PaceFields | null;
  curve: KnownCurve;
}

/**
 * `same`: written at the position and at the time of what is known. So most campaigns of a quiet day cost next to nothing.
 * `other_plan`: another than the known one, and only the brief fields are there.
 */
export type Read = 'read' | 'same' | 'other_plan' | 'unreadable';

/** Reads a key into `into`: all of it with `read`, position and times with `same` and `other_plan`. */
export function readPace(text: PaceText, { fields: known, curve }: KnownPace, into: PaceFields): Read {
  values.begin(text);
  into.epoch = values.whole();
  into.version = values.whole();
  into.countedUntilMs = values.whole();
  into.updatedMs = values.whole();
  if (known !== null && known.updatedMs === into.updatedMs && known.countedUntilMs === into.countedUntilMs) {
    if (known.version === into.version && known.epoch === into.epoch) return 'same';
  }
  into.spendMicros = values.whole();
  into.inflightMicros = values.isEmpty() ? 0 : values.whole();
  into.rateMicrosPerS = values.number();
  into.multiplier = values.number();
  into.state = values.oneOf(PACE_STATES);
  into.reason = values.code();
  into.plan = values.plan(known?.plan ?? '');
  if (values.areTaken) {
    if (!values.areGood || into.multiplier > 1) return 'unreadable';
    if (known === null || into.plan === '' || into.plan !== known.plan) return 'other_plan';
    copyPlan(known, into);
    return 'read';
  }
  into.policy = values.oneOf(PACE_POLICIES);
  into.capMicros = values.whole();
  into.day.startMs = values.whole();
  into.day.endMs = values.whole();
  into.curve = values.curve(curve);
  return values.areGood && into.multiplier <= 1 && into.day.startMs < into.day.endMs ? 'read' : 'unreadable';
}

/** Null for what is no whole key. */
export function parsePace(text: string): PaceFields | null {
  const fields = noFields();
  return readPace(paceText(text), { fields: null, curve: noCurve() }, fields) === 'read' ? fields : null;
}

/** Of so many digits both the number without its point and the power of ten are exact, so their quotient is the nearest double. */
const EXACT_DIGITS = 15;
const MAX_CODES = 1000;

/** Takes one value after the other. After one that is not what it should be, `areGood` is false. */
class Values {
  areGood = true;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  /** Reasons are the same few for all campaigns. */
  #codes: { bytes: Uint8Array; code: string }[] = [];

  begin({ bytes, start, end }: PaceText): void {
    this.areGood = true;
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** The next value is empty, and is taken then. */
  isEmpty(): boolean {
    if (this.#at >= this.#end || this.#bytes[this.#at] !== LINE_FEED) return false;
    this.#at += 1;
    return true;
  }

  /** Decimal digits, at most 2^53 − 1. */
  whole(): number {
    const bytes = this.#bytes;
    const end = this.#end;
    const from = this.#at;
    let at = from;
    let value = 0;
    for (; at < end; at++) {
      const digit = bytes[at] - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === from || at >= end || bytes[at] !== LINE_FEED || !Number.isSafeInteger(value)) this.areGood = false;
    this.#at = at + 1;
    return value;
  }

  /** At least 0, with a fraction or without. */
  number(): number {
    const start = this.#at;
    const end = this.#endOfValue();
    const value = end - start <= EXACT_DIGITS ? this.#decimal(start, end) : Number.NaN;
    if (value >= 0) return value;
    const text = this.#text(start, end);
    const other = Number(text);
    if (!/^\d+(\.\d+)?(e-?\d+)?$/.test(text) || other === Number.POSITIVE_INFINITY) this.areGood = false;
    return other;
  }

  oneOf<Value extends string>(values: readonly Value[]): Value {
    const start = this.#at;
    const end = this.#endOfValue();
    for (const value of values) if (this.#is(value, start, end)) return value;
    this.areGood = false;
    return values[0];
  }

  code(): string {
    const start = this.#at;
    const end = this.#endOfValue();
    for (const { bytes, code } of this.#codes) if (this.#areSame(bytes, start, end)) return code;
    const code = this.#text(start, end);
    if (this.#codes.length < MAX_CODES) this.#codes.push({ bytes: this.#bytes.slice(start, end), code });
    return code;
  }

  /** The last value of the brief ones. Need not be there. */
  plan(known: string): string {
    const start = this.#at;
    let end = start;
    while (end < this.#end && this.#bytes[end] !== LINE_FEED) end++;
    this.#at = end + 1;
    return this.#is(known, start, end) ? known : this.#text(start, end);
  }

  /** There are no more. */
  get areTaken(): boolean {
    return this.#at > this.#end;
  }

  /** The last value. */
  curve(known: KnownCurve): readonly number[] {
    if (known.curve.length === CURVE_POINTS && this.#areSame(known.text, this.#at, this.#end)) return known.curve;
    const curve = parseCurve(this.#text(this.#at, this.#end));
    if (curve === null) {
      this.areGood = false;
      return [];
    }
    known.text = this.#bytes.slice(this.#at, this.#end);
    known.curve = curve;
    return curve;
  }

  /** Takes what is left of the value and the line feed after it. */
  #endOfValue(): number {
    let end = this.#at;
    while (end < this.#end && this.#bytes[end] !== LINE_FEED) end++;
    if (end >= this.#end) this.areGood = false;
    this.#at = end + 1;
    return end;
  }

  /** NaN for what is not digits, or digits, a point, and digits. */
  #decimal(start: number, end: number): number {
    let value = 0;
    let divisor = 0;
    for (let at = start; at < end; at++) {
      const byte = this.#bytes[at];
      if (byte >= ZERO && byte <= ZERO + 9) {
        value = value * 10 + byte - ZERO;
        divisor *= 10;
      } else if (byte === POINT && divisor === 0 && at > start) divisor = 1;
      else return Number.NaN;
    }
    if (start === end || divisor === 1) return Number.NaN;
    return divisor === 0 ? value : value / divisor;
  }

  #is(text: string, start: number, end: number): boolean {
    if (text.length !== end - start) return false;
    for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== this.#bytes[start + i]) return false;
    return true;
  }

  #areSame(other: Uint8Array, start: number, end: number): boolean {
    if (other.length !== end - start) return false;
    for (let i = 0; i < other.length; i++) if (other[i] !== this.#bytes[start + i]) return false;
    return true;
  }

  #text(start: number, end: number): string {
    return decoder.decode(this.#bytes.subarray(start, end));
  }
}

const decoder = new TextDecoder();
const values = new Values();
