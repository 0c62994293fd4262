import type { ByteRef, Stream } from '../topology/types.ts';
import { FIELDS, type Field, MAX_ALLOCATION_VERSION, MAX_ID_CODE_POINTS, MAX_TIME_MS } from './decode-fields.ts';
import { type InvalidReason, reasonNumber } from './decode-reasons.ts';
import { clearOptional, type DecodedEvent } from './decoded-event.ts';
import { type FieldMapping, fieldPath } from './field-mapping.ts';
import { memberSpan } from './json-span.ts';
import { parseRfc3339 } from './time-text.ts';
import { encodeText, maxEncodedBytes } from './wtf8.ts';

const GOOD = 0;
const reason = (code: InvalidReason): number => reasonNumber(code);
const NOT_UTF8 = reason('not_utf8');
const NOT_JSON = reason('not_json');
const NOT_AN_OBJECT = reason('not_an_object');
const MISSING_FIELD = reason('missing_field');
const WRONG_TYPE = reason('wrong_type');
const BAD_ID = reason('bad_id');
const BAD_TIME = reason('bad_time');
const BAD_AMOUNT = reason('bad_amount');
const BAD_VERSION = reason('bad_version');

/** With `ignoreBOM` the decoder keeps a byte-order mark, which JSON.parse then refuses. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const FIRST_SCRATCH_BYTES = 16_384;

interface PlacedField extends Field {
  path: string[];
}

/** The contract read out loud: JSON.parse, then one check a field. Says why a record is invalid; ten times slower than the scanner. */
export class SlowDecoder {
  readonly #fields: PlacedField[];
  readonly #maxSpendMicros: number;
  /** Holds what the refs point at: JSON text may be escaped, refs are not. */
  #scratch = new Uint8Array(FIRST_SCRATCH_BYTES);
  #used = 0;

  constructor(stream: Stream, options: { mapping: FieldMapping; maxSpendMicros: number }) {
    this.#fields = FIELDS[stream].map((field) => ({ ...field, path: fieldPath(options.mapping, field.name) }));
    this.#maxSpendMicros = options.maxSpendMicros;
  }

  /** 0, or the number of a reason: the first fault in the order of the stream's fields. */
  decode(bytes: Uint8Array, start: number, end: number, into: DecodedEvent): number {
    const text = decodeUtf8(bytes.subarray(start, end));
    if (text === null) return NOT_UTF8;
    const body = parseJson(text);
    if (body === undefined) return NOT_JSON;
    if (!isObject(body)) return NOT_AN_OBJECT;
    this.#used = 0;
    clearOptional(into);
    for (const field of this.#fields) {
      const value = memberAt(body, field.path);
      if (value === undefined || value === null) {
        if (field.required) return MISSING_FIELD;
        continue;
      }
      const fault = this.#read(field, value, into);
      if (fault !== GOOD) return fault;
    }
    if (into.hasAttributes) locateAttributes(this.#fields, { bytes, start, end }, into.attributes);
    return GOOD;
  }

  #read(field: Field, value: unknown, into: DecodedEvent): number {
    switch (field.kind) {
      case 'id':
        if (typeof value !== 'string') return WRONG_TYPE;
        if (!isId(value)) return BAD_ID;
        return this.#text(field, value, into);
      case 'text':
        return typeof value === 'string' ? this.#text(field, value, into) : WRONG_TYPE;
      case 'time':
        return setTime(field, value, into);
      case 'spend':
        if (typeof value !== 'number') return WRONG_TYPE;
        into.spendMicros = value + 0;
        return isIntegerWithin(value, 0, this.#maxSpendMicros) ? GOOD : BAD_AMOUNT;
      case 'version':
        if (typeof value !== 'number') return WRONG_TYPE;
        into.allocationVersion = value;
        return isIntegerWithin(value, 1, MAX_ALLOCATION_VERSION) ? GOOD : BAD_VERSION;
      case 'flag':
        if (typeof value !== 'boolean') return WRONG_TYPE;
        into.valid = value;
        return GOOD;
      case 'object':
      case 'ignorable_object':
        into.hasAttributes = isObject(value);
        return into.hasAttributes || field.kind === 'ignorable_object' ? GOOD : WRONG_TYPE;
    }
  }

  #text(field: Field, text: string, into: DecodedEvent): number {
    switch (field.target) {
      case 'userId':
        into.hasUser = true;
        break;
      case 'advertiserId':
        into.hasAdvertiser = true;
        break;
      case 'surface':
        into.hasSurface = true;
        break;
    }
    this.#encode(text, into[field.target as 'eventId' | 'entityId' | 'surface']);
    return GOOD;
  }

  #encode(text: string, ref: ByteRef): void {
    const needed = maxEncodedBytes(text);
    if (this.#used + needed > this.#scratch.length) {
      // Refs made before keep the old buffer alive.
      this.#scratch = new Uint8Array(Math.max(FIRST_SCRATCH_BYTES, needed));
      this.#used = 0;
    }
    ref.bytes = this.#scratch;
    ref.start = this.#used;
    ref.end = this.#used = encodeText(text, this.#scratch, this.#used);
  }
}

function setTime(field: Field, value: unknown, into: DecodedEvent): number {
  const ms = typeof value === 'number' ? value : typeof value === 'string' ? timeOfText(value) : null;
  if (ms === null) return WRONG_TYPE;
  into[field.target as 'eventTs' | 'receivedTs' | 'assignedTs'] = ms + 0;
  return isIntegerWithin(ms, 0, MAX_TIME_MS) ? GOOD : BAD_TIME;
}

function timeOfText(text: string): number {
  const bytes = Buffer.from(text, 'utf8');
  return parseRfc3339(bytes, 0, bytes.length);
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}

/** Undefined when the text is no JSON, or nested deeper than the engine can read. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Own properties only: a name like `constructor` or `__proto__` is there when the JSON says so, and not otherwise. */
function memberAt(body: Record<string, unknown>, path: readonly string[]): unknown {
  let value: unknown = body;
  for (const step of path) {
    if (!isObject(value) || !Object.hasOwn(value, step)) return undefined;
    value = value[step];
  }
  return value;
}

function isId(text: string): boolean {
  if (text.length === 0 || text.length > 2 * MAX_ID_CODE_POINTS || text.includes('\0') || !text.isWellFormed()) return false;
  return text.length <= MAX_ID_CODE_POINTS || [...text].length <= MAX_ID_CODE_POINTS;
}

const isIntegerWithin = (value: number, low: number, high: number): boolean => value >= low && value <= high && Number.isInteger(value);

function locateAttributes(fields: readonly PlacedField[], value: ByteRef, into: ByteRef): void {
  const path = fields.find((field) => field.target === 'attributes')?.path ?? [];
  let span = { start: value.start, end: value.end };
  for (const step of path) span = memberSpan(value.bytes, span.start, step);
  into.bytes = value.bytes;
  into.start = span.start;
  into.end = span.end;
}
