/**
 * HalfSipHash with 64 bits of output, keyed by the deployment's seed, so that nobody outside can aim collisions.
 * Algorithm: https://github.com/veorq/SipHash (halfsiphash.c). One round a word and three at the end are what hash tables use.
 */

import { createHash } from 'node:crypto';

export const SEED_BYTES = 8;

/** For each word of the message one round, for each word of the output so many. */
const FINAL_ROUNDS = 3;
const NO_WORDS = new DataView(new ArrayBuffer(0));

/** Hashes without allocating: the result of the last call stands in `hi` and `lo`. */
export class SeededHash {
  /** Both signed 32 bits: others would be boxed. */
  hi = 0;
  lo = 0;
  /** Identifies the seed without revealing it: 16 hex digits of its SHA-256. */
  readonly id: string;
  readonly #v0: number;
  readonly #v1: number;
  readonly #v2: number;
  readonly #v3: number;
  /** What was absorbed so far. */
  #s0 = 0;
  #s1 = 0;
  #s2 = 0;
  #s3 = 0;
  #buffer: Uint8Array = new Uint8Array(0);
  /** A view of the same bytes: reading words through it takes two thirds of the time. */
  #view: DataView = NO_WORDS;

  /** Throws RangeError unless the seed has 8 bytes. */
  constructor(seed: Uint8Array) {
    if (seed.length !== SEED_BYTES) throw new RangeError(`a hash seed has ${SEED_BYTES} bytes, not ${seed.length}`);
    const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength);
    const k0 = view.getInt32(0, true);
    const k1 = view.getInt32(4, true);
    this.#v0 = k0;
    this.#v1 = k1 ^ 0xee;
    this.#v2 = 0x6c796765 ^ k0;
    this.#v3 = 0x74656462 ^ k1;
    this.id = createHash('sha256').update(seed).digest('hex').slice(0, 16);
  }

  /** For code that hashes alike: the seed, as two words. */
  writeKey(to: DataView, at: number): void {
    to.setInt32(at, this.#v0, true);
    to.setInt32(at + 4, this.#v1 ^ 0xee, true);
  }

  /** Hashes `buffer` from `start` to `end` (exclusive). */
  bytes(buffer: Uint8Array, start: number, end: number): void {
    this.begin(0, 0);
    this.add(buffer, start, end);
    this.end();
  }

  /** Begins a hash of several parts, under a key of its own: the seed's, with these words added to it. */
  begin(k0: number, k1: number): void {
    this.#s0 = this.#v0 ^ k0;
    this.#s1 = this.#v1 ^ k1;
    this.#s2 = this.#v2 ^ k0;
    this.#s3 = this.#v3 ^ k1;
  }

  /** The next part: its words, and its last bytes together with the lowest of its length. Who divides parts elsewhere says so in a word. */
  add(buffer: Uint8Array, start: number, end: number): void {
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    }
    const wholeEnd = end - ((end - start) & 3);
    this.#absorb(this.#view, start, wholeEnd, lastBytes(buffer, wholeEnd, end) | ((end - start) << 24));
  }

  addWord(word: number): void {
    this.#absorb(NO_WORDS, 0, 0, word | 0);
  }

  /** Puts the hash into `hi` and `lo`. */
  end(): void {
    let v0 = this.#s0;
    let v1 = this.#s1;
    let v2 = this.#s2 ^ 0xee;
    let v3 = this.#s3;
    for (let half = 0; half < 2; half++) {
      for (let round = FINAL_ROUNDS; round > 0; round--) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      if (half === 0) {
        this.lo = v1 ^ v3;
        v1 ^= 0xdd;
      }
    }
    this.hi = v1 ^ v3;
  }

  /** The words from `start` to `end`, and one more. The same round as above: only in one function's registers is it quick. */
  #absorb(view: DataView, start: number, end: number, last: number): void {
    let v0 = this.#s0;
    let v1 = this.#s1;
    let v2 = this.#s2;
    let v3 = this.#s3;
    for (let at = start; at <= end; at += 4) {
      const word = at < end ? view.getInt32(at, true) : last;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    this.#s0 = v0;
    this.#s1 = v1;
    this.#s2 = v2;
    this.#s3 = v3;
  }
}

/** The up to three bytes after the last whole word. */
const lastBytes = (buffer: Uint8Array, start: number, end: number): number => {
  let word = 0;
  for (let i = end - 1; i >= start; i--) word = (word << 8) | buffer[i];
  return word;
};
