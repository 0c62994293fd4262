import type { ByteRef, Stream } from '../topology/types.ts';
import { FIELDS, type Field, MAX_ALLOCATION_VERSION, MAX_ID_CODE_POINTS, type Target } from './decode-fields.ts';
import { clearOptional, type DecodedEvent } from './decoded-event.ts';
import { type FieldMapping, fieldPath } from './field-mapping.ts';
import * as json from './json-scan.ts';
import { NameTable } from './name-table.ts';
import { parseRfc3339 } from './time-text.ts';

const UNSURE = -1;
/** More could be beyond 2^53. */
const MAX_DIGITS = 15;
const NULL = 0x6e;
const TRUE = 0x74;

/** Numbers for the switch that every field goes through. */
const TARGETS: Readonly<Record<Target, number>> = {
  eventId: 0,
  entityId: 1,
  variantId: 2,
  unitId: 3,
  userId: 4,
  advertiserId: 5,
  surface: 6,
  eventTs: 7,
  receivedTs: 8,
  assignedTs: 9,
  spendMicros: 10,
  allocationVersion: 11,
  valid: 12,
  attributes: 13,
};

/**
 * Checks the whole value as JSON and reads the listed fields in one pass over its bytes, without a string or an object.
 * Unsure of anything unusual: escapes in a name at the top or in a listed text, fractions and exponents in listed numbers,
 * a listed name twice, deep nesting; and of everything that is wrong.
 */
export class FastDecoder {
  readonly #names: NameTable;
  /** By field number: its target's number. */
  readonly #targets: Uint8Array;
  /** Bits of the required fields, by field number. */
  readonly #required: number;
  readonly #maxSpendMicros: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #end = 0;
  #integer = 0;

  private constructor(fields: readonly Field[], names: readonly string[], maxSpendMicros: number) {
    this.#names = new NameTable(names);
    this.#targets = Uint8Array.from(fields, (field) => TARGETS[field.target]);
    this.#required = fields.reduce((bits, field, number) => (field.required ? bits | (1 << number) : bits), 0);
    this.#maxSpendMicros = maxSpendMicros;
  }

  /** Null where the mapping asks for more than plain, distinct names at the top. */
  static create(stream: Stream, options: { mapping: FieldMapping; maxSpendMicros: number }): FastDecoder | null {
    const paths = FIELDS[stream].map((field) => fieldPath(options.mapping, field.name));
    const names = paths.map((path) => path[0]);
    const plain = paths.every((path) => path.length === 1 && /^[\x20-\x7e]{1,31}$/.test(path[0]));
    return plain && new Set(names).size === names.length ? new FastDecoder(FIELDS[stream], names, options.maxSpendMicros) : null;
  }

