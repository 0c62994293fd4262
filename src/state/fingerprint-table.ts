/**
 * Open addressing over 8-byte slots in one array that lies in order of the hash: a key's home is its top 32 bits times the
 * capacity. So the table grows, shrinks and is cleaned a little at a time: a *pass* takes the keys of a stretch of slots out and
 * puts them where they belong under the next capacity, and beyond a *frontier* that is where they are looked for. It grows and is
 * cleaned in place, upwards in size from the top down, and the two parts never meet, for a key lies at most `MAX_REACH` behind its
 * home: no moment at which all moves, no second copy, and memory is what was ever touched. It shrinks, by half, into another array.
 */

import { MOST_SLOTS } from './compiled-moves.ts';
import {
  isSparse,
  LAST_STRETCH,
  limitOf,
  MAX_CAPACITY,
  nextCapacity,
  reachOf,
  reservedCapacity,
  slotsFor,
  WHOLE,
} from './fingerprint-sizes.ts';
import { drop, FINGERPRINT_MASK, hashAt, type KeyVisitor, type LiveTags, lift, type Stretch, TAG_SHIFT } from './fingerprint-slots.ts';
import { GrowingSlots, SLOT_BYTES } from './growing-slots.ts';
import type { MemoryBudget } from './memory-budget.ts';

/** `find`: the key is there and live. */
export const PRESENT_AT = -1;
/** `find`: absent, and the slots in reach of its home are taken. Rare, and with a hash that is one. */
export const NO_ROOM = -2;

const NO_FRONTIER = 0x7fff_ffff;
/** Slots to move at a time: they stay in the cache. */
const STRETCH = 2 ** 12;

function roomFor(capacity: number, budget: MemoryBudget): GrowingSlots {
  const room = new GrowingSlots(budget);
  room.grow(slotsFor(capacity));
  return room;
}

export class FingerprintTable {
  readonly #budget: MemoryBudget;
  #memory: GrowingSlots;
  /** Where a pass moves keys to: the same, but where it shrinks the table. */
  #nextMemory: GrowingSlots;
  readonly #live: LiveTags;
  /** Gets what finds no place in its reach any more. */
  readonly #strays: KeyVisitor;
  #slots: Int32Array;
  #nextSlots: Int32Array;
  /** Slots that are not empty, expired ones included. */
  used = 0;
  /** Whether some of them may be: a look-up for a free slot then reads once more. */
  mayHoldExpired = false;
  #capacity = 0;
  #reach = 0;
  #scale = 0;
  /** Under a pass: what comes after it. */
  #next = 0;
  #nextScale = 0;
  /** A home (under the old capacity) from here on, or before it where `#flip` is −1, has been moved. */
  #frontier = NO_FRONTIER;
  #flip = 0;

  /** `live` is read at each call, and may change between them. */
  constructor(budget: MemoryBudget, live: LiveTags, strays: KeyVisitor) {
    this.#budget = budget;
    this.#memory = new GrowingSlots(budget);
    this.#nextMemory = this.#memory;
    this.#slots = this.#memory.words;
    this.#nextSlots = this.#slots;
    this.#live = live;
    this.#strays = strays;
  }

