/**
 * HalfSipHash with 64 bits of output, keyed by the deployment's seed, so that nobody outside can aim collisions.
 * Algorithm: https://github.com/veorq/SipHash (halfsiphash.c). 1 and 3 rounds are what hash tables use.
 */

import { createHash } from 'node:crypto';

export const SEED_BYTES = 8;

export interface Rounds {
  /** For each word of the message. */
  compression: number;
  /** For each word of the output. */
  finalization: number;
}

const TABLE_ROUNDS: Rounds = { compression: 1, finalization: 3 };

/** Hashes without allocating: the result of the last call stands in `hi` and `lo`. */
export class SeededHash {
  /** Both unsigned 32 bits. */
  hi = 0;
  lo = 0;
  /** Identifies the seed without revealing it: 16 hex digits of its SHA-256. */
  readonly id: string;
  readonly #v0: number;
  readonly #v1: number;
  readonly #v2: number;
  readonly #v3: number;
  readonly #compression: number;
  readonly #finalization: number;
  /** What was absorbed so far. */
  #s0 = 0;
  #s1 = 0;
  #s2 = 0;
  #s3 = 0;
  #buffer: Uint8Array = new Uint8Array(0);
  /** A view of the same bytes: reading words through it takes two thirds of the time. */
  #words = new DataView(this.#buffer.buffer);

  /** Throws RangeError unless the seed has 8 bytes. */
  constructor(seed: Uint8Array, rounds: Rounds = TABLE_ROUNDS) {
    if (seed.length !== SEED_BYTES) throw new RangeError(`a hash seed has ${SEED_BYTES} bytes, not ${seed.length}`);
    const view = new DataView(seed.buffer, seed.byteOffset, seed.byteLength);
    const k0 = view.getInt32(0, true);
    const k1 = view.getInt32(4, true);
    this.#v0 = k0;
    this.#v1 = k1 ^ 0xee;
    this.#v2 = 0x6c796765 ^ k0;
    this.#v3 = 0x74656462 ^ k1;
    this.#compression = rounds.compression;
    this.#finalization = rounds.finalization;
    this.id = createHash('sha256').update(seed).digest('hex').slice(0, 16);
  }

  /** Hashes `buffer` from `start` to `end` (exclusive). */
  bytes(buffer: Uint8Array, start: number, end: number): void {
    this.begin();
    this.#absorb(buffer, start, end);
    this.#finish();
  }

  /** Hashes the first `count` words, as `bytes` would hash them laid out little-endian. */
  words(words: Uint32Array, count: number): void {
    this.begin();
    for (let i = 0; i < count; i++) this.#absorbWord(words[i] | 0);
    this.#absorbWord(count << 26);
    this.#finish();
  }

  /** Begins a hash of several parts: `add` and `addWord` any number of times, and `end`. */
  begin(): void {
    this.#s0 = this.#v0;
    this.#s1 = this.#v1;
    this.#s2 = this.#v2;
    this.#s3 = this.#v3;
  }

  /** The next part, its length before it: parts divided elsewhere give another hash. */
  add(buffer: Uint8Array, start: number, end: number): void {
    this.#absorbWord(end - start);
    this.#absorb(buffer, start, end);
  }

  addWord(word: number): void {
    this.#absorbWord(word | 0);
  }

  end(): void {
    this.#finish();
  }

  #lookAt(buffer: Uint8Array): void {
    this.#buffer = buffer;
    this.#words = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  }

  /** The words of a part, and its last bytes together with the lowest of its length. */
  #absorb(buffer: Uint8Array, start: number, end: number): void {
    if (buffer !== this.#buffer) this.#lookAt(buffer);
    const words = this.#words;
    let v0 = this.#s0;
    let v1 = this.#s1;
    let v2 = this.#s2;
    let v3 = this.#s3;
    const wholeWordsEnd = end - ((end - start) & 3);
    for (let i = start; ; i += 4) {
      const word = i < wholeWordsEnd ? words.getInt32(i, true) : lastWord(buffer, wholeWordsEnd, end) | ((end - start) << 24);
      v3 ^= word;
      for (let round = this.#compression; round > 0; round--) {
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
      v0 ^= word;
      if (i >= wholeWordsEnd) break;
    }
    this.#s0 = v0;
    this.#s1 = v1;
    this.#s2 = v2;
    this.#s3 = v3;
  }

  #absorbWord(word: number): void {
    this.#s3 ^= word;
    this.#rounds(this.#compression);
    this.#s0 ^= word;
  }

  #finish(): void {
    this.#s2 ^= 0xee;
    this.#rounds(this.#finalization);
    this.lo = (this.#s1 ^ this.#s3) >>> 0;
    this.#s1 ^= 0xdd;
    this.#rounds(this.#finalization);
    this.hi = (this.#s1 ^ this.#s3) >>> 0;
  }

  #rounds(count: number): void {
    let v0 = this.#s0;
    let v1 = this.#s1;
    let v2 = this.#s2;
    let v3 = this.#s3;
    for (let round = count; round > 0; round--) {
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
    this.#s0 = v0;
    this.#s1 = v1;
    this.#s2 = v2;
    this.#s3 = v3;
  }
}

/** The up to three bytes after the last whole word. */
const lastWord = (buffer: Uint8Array, start: number, end: number): number => {
  let word = 0;
  for (let i = end - 1; i >= start; i--) word = (word << 8) | buffer[i];
  return word;
};
