import type { ByteRef, Stream } from '../topology/types.ts';
import { FIELDS, type Field, MAX_ALLOCATION_VERSION, MAX_ID_CODE_POINTS, MAX_TIME_MS } from './decode-fields.ts';
import { reasonNumber } from './decode-reasons.ts';
import { clearOptional, type DecodedEvent } from './decoded-event.ts';
import { type FieldMapping, fieldPath } from './field-mapping.ts';
import { memberSpan } from './json-span.ts';
import { parseRfc3339 } from './time-text.ts';
import { encodeText, LONE_SURROGATE, maxEncodedBytes } from './wtf8.ts';

const GOOD = 0;
const NOT_UTF8 = reasonNumber('not_utf8');
const NOT_JSON = reasonNumber('not_json');
const NOT_AN_OBJECT = reasonNumber('not_an_object');
const MISSING_FIELD = reasonNumber('missing_field');
const WRONG_TYPE = reasonNumber('wrong_type');
const BAD_ID = reasonNumber('bad_id');
const BAD_TIME = reasonNumber('bad_time');
const BAD_AMOUNT = reasonNumber('bad_amount');
const BAD_VERSION = reasonNumber('bad_version');

/** With `ignoreBOM` the decoder keeps a byte-order mark, which JSON.parse then refuses. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Room for the texts of some dozens of records. */
const SCRATCH_BYTES = 16_384;
/** A longer text gets room of its own. */
const MOST_SHARED_BYTES = SCRATCH_BYTES / 4;

type PlacedField = Field & { path: string[] };

/** The contract read out loud: JSON.parse, then one check a field. Says why a record is invalid; five times slower than the scanner. */
export class SlowDecoder {
  readonly #fields: PlacedField[];
  readonly #maxSpendMicros: number;
  /** What the refs point at: the JSON text may be escaped, refs are not. Never used again: a block of records is judged after it was read. */
  #scratch = new Uint8Array(SCRATCH_BYTES);
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
        if (field.target === 'userId') into.hasUser = true;
        if (field.target === 'advertiserId') into.hasAdvertiser = true;
        if (!isId(value)) return BAD_ID;
        this.#encode(value, into[field.target]);
        return GOOD;
      case 'text':
        if (typeof value !== 'string') return WRONG_TYPE;
        into.hasSurface = true;
        this.#encode(value, into[field.target]);
        return GOOD;
      case 'time':
        if (typeof value !== 'number' && typeof value !== 'string') return WRONG_TYPE;
        into[field.target] = withoutMinusZero(typeof value === 'number' ? value : timeOfText(value));
        return isIntegerWithin(into[field.target], 0, MAX_TIME_MS) ? GOOD : BAD_TIME;
      case 'spend':
        if (typeof value !== 'number') return WRONG_TYPE;
        into.spendMicros = withoutMinusZero(value);
        return isIntegerWithin(value, 0, this.#maxSpendMicros) ? GOOD : BAD_AMOUNT;
      case 'version':
        if (typeof value !== 'number') return WRONG_TYPE;
        into.allocationVersion = value;
        return isIntegerWithin(value, 1, MAX_ALLOCATION_VERSION) ? GOOD : BAD_VERSION;
      case 'flag':
        if (typeof value !== 'boolean') return WRONG_TYPE;
        into.valid = value;
        return GOOD;
      default:
        into.hasAttributes = isObject(value);
        return into.hasAttributes || field.kind === 'ignorable_object' ? GOOD : WRONG_TYPE;
    }
  }

  #encode(text: string, ref: ByteRef): void {
    const needed = maxEncodedBytes(text);
    const fits = needed <= MOST_SHARED_BYTES;
    if (fits && this.#used + needed > SCRATCH_BYTES) {
      this.#scratch = new Uint8Array(SCRATCH_BYTES);
      this.#used = 0;
    }
    ref.bytes = fits ? this.#scratch : new Uint8Array(needed);
    ref.start = fits ? this.#used : 0;
    ref.end = encodeText(text, ref.bytes, ref.start);
    if (fits) this.#used = ref.end;
  }
}

const withoutMinusZero = (value: number): number => (value === 0 ? 0 : value);

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
  if (text.length === 0 || text.length > 2 * MAX_ID_CODE_POINTS || text.includes('\0') || LONE_SURROGATE.test(text)) return false;
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
