/**
 * A 128th of a fingerprint table: open addressing over 8-byte slots, two 32-bit words each. The first word is the
 * bucket tag (6 bits, 0 in an empty slot) and 26 bits of the hash, the second its low 32 bits; the segment's number has the top 6 bits, and one more.
 */

import { freeNow, type MemoryBudget } from './memory-budget.ts';

export const TAG_SHIFT = 26;
export const FINGERPRINT_MASK = 2 ** TAG_SHIFT - 1;
/** Tag values 1 to 63; 0 is an empty slot. */
export const TAGS = 63;

const SLOT_BYTES = 8;
/** Above this share of used slots, probes grow long. */
const MAX_LOAD = 0.88;
/**
 * Sizes of a segment are GROWTH ** (n + s), with s between 0 and 1 and another one for each segment, so that at any time they
 * are evenly between just grown and full: 8 / .88 bytes a key × 1.18 = 10.7 over all. Less growth costs more moves a key.
 */
export const GROWTH = 1.4;
/** A rehash leaves room for at least this many times the live keys. */
const MIN_ROOM = 1.06;
/** Words between two cache lines. */
const LINE = 16;

/** Which tags are of live buckets; entry 0 (an empty slot) is never. */
export type LiveTags = Uint8Array;

/** What a segment holds before its first key: one slot, empty for ever. */
const NOTHING = new Int32Array(2);

export class FingerprintSegment {
  /** Slots, two words each. */
  slots = NOTHING;
  /** Used slots, expired ones included, at which to rehash. */
  limit = 0;
  used = 0;
  /** Slots per unit of the low 32 bits, as a fraction: keys lie in hash order, so a rehash runs straight through memory. */
  scale = 0;
  /** No slot is of a bucket before this one. */
  floorBucket = Number.NEGATIVE_INFINITY;
  readonly #minCapacity: number;
  readonly #budget: MemoryBudget;

  /** Takes memory with the first key. */
  constructor(minCapacity: number, budget: MemoryBudget) {
    this.#minCapacity = minCapacity;
    this.#budget = budget;
  }

  get byteLength(): number {
    return this.slots === NOTHING ? 0 : this.slots.byteLength;
  }

  has(word: number, lo: number, live: LiveTags): boolean {
    return this.find(word, lo, live) === -1;
  }

  /** The index of the slot that the key may take (empty, or its own that has expired); −1 when the key is there and live. */
  find(word: number, lo: number, live: LiveTags): number {
    const slots = this.slots;
    let i = (((lo >>> 0) * this.scale) | 0) << 1;
    for (let first = slots[i]; first !== 0; first = slots[i]) {
      if (slots[i + 1] === lo && (first & FINGERPRINT_MASK) === word) return live[first >>> TAG_SHIFT] === 1 ? -1 : i;
      i += 2;
      if (i === slots.length) i = 0;
    }
    return i;
  }

  /** What lies where a key's probe begins, and in the next cache line; only for the sake of reading it. */
  firstProbed(lo: number): number {
    const i = (((lo >>> 0) * this.scale) | 0) << 1;
    return this.slots[i] ^ this.slots[i + LINE < this.slots.length ? i + LINE : 0];
  }

  /** Fills a slot that `find` has found. */
  put(index: number, first: number, lo: number): void {
    if (this.slots[index] === 0) this.used++;
    this.slots[index] = first;
    this.slots[index + 1] = lo;
  }

  liveKeys(live: LiveTags): number {
    const slots = this.slots;
    let keys = 0;
    for (let i = 0; i < slots.length; i += 2) keys += live[slots[i] >>> TAG_SHIFT];
    return keys;
  }

  /** Moves the live slots, `keys` of them, into a fresh array, larger or smaller, and drops the others. */
  rehash(live: LiveTags, keys: number): void {
    const old = this.slots;
    const capacity = this.#capacityFor(keys);
    this.#budget.reserve(capacity * SLOT_BYTES);
    const slots = new Int32Array(capacity * 2);
    const scale = capacity / 2 ** 32;
    // Begun after a gap, keys come nearly in the order in which they will lie, so the next free slot is known without
    // looking: every slot from `run` to `next` is taken.
    let run = 0;
    let next = 0;
    let from = 0;
    while (old[from] !== 0) from += 2;
    for (let left = old.length; left > 0; left -= 2, from = from + 2 === old.length ? 0 : from + 2) {
      const first = old[from];
      if (live[first >>> TAG_SHIFT] === 0) continue;
      const lo = old[from + 1];
      let to = (((lo >>> 0) * scale) | 0) << 1;
      if (to > next) run = to;
      else if (to >= run && next < slots.length) to = next;
      else while (slots[to] !== 0) to = to + 2 === slots.length ? 0 : to + 2;
      slots[to] = first;
      slots[to + 1] = lo;
      if (to >= next) next = to + 2;
    }
    this.#release();
    this.slots = slots;
    this.scale = scale;
    this.limit = Math.floor(capacity * MAX_LOAD);
    this.used = keys;
  }

  clear(): void {
    this.#release();
    this.slots = NOTHING;
    this.limit = 0;
    this.used = 0;
    this.scale = 0;
    this.floorBucket = Number.NEGATIVE_INFINITY;
  }

  #capacityFor(keys: number): number {
    let capacity = this.#minCapacity;
    while (capacity * MAX_LOAD < keys * MIN_ROOM) capacity *= GROWTH;
    return Math.ceil(capacity);
  }

  #release(): void {
    if (this.slots === NOTHING) return;
    this.#budget.release(this.slots.byteLength);
    freeNow(this.slots);
  }
}
