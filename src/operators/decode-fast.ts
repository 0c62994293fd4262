import type { Stream } from '../topology/types.ts';
import { FIELDS, type Field } from './decode-fields.ts';
import { clearOptional, type DecodedEvent } from './decoded-event.ts';
import { type FieldMapping, fieldPath } from './field-mapping.ts';
import { FieldReader, TARGETS } from './field-reader.ts';
import * as json from './json-scan.ts';
import { NameTable } from './name-table.ts';

/** Stands for the field before the first. */
const NONE = 31;
const NULL = 0x6e;
/** What is around a name: two quotes and a colon. */
const AFTER_COLON = 3;
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
  /** By field number: the listed field that came after it last time. A guess, and nearly always right. */
  readonly #followers = new Uint8Array(NONE + 1);

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
    const words = this.#reader.begin(bytes, end);
    clearOptional(into);
    let i = json.afterSpace(bytes, start, end);
    if (bytes[i] !== json.OPEN_BRACE) return false;
    let seen = 0;
    let previous = NONE;
    do {
      i = json.afterSpace(bytes, i + 1, end);
      if (bytes[i] !== json.QUOTE) return false;
      let field = this.#followers[previous];
      if (this.#names.isAt(field, words, i + 1)) {
        i += this.#names.length(field) + AFTER_COLON;
      } else {
        const nameEnd = json.plainTextEnd(bytes, words, i + 1, end);
        if (nameEnd < 0) return false;
        field = this.#names.find(bytes, i + 1, nameEnd);
        if (field >= 0) this.#followers[previous] = field;
        i = json.afterSpace(bytes, nameEnd + 1, end);
        if (bytes[i] !== json.COLON) return false;
        i++;
      }
      i = json.afterSpace(bytes, i, end);
      if (field < 0) {
        i = json.afterValue(bytes, i, end, 1);
      } else {
        const bit = 1 << field;
        if ((seen & bit) !== 0) return false;
        if (bytes[i] === NULL) {
          if ((this.#required & bit) !== 0) return false;
          i = json.afterNull(bytes, i);
        } else {
          i = this.#reader.read(this.#targets[field], i, into);
        }
        seen |= bit;
        previous = field;
      }
      if (i < 0) return false;
      i = json.afterSpace(bytes, i, end);
    } while (bytes[i] === json.COMMA);
    if (bytes[i] !== json.CLOSE_BRACE) return false;
    return json.afterSpace(bytes, i + 1, end) === end && (seen & this.#required) === this.#required;
  }
}
