/**
 * Compact binary writing and reading: little-endian numbers, unsigned varints up to 2^53 − 1, UTF-8 text with its length
 * in front. Commits, partials and the state's files are made of it.
 */

import { copyBytes, copyWords, SHORT_BYTES } from './copy-bytes.ts';
import { putVarint } from './varint.ts';

const utf8 = new TextEncoder();
const utf8Strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text of so many units has a length of one byte, also where it is written times two. */
const MOST_ASCII = 63;

const MAX_VARINT_BYTES = 8;
/** Of a whole number that a double tells exactly. */
const MOST_DIGITS = 16;

/** Appends to a buffer that grows and is kept for the next use. */
export class ByteWriter {
  #buffer: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(initialBytes = 1024) {
    this.#buffer = new Uint8Array(Math.max(16, initialBytes));
    this.#view = new DataView(this.#buffer.buffer);
  }

  /** Bytes written since the last `take` or `reset`. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that find room before memory is taken anew. */
  get capacity(): number {
    return this.#buffer.length;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  u16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  i32(value: number): void {
    this.#reserve(4);
    this.#view.setInt32(this.#length, value, true);
    this.#length += 4;
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** A byte, two words and a varint: the most frequent thing of all that is written, so it has a way of its own. */
  tagged(tag: number, first: number, second: number, number: number): void {
    this.#reserve(9 + MAX_VARINT_BYTES);
    const at = this.#length;
    this.#buffer[at] = tag;
    this.#view.setInt32(at + 1, first, true);
    this.#view.setInt32(at + 5, second, true);
    this.#length = at + 9;
    this.varint(number);
  }

  /** Unsigned LEB128: seven bits a byte, lowest first. Throws RangeError unless 0 ≤ value ≤ 2^53 − 1 and whole. */
  varint(value: number): void {
    this.#reserve(MAX_VARINT_BYTES);
    this.#length = putVarint(this.#buffer, this.#length, value);
  }

  /** Several: those from `start` to `end` (exclusive). */
  varints(values: Float64Array, start: number, end: number): void {
    this.#reserve((end - start) * MAX_VARINT_BYTES);
    let at = this.#length;
    for (let i = start; i < end; i++) at = putVarint(this.#buffer, at, values[i]);
    this.#length = at;
  }

  /** The bytes from `start` to `end` (exclusive), without their length. */
  bytes(source: Uint8Array, start = 0, end = source.length): void {
    this.#reserve(end - start);
    copyBytes(source, start, end, this.#buffer, this.#length);
    this.#length += end - start;
  }

  /** The first `length` bytes. All of the source is copied, which takes a third of the time that a part does. */
  beginOf(source: Uint8Array, length: number): void {
    this.#reserve(source.length);
    this.#buffer.set(source, this.#length);
    this.#length += length;
  }

  /** The same of what a view shows: faster for short ones whose view is there. */
  words(source: DataView, start: number, end: number): void {
    this.#reserve(end - start);
    copyWords(source, start, end, this.#view, this.#length);
    this.#length += end - start;
  }

  /** All that another writer holds. */
  written(by: ByteWriter): void {
    this.bytes(by.#buffer, 0, by.#length);
  }

  /** Varint length in bytes, times `unit`, then UTF-8. A lone surrogate is written as U+FFFD. */
  string(text: string, unit: 1 | 2 = 1): void {
    if (text.length <= MOST_ASCII && this.#ascii(text, unit)) return;
    const encoded = utf8.encode(text);
    this.varint(unit * encoded.length);
    this.bytes(encoded);
  }

  /** A whole number, not negative, as the text of its digits: its length times `unit`, then these. */
  digits(number: number, unit: 1 | 2 = 1): void {
    this.#reserve(1 + MOST_DIGITS);
    let count = 1;
    for (let power = 10; power <= number; power *= 10) count++;
    this.#buffer[this.#length] = unit * count;
    this.#length += 1 + count;
    let rest = number;
    for (let at = this.#length - 1; at >= this.#length - count; at--) {
      const tenth = Math.floor(rest / 10);
      this.#buffer[at] = 0x30 + (rest - 10 * tenth);
      rest = tenth;
    }
  }

  /** A copy of what was written; the writer starts again empty. */
  take(): Uint8Array {
    const taken = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  /** What was written, without a copy: valid until the next write. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  reset(): void {
    this.#length = 0;
  }

  /** Writes text that is all ASCII; false, and nothing written, when it is not. */
  #ascii(text: string, unit: number): boolean {
    const count = text.length;
    this.#reserve(count + 1);
    const buffer = this.#buffer;
    const start = this.#length + 1;
    for (let i = 0; i < count; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) return false;
      buffer[start + i] = code;
    }
    buffer[start - 1] = unit * count;
    this.#length = start + count;
    return true;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Reads what a ByteWriter wrote. Every method throws RangeError when the bytes end early. */
export class ByteReader {
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  #position: number;

  constructor(buffer: Uint8Array, start = 0, end = buffer.length) {
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    this.#position = start;
    this.#end = end;
    if (start < 0 || end > buffer.length || start > end) throw new RangeError(`no bytes ${start} to ${end} in ${buffer.length}`);
  }

  /** Index into the buffer of the next byte. */
  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#end - this.#position;
  }

  get done(): boolean {
    return this.#position === this.#end;
  }

  u8(): number {
    return this.#buffer[this.#advance(1)];
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  /** Throws RangeError also for a number above 2^53 − 1. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw new RangeError('a varint above 2^53 − 1');
  }

  /** What is read from; `position` is an index into it. */
  get buffer(): Uint8Array {
    return this.#buffer;
  }

  skip(count: number): void {
    this.#advance(count);
  }

  /** A view of the next `count` bytes, not a copy. */
  bytes(count: number): Uint8Array {
    const start = this.#advance(count);
    return this.#buffer.subarray(start, start + count);
  }

  /** Throws TypeError when the bytes are no UTF-8. */
  string(): string {
    const count = this.varint();
    const start = this.#advance(count);
    if (count <= SHORT_BYTES) {
      let text = '';
      let i = start;
      for (; i < start + count; i++) {
        const byte = this.#buffer[i];
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
      }
      if (i === start + count) return text;
    }
    return utf8Strict.decode(this.#buffer.subarray(start, start + count));
  }

  /** The index of the next byte, having moved past `count`. */
  #advance(count: number): number {
    const start = this.#position;
    if (count > this.#end - start) throw new RangeError(`${count} bytes wanted, ${this.#end - start} left`);
    this.#position = start + count;
    return start;
  }
}
