/** Byte strings that repeat (ids) as small integers, given in order of appearance. Compared byte for byte, kept in one array. */
import { StreamError } from '../errors.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import type { SeededHash } from './hash.ts';

/** Of a slot: hash, index + 1 (0 is an empty one), start and length of the bytes. */
const SLOT_WORDS = 4;
const FIRST_SLOTS = 8;
const FIRST_BYTES = 64;

/** Where an id lies in somebody's buffer. */
export interface IdRef {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** 32 bits that spread the ids; the same for the same id in every run. */
export type HashOfId = (bytes: Uint8Array, start: number, end: number) => number;

export class Interner {
  readonly #hashOf: HashOfId;
  readonly #maxIds: number;
  readonly #tooMany: (maxIds: number) => StreamError;
  #size = 0;
  #slots = new Int32Array(FIRST_SLOTS * SLOT_WORDS);
  #bytes = new Uint8Array(FIRST_BYTES);
  /** Where each id begins; the last is where the next one will. */
  #starts = new Uint32Array(FIRST_SLOTS);
  #written = 0;

  /** @param maxIds how many distinct ids are taken before `tooMany` is thrown (StreamError too_many_ids) */
  constructor(hash: SeededHash | HashOfId, maxIds: number, tooMany = tooManyIds) {
    this.#hashOf = typeof hash === 'function' ? hash : hashWith(hash);
    this.#maxIds = maxIds;
    this.#tooMany = tooMany;
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#bytes.byteLength + this.#starts.byteLength + this.#slots.byteLength;
  }

  /** The bytes of an id; not to be changed. */
  bytesOf(index: number): Uint8Array {
    return this.#bytes.subarray(this.#starts[index], this.#starts[index + 1]);
  }

  intern(bytes: Uint8Array, start: number, end: number): number {
    return this.internHashed(this.#hashOf(bytes, start, end), bytes, start, end);
  }

  /** The same for who knows the id's hash. */
  internHashed(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const slots = this.#slots;
    const word = hash | 0;
    for (let slot = this.#slotOf(word); ; slot = this.#after(slot)) {
      if (slots[slot + 1] === 0) return this.#enter(slot, word, bytes.subarray(start, end));
      if (slots[slot] !== word || slots[slot + 3] !== length) continue;
      if (this.#isAt(slots[slot + 2], bytes, start, end)) return slots[slot + 1] - 1;
    }
  }

  /** The index of the id that is `first`, these bytes, `last`; -1 when there is none. */
  findBetween(hash: number, { bytes, start, end }: IdRef, first: number, last: number): number {
    const length = end - start + 2;
    const slots = this.#slots;
    const word = hash | 0;
    for (let slot = this.#slotOf(word); slots[slot + 1] !== 0; slot = this.#after(slot)) {
      if (slots[slot] !== word || slots[slot + 3] !== length) continue;
      const at = slots[slot + 2];
      if (this.#bytes[at] !== first || this.#bytes[at + length - 1] !== last) continue;
      if (this.#isAt(at + 1, bytes, start, end)) return slots[slot + 1] - 1;
    }
    return -1;
  }

  /** Reads the slot of a hash, so that it waits in the cache. The result means nothing. */
  warm(hash: number): number {
    return this.#slots[this.#slotOf(hash | 0)];
  }

  /** All ids are to be written again. */
  rewind(): void {
    this.#written = 0;
  }

  /** Writes the ids that are new since the last call: their number, then each with its length. */
  writeNew(to: ByteWriter): void {
    to.varint(this.#size - this.#written);
    for (; this.#written < this.#size; this.#written++) {
      const start = this.#starts[this.#written];
      const end = this.#starts[this.#written + 1];
      to.varint(end - start);
      to.bytes(this.#bytes, start, end);
    }
  }

  /** Enters what writeNew wrote, in the same order. */
  readNew(from: ByteReader): void {
    for (let left = from.varint(); left > 0; left--) {
      const id = from.bytes(from.varint());
      this.intern(id, 0, id.length);
    }
    this.#written = this.#size;
  }

  #slotOf(hash: number): number {
    return (Math.imul(hash, SLOT_WORDS) & (this.#slots.length - 1)) >>> 0;
  }

  #after(slot: number): number {
    return (slot + SLOT_WORDS) & (this.#slots.length - 1);
  }

  #isAt(at: number, bytes: Uint8Array, start: number, end: number): boolean {
    const own = this.#bytes;
    for (let i = start, j = at; i < end; i++, j++) if (own[j] !== bytes[i]) return false;
    return true;
  }

  #enter(slot: number, hash: number, id: Uint8Array): number {
    const index = this.#size;
    if (index >= this.#maxIds) throw this.#tooMany(this.#maxIds);
    const start = this.#starts[index];
    this.#reserve(start + id.length);
    this.#bytes.set(id, start);
    this.#starts[index + 1] = start + id.length;
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = index + 1;
    this.#slots[slot + 2] = start;
    this.#slots[slot + 3] = id.length;
    this.#size++;
    if (2 * SLOT_WORDS * this.#size > this.#slots.length) this.#rehash();
    return index;
  }

  /** Room for so many bytes, and for one id more. */
  #reserve(length: number): void {
    if (length > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      longer.set(this.#bytes);
      this.#bytes = longer;
    }
    if (this.#size + 1 < this.#starts.length) return;
    const starts = new Uint32Array(2 * this.#starts.length);
    starts.set(this.#starts);
    this.#starts = starts;
  }

  #rehash(): void {
    const old = this.#slots;
    const slots = new Int32Array(old.length * 2);
    this.#slots = slots;
    for (let from = 0; from < old.length; from += SLOT_WORDS) {
      if (old[from + 1] === 0) continue;
      let to = this.#slotOf(old[from]);
      while (slots[to + 1] !== 0) to = this.#after(to);
      for (let i = 0; i < SLOT_WORDS; i++) slots[to + i] = old[from + i];
    }
  }
}

const hashWith =
  (hash: SeededHash): HashOfId =>
  (bytes, start, end) => {
    hash.bytes(bytes, start, end);
    return hash.lo;
  };

const tooManyIds = (maxIds: number): StreamError =>
  new StreamError(
    'too_many_ids',
    `more than ${maxIds} distinct ids in one partition: raise limits.maxIds, or find the producer that makes them up`,
  );
