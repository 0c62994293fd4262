const SLOTS = 64;
const EMPTY = -1;
/** Of a name and what follows it, in words; longer ones are found, but not guessed. */
const WORDS = 6;
/** Quote and colon. */
const TAIL = 2;

/** A hash table from names, as bytes in a buffer, to numbers; finding one makes no string. Names are ASCII, fewer than 32. */
export class NameTable {
  readonly #numbers = new Int8Array(SLOTS).fill(EMPTY);
  readonly #bytes: Uint8Array;
  /** Where each name begins in `#bytes`; one more at the end. */
  readonly #starts: Uint16Array;
  /** By number, WORDS each: the name, a quote and a colon as little-endian words, and which of their bits count. */
  readonly #words: Int32Array;
  readonly #masks: Int32Array;

  constructor(names: readonly string[]) {
    this.#bytes = new TextEncoder().encode(names.join(''));
    this.#starts = new Uint16Array(names.length + 1);
    this.#words = new Int32Array(names.length * WORDS);
    this.#masks = new Int32Array(names.length * WORDS);
    names.forEach((name, number) => {
      this.#enterWords(number, `${name}":`);
      const start = this.#starts[number];
      const end = start + name.length;
      this.#starts[number + 1] = end;
      let slot = slotOf(this.#bytes, start, end);
      while (this.#numbers[slot] !== EMPTY) slot = (slot + 1) % SLOTS;
      this.#numbers[slot] = number;
    });
  }

  #enterWords(number: number, text: string): void {
    if (text.length > 4 * WORDS) return;
    const bytes = new Uint8Array(4 * WORDS);
    bytes.set(new TextEncoder().encode(text));
    const mask = new Uint8Array(4 * WORDS).fill(0xff, 0, text.length);
    for (let i = 0; i < WORDS; i++) {
      this.#words[number * WORDS + i] = view(bytes).getInt32(4 * i, true);
      this.#masks[number * WORDS + i] = view(mask).getInt32(4 * i, true);
    }
  }

  length(number: number): number {
    return this.#starts[number + 1] - this.#starts[number];
  }

  /** Whether that name, a closing quote and a colon lie there; no for a very long name. `words` is a view of the bytes. */
  isAt(number: number, words: DataView, start: number): boolean {
    const from = this.#starts[number];
    const count = (this.#starts[number + 1] - from + TAIL + 3) >> 2;
    if (count > WORDS || start + 4 * count > words.byteLength) return false;
    for (let i = 0, at = number * WORDS; i < count; i++, at++) {
      if (((words.getInt32(start + 4 * i, true) ^ this.#words[at]) & this.#masks[at]) !== 0) return false;
    }
    return true;
  }

  /** The index of the name that lies there, or -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length === 0) return EMPTY;
    for (let slot = slotOf(bytes, start, end); ; slot = (slot + 1) % SLOTS) {
      const number = this.#numbers[slot];
      if (number === EMPTY) return EMPTY;
      const from = this.#starts[number];
      if (this.#starts[number + 1] - from !== length) continue;
      let i = 0;
      while (i < length && bytes[start + i] === this.#bytes[from + i]) i++;
      if (i === length) return number;
    }
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Length, first, middle and last byte tell the listed names apart; any collision costs one more comparison. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const middle = bytes[(start + end) >> 1];
  return ((end - start) * 7 + bytes[start] * 3 + middle * 5 + bytes[end - 1] * 11) & (SLOTS - 1);
}
