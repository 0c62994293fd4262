/**
 * Which keys were entered, by slices of event time: a key is asked about with its time, so the tables of the last seconds, which stay in
 * the cache, answer for all. A slice expires as a whole: nothing is swept. Keys are 64-bit seeded hashes.
 */
import { StreamError } from '../errors.ts';
import { BlockTables } from './block-tables.ts';
import { Buddies } from './buddies.ts';
import { CompiledSlices } from './compiled-slices.ts';
import { GrowingSlots, type SlotsOptions } from './growing-slots.ts';
import type { KeyBlock } from './key-block.ts';
import { MemoryBudget } from './memory-budget.ts';
import {
  canDivide,
  type KeysOfSlice,
  LINE,
  linesFor,
  MOST_LINES,
  NO_SLICE,
  PlainSlices,
  partLinesOf,
  type SliceCode,
  SliceTable,
  visitKeys,
} from './slice-tables.ts';

/** By the lower bits of their number, slices that were asked for. A power of two. */
const NEAR = 64;
/** So many slices ago nearly all keys have come. */
const BEFORE = 16;
/** Memory grows by this, small ones by more. */
const GROWTH = 1.125;
const EARLY_GROWTH = 1.5;
const EARLY_LINES = 2 ** 13;
/** Below this share in use, what is used moves together, where memory is worth it. */
const SPARSE = 1 / 8;
const WORTH_LINES = 2 ** 16;

export interface SlicedKeysOptions {
  /** A key belongs to slice floor(ts / sliceMs), */
  sliceMs: number;
  /** which lives as long as its end + ttlMs > watermark. */
  ttlMs: number;
  budget?: MemoryBudget;
}

/** Where a walk is. */
export class SliceWalk {
  /** What it has still to visit, the one under way last; null before it has begun. */
  tables: SliceTable[] | null = null;
  line = 0;
  /** Of the one under way; another number means that it was made anew. */
  lines = 0;
}

export class SlicedKeys {
  readonly sliceMs: number;
  /** Live keys. */
  size = 0;
  readonly #ttlMs: number;
  readonly #slices = new Map<number, SliceTable>();
  readonly #near: SliceTable[] = new Array<SliceTable>(NEAR).fill(NO_SLICE);
  readonly #block: BlockTables;
  readonly #newSlots: () => GrowingSlots<CompiledSlices>;
  #slots: GrowingSlots<CompiledSlices>;
  #places = new Buddies();
  readonly #plain = new PlainSlices();
  /** Lines that there is memory for, */
  #room = 0;
  /** and those that tables have. */
  #taken = 0;
  /** None lives before this one. */
  #oldest = Number.NEGATIVE_INFINITY;

  constructor({ sliceMs, ttlMs, budget = new MemoryBudget() }: SlicedKeysOptions, options: SlotsOptions = {}) {
    this.sliceMs = sliceMs;
    this.#ttlMs = ttlMs;
    this.#block = new BlockTables(sliceMs, (slice, hi, keys) => this.#roomIn(this.#tableOf(slice), hi, keys));
    this.#newSlots = () => new GrowingSlots(budget, (memory) => new CompiledSlices(memory), options);
    this.#slots = this.#newSlots();
  }

  get byteLength(): number {
    return this.#slots.byteLength;
  }

  /**
   * Looks keys up, each in the slice of its time, and enters those that are absent, one after the other: what came of them stands in the
   * block then. Throws `state_memory_full`, with nothing entered.
   */
  addBlock(keys: KeyBlock): void {
    keys.added = 0;
    if (keys.size === 0) return;
    this.#block.find(keys);
    this.#code().enterAll(keys, this.#block);
    this.#block.count(keys);
    this.size += keys.added;
  }

