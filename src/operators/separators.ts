/** In words of four bytes; a longer one is read, but never guessed. */
const WORDS = 8;
const BYTES = 4 * WORDS;
const NOTHING = -1;

/**
 * What lay between two values last time, from the end of one to the beginning of the next: `,"name":` and the quote of a text, spaces
 * and all. Programs write the same bytes there again and again, so they are compared instead of read. What is the same as something
 * that was read as JSON is JSON.
 */
export class Separators {
  /** By place: how many bytes, 0 where nothing is known. */
  readonly #lengths: Uint8Array;
  readonly #words: Int32Array;
  /** Which bits of the last word count. */
  readonly #lastMasks: Int32Array;
  /** By place: what the caller learnt about the value that follows. */
  readonly #follows: Int8Array;

  /** @param places after how many different values a separator is remembered */
  constructor(places: number) {
    this.#lengths = new Uint8Array(places);
    this.#words = new Int32Array(places * WORDS);
    this.#lastMasks = new Int32Array(places);
    this.#follows = new Int8Array(places).fill(NOTHING);
  }

  /** How long the separator that is known for the place is, when it lies at `at`; else 0. `view` is of the bytes up to `end`, and perhaps more. */
  lengthAt(place: number, view: DataView, at: number, end: number): number {
    const length = this.#lengths[place];
    if (length === 0 || at + length > end - 4) return 0;
    const words = this.#words;
    const last = place * WORDS + ((length - 1) >> 2);
    let i = at;
    for (let word = place * WORDS; word < last; word++, i += 4) {
      if (view.getInt32(i, true) !== words[word]) return 0;
    }
    return ((view.getInt32(i, true) ^ words[last]) & this.#lastMasks[place]) === 0 ? length : 0;
  }

  follows(place: number): number {
    return this.#follows[place];
  }

  /** The separator from `start` to `end` was found at the place, and this follows it. */
  learn(place: number, bytes: Uint8Array, { start, end }: { start: number; end: number }, follows: number): void {
    const length = end - start;
    this.#lengths[place] = 0;
    if (length > BYTES) return;
    for (let word = 0; word < WORDS; word++) this.#words[place * WORDS + word] = 0;
    for (let i = 0; i < length; i++) this.#words[place * WORDS + (i >> 2)] |= bytes[start + i] << (8 * (i & 3));
    this.#lastMasks[place] = (length & 3) === 0 ? -1 : (1 << (8 * (length & 3))) - 1;
    this.#follows[place] = follows;
    this.#lengths[place] = length;
  }
}
