/**
 * The segments an exposure belongs to: a value of each configured dimension, out of the JSON text of its attributes. A
 * segment is a group of its own, of no entity, with `dimension\0value` for its variant: no id holds U+0000.
 */
import { afterSpace, afterValue, COLON, COMMA, plainTextEnd, QUOTE } from '../operators/json-scan.ts';
import { FewNames } from '../state/few-names.ts';
import { lastViewOf } from '../state/last-view.ts';
import type { ByteRef } from './types.ts';

/** What values beyond the cap are folded into, and those too long to be one. */
const OTHER = '(other)';
const MAX_VALUE_BYTES = 64;
const BACKSLASH = 0x5c;
const NULL = 0x6e;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;

const utf8 = new TextEncoder();
const text = new TextDecoder();

interface Dimension {
  /** `name\0`. */
  marked: Uint8Array;
  values: FewNames;
  /** By number of the value. */
  groups: number[];
  /** Group of what is folded; -1 before there is any. */
  other: number;
}

export class SegmentValues {
  /** By number of the name. */
  readonly #dimensions: readonly Dimension[];
  readonly #names = new FewNames();
  readonly #maxValues: number;
  readonly #intern: (name: ByteRef) => number;
  readonly #value: ByteRef = { bytes: new Uint8Array(0), start: 0, end: 0 };

  /** @param intern makes a group of `dimension\0value`; asked once for each */
  constructor({ dimensions, maxValues }: { dimensions: readonly string[]; maxValues: number }, intern: (name: ByteRef) => number) {
    const marks = [...new Set(dimensions)].map((name) => utf8.encode(`${name}\u0000`));
    for (const marked of marks) this.#names.add(marked, 0, marked.length - 1);
    this.#dimensions = marks.map((marked) => ({ marked, values: new FewNames(), groups: [], other: -1 }));
    this.#maxValues = maxValues;
    this.#intern = intern;
  }

  /** A group that is known already: after a restart the values are learnt in the order in which they came. */
  learn(group: number, variant: string): void {
    const [name, value] = variant.split('\u0000');
    if (value === undefined) return;
    const named = utf8.encode(name);
    const dimension = this.#find(named, 0, named.length);
    const bytes = utf8.encode(value);
    if (dimension === undefined || dimension.values.find(bytes, 0, bytes.length) !== -1) return;
    if (value === OTHER) dimension.other = group;
    else dimension.groups[dimension.values.add(bytes, 0, bytes.length)] = group;
  }

  /** Calls with the group of each segment. */
  each({ bytes, start: from, end }: ByteRef, visit: (segment: number) => void): void {
    const words = lastViewOf(bytes);
    let i = afterSpace(bytes, from, end) + 1;
    for (;;) {
      i = afterSpace(bytes, i, end);
      if (bytes[i] !== QUOTE) return; // the end, or what a scanner need not read
      const nameEnd = plainTextEnd(bytes, words, i + 1, end);
      const dimension = nameEnd < 0 ? undefined : this.#find(bytes, i + 1, nameEnd);
      i = nameEnd < 0 ? afterValue(bytes, i, end, 1) : nameEnd + 1;
      if (i < 0) return;
      i = afterSpace(bytes, i, end);
      if (bytes[i] !== COLON) return;
      const start = afterSpace(bytes, i + 1, end);
      i = afterValue(bytes, start, end, 1);
      if (i < 0) return;
      if (dimension !== undefined && this.#read(bytes, start, i)) visit(this.#groupOf(dimension));
      i = afterSpace(bytes, i, end);
      if (bytes[i] !== COMMA) return;
      i++;
    }
  }

  #find(bytes: Uint8Array, start: number, end: number): Dimension | undefined {
    const number = this.#names.find(bytes, start, end);
    return number === -1 ? undefined : this.#dimensions[number];
  }

  /** The value that lies there, without quotes; false for one that makes no segment. */
  #read(bytes: Uint8Array, start: number, end: number): boolean {
    const first = bytes[start];
    if (first === NULL || first === OPEN_BRACE || first === OPEN_BRACKET) return false;
    const value = this.#value;
    const isText = first === QUOTE;
    value.bytes = bytes;
    value.start = isText ? start + 1 : start;
    value.end = isText ? end - 1 : end;
    if (isText && hasEscape(bytes, value.start, value.end)) {
      // JSON.parse of what a scanner has found whole; U+0000 would be a mark.
      value.bytes = utf8.encode((JSON.parse(text.decode(bytes.subarray(start, end))) as string).replaceAll('\u0000', '\ufffd'));
      value.start = 0;
      value.end = value.bytes.length;
    }
    return true;
  }

  #groupOf(dimension: Dimension): number {
    const { bytes, start, end } = this.#value;
    const { values, groups } = dimension;
    const known = values.find(bytes, start, end);
    if (known !== -1) return groups[known];
    if (end - start > MAX_VALUE_BYTES || values.size >= this.#maxValues) {
      if (dimension.other === -1) dimension.other = this.#make(dimension, utf8.encode(OTHER));
      return dimension.other;
    }
    const group = this.#make(dimension, bytes.subarray(start, end));
    groups[values.add(bytes, start, end)] = group;
    return group;
  }

  #make({ marked }: Dimension, value: Uint8Array): number {
    const bytes = new Uint8Array(marked.length + value.length);
    bytes.set(marked);
    bytes.set(value, marked.length);
    return this.#intern({ bytes, start: 0, end: bytes.length });
  }
}

function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] === BACKSLASH) return true;
  return false;
}
