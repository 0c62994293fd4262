/**
 * Names as small integers, for those that are few and asked for all the time: compared by length and three words, and where those do not
 * reach, whole. No hash that somebody could not aim at, so their number is to be bounded.
 */
import { lastViewOf, viewOf } from './last-view.ts';

/** Of a slot: number + 1, 0 for an empty one; then what a name is compared by. */
const SLOT_WORDS = 8;
const FIRST_SLOTS = 16;
/** So many bytes are all in the words at the beginning, in the middle and at the end. */
const IN_WORDS = 12;

export class FewNames {
  readonly #names: DataView[] = [];
  #slots = new Int32Array(FIRST_SLOTS * SLOT_WORDS);

  get size(): number {
    return this.#names.length;
  }

  /** The number of a name, -1 when it has none. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const view = lastViewOf(bytes);
    const length = end - start;
    const first = length < 4 ? shortWord(view, start, end) : view.getInt32(start, true);
    const middle = length < 4 ? 0 : view.getInt32(start + ((length - 4) >> 1), true);
    const last = length < 4 ? 0 : view.getInt32(end - 4, true);
    for (let at = slotOf(slots, length, first, middle, last); slots[at] !== 0; at = (at + SLOT_WORDS) & (slots.length - 1)) {
      const isIt = slots[at + 1] === length && slots[at + 2] === first && slots[at + 3] === middle && slots[at + 4] === last;
      if (isIt && (length <= IN_WORDS || areSame(this.#names[slots[at] - 1], view, start))) return slots[at] - 1;
    }
    return -1;
  }

  /** Gives the next number to a name that has none. */
  add(bytes: Uint8Array, start: number, end: number): number {
    // A copy: what a Buffer calls a slice is none.
    this.#names.push(viewOf(new Uint8Array(bytes.subarray(start, end))));
    if (2 * this.#names.length * SLOT_WORDS > this.#slots.length) {
      this.#slots = new Int32Array(2 * this.#slots.length);
      for (let number = 0; number < this.#names.length; number++) this.#enter(number);
    } else {
      this.#enter(this.#names.length - 1);
    }
    return this.#names.length - 1;
  }

  #enter(number: number): void {
    const slots = this.#slots;
    const view = this.#names[number];
    const length = view.byteLength;
    const first = length < 4 ? shortWord(view, 0, length) : view.getInt32(0, true);
    const middle = length < 4 ? 0 : view.getInt32((length - 4) >> 1, true);
    const last = length < 4 ? 0 : view.getInt32(length - 4, true);
    let at = slotOf(slots, length, first, middle, last);
    while (slots[at] !== 0) at = (at + SLOT_WORDS) & (slots.length - 1);
    slots.set([number + 1, length, first, middle, last], at);
  }
}

function slotOf(slots: Int32Array, length: number, first: number, middle: number, last: number): number {
  const h = Math.imul(first, 0x9e3779b1) ^ Math.imul(middle, 0xc2b2ae35) ^ Math.imul(last + length, 0x85ebca6b);
  return Math.imul(h ^ (h >>> 15), SLOT_WORDS) & (slots.length - 1);
}

function shortWord(view: DataView, start: number, end: number): number {
  let word = 0;
  for (let i = end - 1; i >= start; i--) word = (word << 8) | view.getUint8(i);
  return word;
}

function areSame(name: DataView, view: DataView, start: number): boolean {
  for (let i = 0; i < name.byteLength; i++) if (name.getUint8(i) !== view.getUint8(start + i)) return false;
  return true;
}
