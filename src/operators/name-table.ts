const SLOTS = 64;
const EMPTY = -1;

/** A hash table from names, as bytes in a buffer, to numbers; finding one makes no string. Names are ASCII, fewer than 32. */
export class NameTable {
  readonly #numbers = new Int8Array(SLOTS).fill(EMPTY);
  readonly #bytes: Uint8Array;
  /** Where each name begins in `#bytes`; one more at the end. */
  readonly #starts: Uint16Array;

  constructor(names: readonly string[]) {
    this.#bytes = new TextEncoder().encode(names.join(''));
    this.#starts = new Uint16Array(names.length + 1);
    names.forEach((name, number) => {
      const start = this.#starts[number];
      const end = start + name.length;
      this.#starts[number + 1] = end;
      let slot = slotOf(this.#bytes, start, end);
      while (this.#numbers[slot] !== EMPTY) slot = (slot + 1) % SLOTS;
      this.#numbers[slot] = number;
    });
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

/** Length, first, middle and last byte tell the listed names apart; any collision costs one more comparison. */
function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const middle = bytes[(start + end) >> 1];
  return ((end - start) * 7 + bytes[start] * 3 + middle * 5 + bytes[end - 1] * 11) & (SLOTS - 1);
}
