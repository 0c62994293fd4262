/** Byte strings that repeat (ids) as small integers, given in order of appearance. Compared byte for byte. */
import { StreamError } from '../errors.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import type { SeededHash } from './hash.ts';

const EMPTY = -1;

export class Interner {
  readonly #hash: SeededHash;
  readonly #maxIds: number;
  readonly #tooMany: (maxIds: number) => StreamError;
  #ids: Uint8Array[] = [];
  #hashes = new Uint32Array(16);
  #slots = new Int32Array(32).fill(EMPTY);
  #written = 0;
  #bytes = 0;

  /** @param maxIds how many distinct ids are taken before `tooMany` is thrown (StreamError too_many_ids) */
  constructor(hash: SeededHash, maxIds: number, tooMany = tooManyIds) {
    this.#hash = hash;
    this.#maxIds = maxIds;
    this.#tooMany = tooMany;
  }

  get size(): number {
    return this.#ids.length;
  }

  get byteLength(): number {
    return this.#bytes + this.#hashes.byteLength + this.#slots.byteLength;
  }

  /** The bytes of an id; not to be changed. */
  bytesOf(index: number): Uint8Array {
    return this.#ids[index];
  }

  intern(bytes: Uint8Array, start: number, end: number): number {
    this.#hash.bytes(bytes, start, end);
    const hash = this.#hash.lo;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const index = this.#slots[slot];
      if (index === EMPTY) return this.#enter(slot, hash, bytes.slice(start, end));
      if (this.#hashes[index] === hash && same(this.#ids[index], bytes, start, end)) return index;
      slot = (slot + 1) & mask;
    }
  }

  /** All ids are to be written again. */
  rewind(): void {
    this.#written = 0;
  }

  /** Writes the ids that are new since the last call: their number, then each with its length. */
  writeNew(to: ByteWriter): void {
    to.varint(this.#ids.length - this.#written);
    for (; this.#written < this.#ids.length; this.#written++) {
      const id = this.#ids[this.#written];
      to.varint(id.length);
      to.bytes(id);
    }
  }

  /** Enters what writeNew wrote, in the same order. */
  readNew(from: ByteReader): void {
    for (let left = from.varint(); left > 0; left--) {
      const id = from.bytes(from.varint());
      this.intern(id, 0, id.length);
    }
    this.#written = this.#ids.length;
  }

  #enter(slot: number, hash: number, id: Uint8Array): number {
    const index = this.#ids.length;
    if (index >= this.#maxIds) throw this.#tooMany(this.#maxIds);
    this.#ids.push(id);
    this.#bytes += id.length + 64;
    if (index === this.#hashes.length) {
      const longer = new Uint32Array(index * 2);
      longer.set(this.#hashes);
      this.#hashes = longer;
    }
    this.#hashes[index] = hash;
    this.#slots[slot] = index;
    if (index * 2 > this.#slots.length) this.#rehash();
    return index;
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(EMPTY);
    const mask = this.#slots.length - 1;
    for (let i = 0; i < this.#ids.length; i++) {
      let slot = this.#hashes[i] & mask;
      while (this.#slots[slot] !== EMPTY) slot = (slot + 1) & mask;
      this.#slots[slot] = i;
    }
  }
}

const tooManyIds = (maxIds: number): StreamError =>
  new StreamError(
    'too_many_ids',
    `more than ${maxIds} distinct ids in one partition: raise limits.maxIds, or find the producer that makes them up`,
  );

function same(id: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (id.length !== end - start) return false;
  for (let i = 0; i < id.length; i++) if (id[i] !== bytes[start + i]) return false;
  return true;
}
