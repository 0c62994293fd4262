/** The records of one uncompressed batch, one after the other, where they lie. Nothing is made for a record. */

interface RecordBytes {
  bytes: Uint8Array;
  /** Records lie from here to `end`. */
  start: number;
  end: number;
  count: number;
}

/** Without its length: attributes, and one byte each for time, offset, key, value and headers. */
export const LEAST_RECORD_BYTES = 6;

const CUT_SHORT = 'it ends inside a number';

export class RecordReader {
  offsetDelta = 0;
  timeDeltaMs = 0;
  /** -1 for a null key. */
  keyStart = -1;
  keyEnd = -1;
  /** -1 for a null value. */
  valueStart = -1;
  valueEnd = -1;
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  #left: number;

  constructor({ bytes, start, end, count }: RecordBytes) {
    this.#bytes = bytes;
    this.#end = end;
    this.#at = start;
    this.#left = Math.max(0, count);
  }

  /**
   * Reads the next record; false after the last.
   * @throws Error when the bytes are not so many whole records
   */
  next(): boolean {
    if (this.#left === 0) {
      if (this.#at !== this.#end) throw new Error(`${this.#end - this.#at} bytes follow its last record`);
      return false;
    }
    this.#left--;
    const length = this.#varint();
    const end = this.#at + length;
    if (length < LEAST_RECORD_BYTES || end > this.#end) throw new Error(`a record in it says that it is ${length} bytes long`);
    this.#at++; // Attributes: none is in use.
    this.timeDeltaMs = this.#varlong();
    this.offsetDelta = this.#varint();
    const keyBytes = this.#varint();
    this.keyStart = keyBytes < 0 ? -1 : this.#at;
    if (keyBytes > 0) this.#at += keyBytes;
    this.keyEnd = keyBytes < 0 ? -1 : this.#at;
    const valueBytes = this.#varint();
    this.valueStart = valueBytes < 0 ? -1 : this.#at;
    if (valueBytes > 0) this.#at += valueBytes;
    this.valueEnd = valueBytes < 0 ? -1 : this.#at;
    // What is left are headers, which are not looked at.
    if (this.#at >= end) throw new Error('a record in it ends before its fields do');
    this.#at = end;
    return true;
  }

  /** A zigzag number of up to 32 bits. */
  #varint(): number {
    const bytes = this.#bytes;
    let raw = bytes[this.#at++];
    if (raw > 0x7f) {
      raw &= 0x7f;
      for (let shift = 7; ; shift += 7) {
        const byte = bytes[this.#at++];
        // Of the fifth, four bits are left.
        if (shift === 28 && byte > 0x0f) throw new Error('a number in it has more than 32 bits');
        raw |= (byte & 0x7f) << shift;
        if (byte <= 0x7f) break;
        if (byte === undefined) throw new Error(CUT_SHORT);
      }
    }
    return (raw >>> 1) ^ -(raw & 1);
  }

  /** A zigzag number of up to 64 bits, exact up to 2^53. */
  #varlong(): number {
    const bytes = this.#bytes;
    let low = 0;
    let shift = 0;
    for (; shift < 28; shift += 7) {
      const byte = bytes[this.#at++];
      low |= (byte & 0x7f) << shift;
      if (byte <= 0x7f) return (low >>> 1) ^ -(low & 1);
      if (byte === undefined) throw new Error(CUT_SHORT);
    }
    let raw = low;
    for (let scale = 2 ** 28; shift < 70; shift += 7, scale *= 128) {
      const byte = bytes[this.#at++];
      // Of the tenth, one bit is left.
      if (shift === 63 && byte > 1) break;
      raw += (byte & 0x7f) * scale;
      if (byte <= 0x7f) return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
      if (byte === undefined) throw new Error(CUT_SHORT);
    }
    throw new Error('a number in it has more than 64 bits');
  }
}
