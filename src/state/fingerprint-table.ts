/**
 * Open addressing over lines of eight 8-byte slots, in one array that lies in order of the hash: a key's home is its top 32 bits
 * times the number of lines. So the table grows, shrinks and is cleaned a little at a time: a *pass* takes the keys of a stretch of
 * lines out and puts them where they belong among the next number of lines, and beyond a *frontier* that is where they are looked
 * for. It grows in place from the top down, and the two parts never meet, for a key lies at most `MAX_REACH` behind its home; it is
 * cleaned in place from the bottom up: no moment at which all moves, no second copy, and memory is what was ever touched. It
 * shrinks, by half, into another array, and is looked through by TypeScript meanwhile.
 */

import { CompiledLines, MOST_LINES } from './compiled-lines.ts';
import {
  drop,
  type Entered,
  firstEmpty,
  firstWith,
  IS_PRESENT,
  isFull,
  type KeyVisitor,
  LINE,
  LINE_WORDS,
  type LiveTags,
  lift,
  lineOf,
  NO_ROOM,
  put,
  type Stretch,
  slotFor,
  TOOK_EMPTY,
  visitLine,
  WORDS_SHIFT,
} from './fingerprint-lines.ts';
import { isSparse, limitOf, linesFor, MAX_LINES, nextLines, reachOf, reservedLines, slotsFor, WHOLE } from './fingerprint-sizes.ts';
import { stretchAbove, stretchBelow } from './fingerprint-stretches.ts';
import { GrowingSlots, SLOT_BYTES, type SlotsOptions } from './growing-slots.ts';
import type { KeyBlock } from './key-block.ts';
import type { MemoryBudget } from './memory-budget.ts';

const NO_FRONTIER = 0x7fff_ffff;
/** Lines to move at a time: they stay in the cache. */
const STRETCH = 2 ** 9;

export class FingerprintTable {
  readonly #newSlots: () => GrowingSlots<CompiledLines>;
  #memory: GrowingSlots<CompiledLines>;
  /** Where a pass moves keys to: the same, but where it shrinks the table. */
  #nextMemory: GrowingSlots<CompiledLines>;
  readonly #live: LiveTags;
  /** Gets what finds no place in its reach any more. */
  readonly #strays: KeyVisitor;
  #slots: Int32Array;
  #nextSlots: Int32Array;
  /** Finds keys; null where that is left to JavaScript. */
  #compiled: CompiledLines | null = null;
  /** Slots that are not empty, expired ones included. */
  used = 0;
  /** Whether some of them may be: a look-up for a free slot then reads once more. */
  #mayHoldExpired = false;
  #lines = 0;
  #reach = 0;
  /** Under a pass: what comes after it. */
  #next = 0;
  /** A home (among the lines of before) from here on, or before it where `#flip` is −1, has been moved. */
  #frontier = NO_FRONTIER;
  #flip: 0 | -1 = 0;

  /** `live` may change, and is then told by `setLive`. */
  constructor(budget: MemoryBudget, live: LiveTags, strays: KeyVisitor, options: SlotsOptions = {}) {
    this.#newSlots = () => new GrowingSlots(budget, (memory) => new CompiledLines(memory), options);
    this.#memory = this.#newSlots();
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
    return this.#lines * LINE;
  }

  /** Whether a pass is under way. */
  get moving(): boolean {
    return this.#frontier !== NO_FRONTIER;
  }