  get byteLength(): number {
    return this.#memory.byteLength + (this.#nextMemory === this.#memory ? 0 : this.#nextMemory.byteLength);
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Whether a pass is under way. */
  get moving(): boolean {
    return this.#frontier !== NO_FRONTIER;
  }

  /** Used slots at which to grow. */
  get limit(): number {
    return limitOf(this.#capacity);
  }

  /** Whether with so many live keys it should shrink. */
  isSparse(liveKeys: number): boolean {
    return isSparse(this.#capacity, liveKeys);
  }

  /** The index of the slot that the key may take, for `put`: its own, or of those that are empty or expired the first. Else PRESENT_AT or NO_ROOM. */
  find(hi: number, lo: number): number {
    const word = hi & FINGERPRINT_MASK;
    let slots = this.#slots;
    let home = ((hi >>> 0) * this.#scale) | 0;
    if (this.#hasMoved(home)) {
      slots = this.#nextSlots;
      home = ((hi >>> 0) * this.#nextScale) | 0;
    }
    home <<= 1;
    let i = home;
    for (let first = slots[i]; first !== 0; first = slots[i]) {
      if ((first & FINGERPRINT_MASK) === word && slots[i + 1] === lo) return this.#live[first >>> TAG_SHIFT] === 1 ? PRESENT_AT : i;
      i += 2;
    }
    if (this.mayHoldExpired) i = this.#firstFree(slots, home);
    return i - home <= 2 * this.#reach ? i : NO_ROOM;
  }

  /** What lies at a key's home; only for the sake of reading it. */
  atHome(hi: number): number {
    const home = ((hi >>> 0) * this.#scale) | 0;
    return this.#hasMoved(home) ? this.#nextSlots[(((hi >>> 0) * this.#nextScale) | 0) << 1] : this.#slots[home << 1];
  }

  /** Fills a slot that `find` has found for the key. */
  put(index: number, hi: number, lo: number, tag: number): void {
    const slots = this.#hasMoved(((hi >>> 0) * this.#scale) | 0) ? this.#nextSlots : this.#slots;
    if (slots[index] === 0) this.used++;
    slots[index] = (tag << TAG_SHIFT) | (hi & FINGERPRINT_MASK);
    slots[index + 1] = lo;
  }

  /** Begins a pass that drops what has expired, to a size for so many live keys. Throws `state_memory_full`. Small tables: it is over already. */
  begin(liveKeys: number): void {
    this.#begin(nextCapacity(this.#capacity, liveKeys));
  }

  /** The same, to the size that it has. */
  clean(): void {
    this.#begin(this.#capacity);
  }

  /** Grows at once, for so many keys in all. Throws `state_memory_full`. */
  reserve(keys: number): void {
    const next = reservedCapacity(keys);
    while (this.moving) this.step(STRETCH);
    if (next <= this.#capacity) return;
    this.#begin(next);
    while (this.moving) this.step(STRETCH);
  }

  #begin(next: number): void {
    if (next > MAX_CAPACITY) throw this.#memory.full(slotsFor(next) * SLOT_BYTES);
    if (this.#capacity <= WHOLE) {
      this.#rebuild(next);
      return;
    }
    if (next < this.#capacity || !this.#memory.reaches(slotsFor(next))) this.#nextMemory = roomFor(next, this.#budget);
    else this.#memory.grow(slotsFor(next));
    this.#slots = this.#memory.words;
    this.#nextSlots = this.#nextMemory.words;
    this.#next = next;
    this.#nextScale = next / 2 ** 32;
    this.#reach = Math.min(reachOf(this.#capacity), reachOf(next));
    this.#flip = next > this.#capacity ? 0 : -1;
    this.#frontier = next > this.#capacity ? this.#capacity : 0;
  }

  /** Moves about `count` slots on; true when no pass is under way any more. */
  step(count: number): boolean {
    for (let left = count; this.moving && left > 0; left -= STRETCH) this.#stepOnce(Math.min(left, STRETCH));
    return !this.moving;
  }

  #stepOnce(count: number): void {
    const from = this.#flip === 0 ? this.#stretchDown(count) : this.#frontier;
    const to = this.#flip === 0 ? this.#endOf(this.#frontier) : this.#stretchUp(count);
    this.#frontier = this.#flip === 0 ? from : to;
    this.#move({ from, to, capacity: this.#capacity });
    if (this.#flip === 0 ? from === 0 : to >= this.#capacity) this.#settle(this.#next, this.#nextMemory);
  }

  #move(stretch: Stretch): void {
    const placing = { scale: this.#nextScale, reach: this.#reach };
    const { moves } = this.#memory;
    if (moves !== null && this.#nextMemory === this.#memory && stretch.to - stretch.from <= MOST_SLOTS) {
      this.used += moves.move(stretch, placing, this.#live, this.#strays);
      return;
    }
    const { lifted, used } = lift(this.#slots, stretch, this.#live);
    this.#slots.fill(0, stretch.from * 2, stretch.to * 2);
    this.used += drop(this.#nextSlots, { ...placing, lifted }, this.#strays) - used;
  }

  /** Empties the table, and gives its memory up. */
  clear(): void {
    if (this.#nextMemory !== this.#memory) this.#nextMemory.release();
    this.#memory.release();
    this.used = 0;
    this.#settle(0, this.#memory);
  }

  /**
   * Visits the live keys from the hash `from` (its top 32 bits) on, about `count` slots of them; returns where to go on, 2^32 at
   * the end. Whatever is added or moved between two calls, a key that is there all the time is visited once.
   */
  visit(from: number, count: number, visit: KeyVisitor): number {
    const border = this.moving ? this.#firstWith(this.#frontier, this.#scale) : 2 ** 32;
    const isLow = from < border;
    const until = isLow ? border : 2 ** 32;
    const isMoved = this.moving && isLow === (this.#flip === -1);
    const capacity = isMoved ? this.#next : this.#capacity;
    const slots = isMoved ? this.#nextSlots : this.#slots;
    const scale = capacity / 2 ** 32;
    const start = Math.floor(from * scale);
    const last = Math.min(start + count, Math.floor(until * scale));
    let slot = start;
    for (; slot < last || slots[slot * 2] !== 0; slot++) {
      const first = slots[slot * 2];
      if (this.#live[first >>> TAG_SHIFT] === 0) continue;
      const hi = hashAt(slot, first, capacity);
      if (hi >= from && hi < until) visit(hi, slots[slot * 2 + 1] >>> 0, first >>> TAG_SHIFT);
    }
    return Math.min(until, this.#firstWith(slot + 1, scale));
  }

  /** Whether the keys with that home, under the capacity before a pass, have been moved by it. */
  #hasMoved(home: number): boolean {
    return ((home - this.#frontier) ^ this.#flip) >= 0;
  }

  #firstFree(slots: Int32Array, home: number): number {
    let i = home;
    while (this.#live[slots[i] >>> TAG_SHIFT] === 1) i += 2;
    return i;
  }

  /** The lowest hash whose home is that slot or a later one. */
  #firstWith(slot: number, scale: number): number {
    let hi = Math.min(2 ** 32, Math.ceil(slot / scale));
    while (hi < 2 ** 32 && Math.floor(hi * scale) < slot) hi++;
    while (hi > 0 && Math.floor((hi - 1) * scale) >= slot) hi--;
    return hi;
  }

  #rebuild(capacity: number): void {
    const memory = this.#memory;
    if (capacity > this.#capacity) memory.grow(slotsFor(capacity));
    const to = this.#capacity === 0 ? 0 : slotsFor(this.#capacity);
    const { lifted } = lift(memory.words, { from: 0, to, capacity: this.#capacity }, this.#live);
    if (capacity < this.#capacity) memory.release();
    memory.words.fill(0);
    memory.grow(slotsFor(capacity));
    this.#settle(capacity, memory);
    this.used = drop(this.#slots, { lifted, scale: this.#scale, reach: this.#reach }, this.#strays);
  }

  #settle(capacity: number, memory: GrowingSlots): void {
    if (memory !== this.#memory) this.#memory.release();
    this.#memory = memory;
    this.#nextMemory = memory;
    this.#slots = memory.words;
    this.#nextSlots = memory.words;
    this.#capacity = capacity;
    this.#scale = capacity / 2 ** 32;
    this.#reach = reachOf(capacity);
    this.#frontier = NO_FRONTIER;
    this.#flip = 0;
  }

  /** Where a stretch below the frontier begins: behind an empty slot, so that no key of an earlier home lies in it. */
  #stretchDown(count: number): number {
    let from = this.#frontier - count;
    while (from > 0 && this.#slots[from * 2 - 2] !== 0) from--;
    return from < LAST_STRETCH ? 0 : from;
  }

  /** Where a stretch above the frontier ends: at an empty slot. The first one is long, to open the gap. */
  #stretchUp(count: number): number {
    const to = this.#frontier + (this.#frontier === 0 ? Math.max(count, LAST_STRETCH) : count);
    return to >= this.#capacity ? slotsFor(this.#capacity) : this.#endOf(to);
  }

  #endOf(slot: number): number {
    let end = slot;
    while (this.#slots[end * 2] !== 0) end++;
    return end;
  }
}
