/**
 * Names as small integers, for those that are few and asked for all the time: compared by length and four words, and where those do not
 * reach, whole. No hash that somebody could not aim at, so their number is to be bounded.
 */
import { lastViewOf, viewOf } from './last-view.ts';

/** Of a slot: number + 1, 0 for an empty one; length of the name, and its words. */
const SLOT_BITS = 3;
const SLOT_WORDS = 1 << SLOT_BITS;
const FIRST_SLOTS = 32;
/** One slot in so many is taken at most: a name mostly stands where it is looked for first. */
const SPARSE = 4;
/** Shorter ones have one word, others two at the beginning and two at the end, which may be the same. */
const LEAST_BYTES = 4;
/** So many bytes are all in the words. */
const IN_WORDS = 16;

export class FewNames {
  readonly #names: DataView[] = [];
  #slots = new Int32Array(FIRST_SLOTS * SLOT_WORDS);

  get size(): number {
    return this.#names.length;
  }

  /** The number of a name, -1 when it has none. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return this.findIn(lastViewOf(bytes), start, end);
  }

  /** The same for who has a view of the bytes. */
  findIn(view: DataView, start: number, end: number): number {
    const slots = this.#slots;
    const length = end - start;
    if (length < LEAST_BYTES) return this.#findShort(view, start, end);
    const inner = length < 8 ? 0 : 4;
    // One after the other: with anything between them V8 makes a call of each.
    const first = view.getInt32(start, true);
    const second = view.getInt32(start + inner, true);
    const third = view.getInt32(end - 4 - inner, true);
    const fourth = view.getInt32(end - 4, true);
    const between = length <= IN_WORDS ? length : mixedInside(view, start, end);
    for (let at = slotOf(slots, mixed(first, second, third, fourth, between)); slots[at] !== 0; at = after(slots, at)) {
      const inside = (slots[at + 3] ^ second) | (slots[at + 4] ^ third);
      const differ = (slots[at + 1] ^ length) | (slots[at + 2] ^ first) | inside | (slots[at + 5] ^ fourth);
      if (differ === 0 && (length <= IN_WORDS || areSameInside(this.#names[slots[at] - 1], view, start))) return slots[at] - 1;
    }
    return -1;
  }

  /** Gives the next number to a name that has none. */
  add(bytes: Uint8Array, start: number, end: number): number {
    // A copy: what a Buffer calls a slice is none.
    this.#names.push(viewOf(new Uint8Array(bytes.subarray(start, end))));
    if (SPARSE * this.#names.length * SLOT_WORDS > this.#slots.length) {
      this.#slots = new Int32Array(2 * this.#slots.length);
      for (let number = 0; number < this.#names.length; number++) this.#enter(number);
    } else {
      this.#enter(this.#names.length - 1);
    }
    return this.#names.length - 1;
  }

  #findShort(view: DataView, start: number, end: number): number {
    const slots = this.#slots;
    const word = shortWord(view, start, end);
    for (let at = slotOf(slots, mixed(word, 0, 0, 0, end - start)); slots[at] !== 0; at = after(slots, at)) {
      if (slots[at + 1] === end - start && slots[at + 2] === word) return slots[at] - 1;
    }
    return -1;
  }

  #enter(number: number): void {
    const slots = this.#slots;
    const view = this.#names[number];
    const length = view.byteLength;
    const inner = length < 8 ? 0 : 4;
    const isShort = length < LEAST_BYTES;
    const words = isShort
      ? [shortWord(view, 0, length), 0, 0, 0]
      : [0, inner, length - 4 - inner, length - 4].map((at) => view.getInt32(at, true));
    const between = length <= IN_WORDS ? length : mixedInside(view, 0, length);
    let at = slotOf(slots, mixed(words[0], words[1], words[2], words[3], between));
    while (slots[at] !== 0) at = after(slots, at);
    slots.set([number + 1, length, ...words], at);
  }
}

/** By the highest bits of a hash, which alone depend on every bit of the words. */
const slotOf = (slots: Int32Array, hash: number): number => (hash >>> (Math.clz32(slots.length) + SLOT_BITS + 1)) * SLOT_WORDS;

const after = (slots: Int32Array, slot: number): number => (slot + SLOT_WORDS) & (slots.length - 1);

function mixed(first: number, second: number, third: number, fourth: number, between: number): number {
  const begin = Math.imul(first ^ Math.imul(second, 0x9e3779b1), 0xc2b2ae35);
  return begin ^ Math.imul(third ^ between ^ Math.imul(fourth, 0x27d4eb2f), 0x85ebca6b);
}

/** Of what `areSameInside` compares: a number may stand anywhere in names that are otherwise the same. */
function mixedInside(view: DataView, start: number, end: number): number {
  let mix = end - start;
  for (let at = start + 8; at < end - 8; at += 4) mix = Math.imul(mix ^ view.getInt32(at, true), 0x9e3779b1);
  return mix;
}

function shortWord(view: DataView, start: number, end: number): number {
  let word = 0;
  for (let i = end - 1; i >= start; i--) word = (word << 8) | view.getUint8(i);
  return word;
}

/** What lies between the first two words and the last two. */
function areSameInside(name: DataView, view: DataView, start: number): boolean {
  const end = name.byteLength - 8;
  for (let i = 8; i < end; i += 4) if (name.getInt32(i, true) !== view.getInt32(start + i, true)) return false;
  return true;
}