  /** Used slots at which to grow. */
  get limit(): number {
    return limitOf(this.#lines);
  }

  /** Whether with so many live keys it should shrink. */
  isSparse(liveKeys: number): boolean {
    return isSparse(this.#lines, liveKeys);
  }

  /** Tags have become live or have expired, and `mayHoldExpired` may be another. */
  setLive(mayHoldExpired: boolean): void {
    this.#mayHoldExpired = mayHoldExpired;
    this.#compiled?.setLive(this.#live, mayHoldExpired);
  }

  /** Whether the key is there and live. */
  has(hi: number, lo: number): boolean {
    return this.#compiled === null ? this.#slotFor(hi, lo) === IS_PRESENT : this.#compiled.has(hi, lo) === 1;
  }

  /** Enters a key that is absent, into its own expired slot, or of those that are empty or expired into the first. */
  enter(hi: number, lo: number, tag: number): Entered {
    const entered =
      this.#compiled === null ? put(this.#slotsOf(hi), this.#slotFor(hi, lo), { hi, lo, tag }) : this.#compiled.enter(hi, lo, tag);
    if (entered === TOOK_EMPTY) this.used++;
    return entered;
  }

  /** Enters keys one after the other, and tells in the block what came of them, NO_ROOM where one has none. Returns by how much `used` has grown. */
  enterAll(keys: KeyBlock, tags: Int32Array): number {
    const before = this.used;
    if (this.#compiled !== null) {
      this.used += this.#compiled.enterAll(keys, tags);
    } else {
      this.warm(keys.his, 0, keys.size);
      keys.enterEach((hi, lo, i) => Math.min(this.enter(hi, lo, tags[i]), 0));
      for (let i = 0; i < keys.size; i++) if (keys.outcomes[i] === NO_ROOM) keys.withoutRoom++;
    }
    return this.used - before;
  }

  /** The index of the slot that the key may take, else IS_PRESENT or NO_ROOM. */
  #slotFor(hi: number, lo: number): number {
    const reach = reachOf(this.#hasMoved(lineOf(hi, this.#lines)) ? this.#next : this.#lines);
    return slotFor(this.#slotsOf(hi), this.#homeOf(hi), { hi, lo }, { live: this.#live, reach });
  }

  /** Reads what lies at the homes of keys `from` to `to`; only for the sake of reading it. */
  warm(his: Uint32Array, from: number, to: number): number {
    if (this.#compiled !== null) return this.#compiled.warm(his, from, to);
    let read = 0;
    for (let i = from; i < to; i++) read ^= this.#slotsOf(his[i])[this.#homeOf(his[i])];
    return read;
  }

  /** Begins a pass that drops what has expired, to a size for so many live keys. Throws `state_memory_full`. Small tables: it is over already. */
  begin(liveKeys: number): void {
    const [next, least] = [nextLines(this.#lines, liveKeys), nextLines(this.#lines, liveKeys, true)];
    try {
      this.#begin(next);
    } catch (error) {
      if (next === least) throw error;
      this.#begin(least);
    }
  }

  /** The same, to the size that it has. */
  clean(): void {
    this.#begin(this.#lines);
  }

  /** Begins a pass to a size for so many keys in all, if that is larger. None may be under way. Throws `state_memory_full`. */
  reserve(keys: number): void {
    const next = reservedLines(this.#lines, keys);
    if (next > this.#lines) this.#begin(next);
  }

  #begin(next: number): void {
    if (next > MAX_LINES) throw this.#memory.full(slotsFor(next) * SLOT_BYTES);
    if (this.#lines <= WHOLE) {
      this.#rebuild(next);
      return;
    }
    const isInPlace = next >= this.#lines && this.#memory.reaches(slotsFor(next));
    const target = isInPlace ? this.#memory : this.#newSlots();
    target.grow(slotsFor(next));
    this.#nextMemory = target;
    this.#slots = this.#memory.words;
    this.#nextSlots = this.#nextMemory.words;
    this.#next = next;
    this.#reach = Math.min(reachOf(this.#lines), reachOf(next));
    this.#flip = next > this.#lines ? 0 : -1;
    this.#setFrontier(next > this.#lines ? this.#lines : 0);
  }

  /** Moves about `count` slots on; true when no pass is under way any more. */
  step(count: number): boolean {
    for (let left = count / LINE; this.moving && left > 0; left -= STRETCH) this.#stepOnce(Math.ceil(Math.min(left, STRETCH)));
    return !this.moving;
  }

  #stepOnce(count: number): void {
    const isDown = this.#flip === 0;
    const from = isDown ? stretchBelow(this.#slots, this.#frontier, count) : this.#frontier;
    const to = isDown ? firstEmpty(this.#slots, this.#frontier) : stretchAbove(this.#slots, this.#frontier, count, this.#lines);
    this.#move({ from, to, lines: this.#lines });
    if (isDown ? from === 0 : to >= this.#lines) this.#settle(this.#next, this.#nextMemory);
    else this.#setFrontier(isDown ? from : to);
  }

  #move(stretch: Stretch): void {
    const placing = { nextLines: this.#next, reach: this.#reach };
    if (this.#compiled !== null && stretch.to - stretch.from <= MOST_LINES) {
      this.used += this.#compiled.move(stretch, placing, this.#strays);
      return;
    }
    const { lifted, used } = lift(this.#slots, stretch, this.#live);
    this.#slots.fill(0, stretch.from * LINE_WORDS, stretch.to * LINE_WORDS);
    this.used += drop(this.#nextSlots, lifted, placing, this.#strays) - used;
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
    if (this.#lines === 0) return 2 ** 32;
    const border = this.moving ? firstWith(this.#frontier, this.#lines) : 2 ** 32;
    const isLow = from < border;
    const until = isLow ? border : 2 ** 32;
    const isMoved = this.moving && isLow === (this.#flip === -1);
    const [lines, slots] = isMoved ? [this.#next, this.#nextSlots] : [this.#lines, this.#slots];
    const start = lineOf(from, lines);
    const last = Math.min(start + Math.ceil(count / LINE), lineOf(until - 1, lines) + 1);
    let line = start;
    // Beyond the last as far as keys lie that belong before.
    for (; line < last || (line > start && isFull(slots, line - 1)); line++) {
      visitLine(slots, { line, lines }, this.#live, (hi, lo, tag) => {
        if (hi >= from && hi < until) visit(hi, lo, tag);
      });
    }
    return Math.min(until, firstWith(line, lines));
  }

  /** Whether a pass has moved the keys with that home, among the lines of before. */
  #hasMoved(home: number): boolean {
    return ((home - this.#frontier) ^ this.#flip) >= 0;
  }

  /** Where a key is, or would be. */
  #slotsOf(hi: number): Int32Array {
    const isOne = this.#slots === this.#nextSlots;
    return isOne || !this.#hasMoved(lineOf(hi, this.#lines)) ? this.#slots : this.#nextSlots;
  }

  /** The index of the first word where it belongs. */
  #homeOf(hi: number): number {
    const home = lineOf(hi, this.#lines);
    return (this.#hasMoved(home) ? lineOf(hi, this.#next) : home) << WORDS_SHIFT;
  }

  #rebuild(next: number): void {
    const memory = this.#memory;
    if (next > this.#lines) memory.grow(slotsFor(next));
    const to = this.#lines === 0 ? 0 : linesFor(this.#lines);
    const { lifted } = lift(memory.words, { from: 0, to, lines: this.#lines }, this.#live);
    if (next < this.#lines) memory.release();
    else memory.words.fill(0, 0, to * LINE_WORDS);
    memory.grow(slotsFor(next));
    this.#settle(next, memory);
    this.used = drop(this.#slots, lifted, { nextLines: next, reach: this.#reach }, this.#strays);
  }

  #settle(lines: number, memory: GrowingSlots<CompiledLines>): void {
    if (memory !== this.#memory) this.#memory.release();
    this.#memory = memory;
    this.#nextMemory = memory;
    this.#slots = memory.words;
    this.#nextSlots = memory.words;
    this.#lines = lines;
    this.#reach = reachOf(lines);
    this.#flip = 0;
    this.#setFrontier(NO_FRONTIER);
  }

  #setFrontier(frontier: number): void {
    this.#frontier = frontier;
    this.#compiled = this.#nextMemory === this.#memory ? this.#memory.compiled : null;
    this.#compiled?.setLive(this.#live, this.#mayHoldExpired);
    this.#compiled?.place({ lines: this.#lines, nextLines: this.#next, frontier, flip: this.#flip, reach: this.#reach });
  }
}