  /** True when the value is good and all of it is in `into`; false when the slow path has to judge. */
  decode(bytes: Uint8Array, start: number, end: number, into: DecodedEvent): boolean {
    this.#bytes = bytes;
    this.#end = end;
    clearOptional(into);
    let i = json.afterSpace(bytes, start, end);
    if (bytes[i] !== json.OPEN_BRACE) return false;
    let seen = 0;
    do {
      i = json.afterSpace(bytes, i + 1, end);
      if (bytes[i] !== json.QUOTE) return false;
      const nameStart = i + 1;
      const nameEnd = json.plainTextEnd(bytes, nameStart, end);
      if (nameEnd < 0) return false;
      i = json.afterSpace(bytes, nameEnd + 1, end);
      if (bytes[i] !== json.COLON) return false;
      i = json.afterSpace(bytes, i + 1, end);
      const field = this.#names.find(bytes, nameStart, nameEnd);
      if (field < 0) {
        i = json.afterValue(bytes, i, end, 1);
      } else {
        const bit = 1 << field;
        if ((seen & bit) !== 0) return false;
        if (bytes[i] === NULL) {
          if ((this.#required & bit) !== 0) return false;
          i = json.afterNull(bytes, i);
        } else {
          i = this.#read(this.#targets[field], i, into);
        }
        seen |= bit;
      }
      if (i < 0) return false;
      i = json.afterSpace(bytes, i, end);
    } while (bytes[i] === json.COMMA);
    if (bytes[i] !== json.CLOSE_BRACE) return false;
    return json.afterSpace(bytes, i + 1, end) === end && (seen & this.#required) === this.#required;
  }

  /** Where the field's value ends, or UNSURE. */
  #read(target: number, at: number, into: DecodedEvent): number {
    switch (target) {
      case TARGETS.eventId:
        return this.#id(at, into.eventId);
      case TARGETS.entityId:
        return this.#id(at, into.entityId);
      case TARGETS.variantId:
        return this.#id(at, into.variantId);
      case TARGETS.unitId:
        return this.#id(at, into.unitId);
      case TARGETS.userId:
        into.hasUser = true;
        return this.#id(at, into.userId);
      case TARGETS.advertiserId:
        into.hasAdvertiser = true;
        return this.#id(at, into.advertiserId);
      case TARGETS.surface:
        into.hasSurface = true;
        return this.#text(at, into.surface);
      default:
        return this.#readOther(target, at, into);
    }
  }

  #readOther(target: number, at: number, into: DecodedEvent): number {
    let end: number;
    switch (target) {
      case TARGETS.eventTs:
        end = this.#time(at);
        into.eventTs = this.#integer;
        return end;
      case TARGETS.receivedTs:
        end = this.#time(at);
        into.receivedTs = this.#integer;
        return end;
      case TARGETS.assignedTs:
        end = this.#time(at);
        into.assignedTs = this.#integer;
        return end;
      case TARGETS.spendMicros:
        end = this.#digits(at);
        into.spendMicros = this.#integer;
        return this.#integer <= this.#maxSpendMicros ? end : UNSURE;
      case TARGETS.allocationVersion:
        end = this.#digits(at);
        into.allocationVersion = this.#integer;
        return this.#integer >= 1 && this.#integer <= MAX_ALLOCATION_VERSION ? end : UNSURE;
      case TARGETS.valid:
        into.valid = this.#bytes[at] === TRUE;
        return into.valid ? json.afterTrue(this.#bytes, at) : json.afterFalse(this.#bytes, at);
      default:
        return this.#object(at, into);
    }
  }

  #text(at: number, ref: ByteRef): number {
    if (this.#bytes[at] !== json.QUOTE) return UNSURE;
    const end = json.plainTextEnd(this.#bytes, at + 1, this.#end);
    ref.bytes = this.#bytes;
    ref.start = at + 1;
    ref.end = end;
    return end < 0 ? UNSURE : end + 1;
  }

  #id(at: number, ref: ByteRef): number {
    const end = this.#text(at, ref);
    const length = ref.end - ref.start;
    // So many bytes are no more code points than that; of longer ones the slow path counts.
    return length >= 1 && length <= MAX_ID_CODE_POINTS ? end : UNSURE;
  }

  #time(at: number): number {
    const bytes = this.#bytes;
    if (bytes[at] !== json.QUOTE) return this.#digits(at);
    const end = json.plainTextEnd(bytes, at + 1, this.#end);
    this.#integer = parseRfc3339(bytes, at + 1, end);
    return this.#integer >= 0 ? end + 1 : UNSURE;
  }

  /** A number written as 1 to 15 digits and nothing else. */
  #digits(at: number): number {
    const bytes = this.#bytes;
    let i = at;
    let value = 0;
    while (i < this.#end && json.isDigit(bytes[i])) value = value * 10 + bytes[i++] - json.ZERO;
    this.#integer = value;
    const count = i - at;
    if (count === 0 || count > MAX_DIGITS || (bytes[at] === json.ZERO && count > 1)) return UNSURE;
    // What follows must be a comma or the end of the object: a fraction or an exponent is neither.
    return i;
  }

  #object(at: number, into: DecodedEvent): number {
    const end = json.afterValue(this.#bytes, at, this.#end, 1);
    if (this.#bytes[at] !== json.OPEN_BRACE) return UNSURE;
    into.hasAttributes = true;
    into.attributes.bytes = this.#bytes;
    into.attributes.start = at;
    into.attributes.end = end;
    return end;
  }
}