  /** Moves the watermark: slices that it has passed are gone. */
  advance(watermarkMs: number): void {
    const oldest = Math.floor((watermarkMs - this.#ttlMs) / this.sliceMs);
    if (!(oldest > this.#oldest)) return;
    if (oldest - this.#oldest > this.#slices.size) {
      for (const slice of this.#slices.keys()) if (slice < oldest) this.#drop(slice);
    } else {
      for (let slice = this.#oldest; slice < oldest; slice++) this.#drop(slice);
    }
    this.#oldest = oldest;
    if (this.#slices.size === 0) this.clear();
    else if (this.#places.end > WORTH_LINES) this.#gather();
  }

  /**
   * Goes on with a walk for about `slots` slots; true at its end. Between two calls anything may happen: a key that is there all the time
   * is visited, once or more; one added meanwhile perhaps.
   */
  walk(place: SliceWalk, slots: number, visit: KeysOfSlice): boolean {
    place.tables ??= [...this.#slices.values()];
    for (let left = slots; left > 0; ) {
      const table = place.tables.at(-1);
      if (table === undefined) return true;
      if (table.parts !== null) {
        place.tables.splice(-1, 1, ...table.parts);
        [place.line, place.lines] = [0, 0];
        continue;
      }
      if (table.lines !== place.lines) [place.line, place.lines] = [0, table.lines];
      const lines = Math.min(table.lines - place.line, Math.ceil(left / LINE));
      visitKeys(this.#slots.words, table, { from: place.line, to: place.line + lines }, visit);
      left -= lines * LINE;
      place.line += lines;
      if (place.line < table.lines) continue;
      place.tables.pop();
      [place.line, place.lines] = [0, 0];
      left--;
    }
    return place.tables.length === 0;
  }

  /** Forgets all keys, and gives memory up; the watermark stays. */
  clear(): void {
    for (const slice of this.#slices.keys()) this.#drop(slice);
    this.#near.fill(NO_SLICE);
    this.#block.clear();
    this.#slots.release();
    this.#places = new Buddies();
    this.#room = 0;
    this.#taken = 0;
    this.size = 0;
    this.#plain.words = this.#slots.words;
  }

  #code(): SliceCode {
    return this.#slots.compiled ?? this.#plain;
  }

  #tableOf(slice: number): SliceTable {
    const known = this.#near[slice & (NEAR - 1)];
    if (known.slice === slice) return known;
    let table = this.#slices.get(slice);
    if (table === undefined) {
      table = new SliceTable(slice);
      this.#slices.set(slice, table);
      // It goes with the next step of the watermark.
      if (slice < this.#oldest) this.#oldest = slice;
    }
    this.#near[slice & (NEAR - 1)] = table;
    return table;
  }

  /** It, or where it was divided the part of that upper word, with room for so many keys more, be they all absent. */
  #roomIn(slice: SliceTable, hi: number, keys: number): SliceTable {
    let table = slice.parts === null ? slice : slice.partOf(hi);
    while (table.used + keys > table.limit) {
      if (table.lines === 0) this.#begin(table, keys);
      else if (table.lines < MOST_LINES || !this.#divide(table)) this.#grow(table);
      table = table.partOf(hi);
    }
    return table;
  }

  #begin(table: SliceTable, keys: number): void {
    // About as many will come as came before.
    const expected = this.#slices.get(table.slice - BEFORE)?.keys ?? 0;
    const lines = Math.min(MOST_LINES, linesFor(Math.max(keys, expected)));
    table.lie(this.#take(lines), lines);
  }

  #grow(table: SliceTable): void {
    const { start, lines } = table;
    const next = this.#take(2 * lines);
    this.#code().spread(table, next);
    table.lie(next, 2 * lines);
    this.#give(start, lines);
  }

  #divide(table: SliceTable): boolean {
    const { start, lines } = table;
    const keys = this.#code().countParts(table);
    if (!canDivide(table, keys)) return false;
    const next = this.#take(2 * lines);
    this.#code().divide(table, next);
    table.divide(next, partLinesOf(table), keys);
    this.#give(start, lines);
    return true;
  }

  /** So many empty lines. */
  #take(lines: number): number {
    const end = this.#places.endWith(lines);
    if (end > this.#room) this.#reach(end);
    const start = this.#places.take(lines);
    this.#slots.words.fill(0, start * LINE * 2, (start + lines) * LINE * 2);
    this.#taken += lines;
    return start;
  }

  #give(start: number, lines: number): void {
    this.#places.give(start, lines);
    this.#taken -= lines;
  }

  #reach(end: number): void {
    const generous = Math.ceil(end * (end < EARLY_LINES ? EARLY_GROWTH : GROWTH));
    const isInPlace = this.#slots.reaches(end * LINE);
    const slots = isInPlace ? this.#slots : this.#newSlots();
    const lines = growTo(slots, generous) ? generous : end;
    if (lines === end) slots.grow(end * LINE);
    if (!isInPlace) slots.words.set(this.#slots.words);
    this.#move(slots, lines);
  }

  #move(slots: GrowingSlots<CompiledSlices>, lines: number): void {
    if (slots !== this.#slots) this.#slots.release();
    this.#slots = slots;
    this.#room = lines;
    this.#plain.words = slots.words;
  }

  #drop(slice: number): void {
    const table = this.#slices.get(slice);
    if (table === undefined) return;
    this.#slices.delete(slice);
    if (this.#near[slice & (NEAR - 1)] === table) this.#near[slice & (NEAR - 1)] = NO_SLICE;
    for (const leaf of table.leaves()) {
      this.size -= leaf.used;
      if (leaf.lines > 0) this.#give(leaf.start, leaf.lines);
      // For a walk that is there.
      leaf.lie(0, 0);
    }
  }

  /** Where little of the memory is used, moves that into another; not when that cannot be had. */
  #gather(): void {
    const lines = this.#taken;
    if (lines > this.#places.end * SPARSE) return;
    const [slots, places] = [this.#newSlots(), new Buddies()];
    if (!growTo(slots, lines)) return;
    // In order of length nothing between them is lost.
    const tables = [...this.#slices.values()].flatMap((table) => table.leaves());
    for (const table of tables.sort((a, b) => b.lines - a.lines)) {
      if (table.lines === 0) continue;
      const start = places.take(table.lines);
      slots.words.set(this.#slots.words.subarray(table.start * LINE * 2, (table.start + table.lines) * LINE * 2), start * LINE * 2);
      table.lie(start, table.lines);
    }
    this.#places = places;
    this.#move(slots, lines);
  }
}

/** False where the budget or the system has not so much. */
function growTo(slots: GrowingSlots<CompiledSlices>, lines: number): boolean {
  try {
    slots.grow(lines * LINE);
    return true;
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    return false;
  }
}
