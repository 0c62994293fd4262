import type { Stream } from '../topology/types.ts';
import { FIELDS, type Field } from './decode-fields.ts';
import { clearOptional, type DecodedEvent } from './decoded-event.ts';
import { type FieldMapping, fieldPath } from './field-mapping.ts';
import { FieldReader, TARGETS } from './field-reader.ts';
import * as json from './json-scan.ts';
import { NameTable } from './name-table.ts';
import { Separators } from './separators.ts';

/** Stands for the field before the first; fields have lower numbers. */
const NONE = 31;
/** From here on: names that are not listed, by how many came before. */
const UNLISTED = 32;
const MOST_UNLISTED = 32;
/** The value of a listed field, without the quote that was read with its separator. */
const QUOTED = 64;
const NULL = 0x6e;
/** A name that JSON can only hold as it is: printable ASCII without quote and backslash. */
const PLAIN_NAME = /^[ !#-[\]-~]+$/;

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
  readonly #reader: FieldReader;
  /** After each field, and each unlisted name. What follows is a field number, with QUOTED where it is, or UNLISTED. */
  readonly #separators = new Separators(UNLISTED + MOST_UNLISTED);
  /** Where the value begins that `#find` has found. */
  #at = 0;

  private constructor(fields: readonly Field[], names: readonly string[], maxSpendMicros: number) {
    this.#names = new NameTable(names);
    this.#targets = Uint8Array.from(fields, (field) => TARGETS[field.target]);
    this.#required = fields.reduce((bits, field, number) => (field.required ? bits | (1 << number) : bits), 0);
    this.#reader = new FieldReader(maxSpendMicros);
  }

  /** Null where the mapping asks for more than plain, distinct names at the top. */
  static create(stream: Stream, options: { mapping: FieldMapping; maxSpendMicros: number }): FastDecoder | null {
    const paths = FIELDS[stream].map((field) => fieldPath(options.mapping, field.name));
    const names = paths.map((path) => path[0]);
    const plain = paths.every((path) => path.length === 1 && PLAIN_NAME.test(path[0]));
    return plain && new Set(names).size === names.length ? new FastDecoder(FIELDS[stream], names, options.maxSpendMicros) : null;
  }

  /** True when the value is good and all of it is in `into`; false when the slow path has to judge. */
  decode(bytes: Uint8Array, start: number, end: number, into: DecodedEvent): boolean {
    const reader = this.#reader;
    const view = reader.begin(bytes, end);
    clearOptional(into);
    let seen = 0;
    let unlisted = UNLISTED;
    let place = NONE;
    let i = start;
    do {
      const length = this.#separators.lengthAt(place, view, i, end);
      let follows = this.#separators.follows(place);
      // What had another value last time may have a text now.
      if (length > 0 && (follows >= UNLISTED || bytes[i + length] !== json.QUOTE)) {
        i += length;
      } else {
        follows = this.#find(place, i, bytes, end);
        if (follows < 0) return false;
        i = this.#at;
      }
      if (follows === UNLISTED) {
        place = unlisted;
        if (unlisted < UNLISTED + MOST_UNLISTED - 1) unlisted++;
        i = json.afterValue(bytes, i, end, 1);
      } else {
        const field = follows & (QUOTED - 1);
        const bit = 1 << field;
        if ((seen & bit) !== 0) return false;
        seen |= bit;
        place = field;
        if (follows !== field) i = reader.readQuoted(this.#targets[field], i, into);
        else if (bytes[i] !== NULL) i = reader.read(this.#targets[field], i, into);
        else i = (this.#required & bit) === 0 ? json.afterNull(bytes, i) : -1;
      }
      if (i < 0) return false;
      if (bytes[i] <= json.SPACE) i = json.afterSpace(bytes, i, end);
    } while (bytes[i] !== json.CLOSE_BRACE);
    return json.afterSpace(bytes, i + 1, end) === end && (seen & this.#required) === this.#required;
  }

  /** Reads what lies between two values, and remembers it: returns what follows, at `#at`, or -1. */
  #find(place: number, from: number, bytes: Uint8Array, end: number): number {
    let i = json.afterSpace(bytes, from, end);
    if (bytes[i] !== (place === NONE ? json.OPEN_BRACE : json.COMMA)) return -1;
    i = json.afterSpace(bytes, i + 1, end);
    if (bytes[i] !== json.QUOTE) return -1;
    const nameEnd = json.plainTextEnd(bytes, this.#reader.view, i + 1, end);
    if (nameEnd < 0) return -1;
    const field = this.#names.find(bytes, i + 1, nameEnd);
    i = json.afterSpace(bytes, nameEnd + 1, end);
    if (bytes[i] !== json.COLON) return -1;
    i = json.afterSpace(bytes, i + 1, end);
    const isQuoted = field >= 0 && bytes[i] === json.QUOTE;
    if (isQuoted) i++;
    this.#at = i;
    const follows = field < 0 ? UNLISTED : isQuoted ? field | QUOTED : field;
    this.#separators.learn(place, bytes, { start: from, end: i }, follows);
    return follows;
  }
}
