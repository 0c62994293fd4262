/**
 * The table of a slice of time: a power of two of lines, eight slots of 8 bytes to a line of the cache. A slot holds a hash of 64 bits,
 * its upper word first; zeros are an empty one. A key's home is the line that the lower bits of its lower word say, and where that is
 * full the next one, after the last the first. So the keys of a table, line by line, are no crowd in a smaller one.
 */
import { ADDED, type AddOutcome, PRESENT } from './add-outcome.ts';
import type { KeyBlock } from './key-block.ts';

/** Slots of a line. */
export const LINE = 8;
const LINE_WORDS = 2 * LINE;
const LEAST_LINES = 16;
/** A table of so many is divided when it is full, so that no step takes long: a MiB. */
export const MOST_LINES = 2 ** 14;
/** Into so many, by bits of the upper word, the highest first. */
const PARTS = 8;
const FIRST_SHIFT = 29;
const PART_BITS = 3;
/** Beyond this share of used slots a table is made anew. */
const LOAD = 0.8;

export class SliceTable {
  readonly slice: number;
  /** Where it begins, and how much it takes, in lines. */
  start = 0;
  lines = 0;
  used = 0;
  /** So many keys may be in it. */
  limit = 0;
  /** Which have its keys, once it was divided. */
  parts: readonly SliceTable[] | null = null;
  /** Which bits of an upper word name the part; none are left below 0. */
  readonly shift: number;

  constructor(slice: number, shift = FIRST_SHIFT) {
    this.slice = slice;
    this.shift = shift;
  }

  partOf(hi: number): SliceTable {
    let table: SliceTable = this;
    while (table.parts !== null) table = table.parts[(hi >>> table.shift) & (PARTS - 1)];
    return table;
  }

  /** Whether there are others of its slice. */
  get isPart(): boolean {
    return this.shift !== FIRST_SHIFT;
  }

  /** It, or its parts, and theirs. */
  leaves(): SliceTable[] {
    return this.parts === null ? [this] : this.parts.flatMap((part) => part.leaves());
  }

  /** In it, or in its parts. */
  get keys(): number {
    return this.leaves().reduce((sum, { used }) => sum + used, 0);
  }

  lie(start: number, lines: number): void {
    this.start = start;
    this.lines = lines;
    this.limit = lines * LINE * LOAD;
  }

  /** Of lines that were its own once, so many keys to a part. */
  divide(start: number, lines: number, keys: Uint32Array): void {
    this.parts = Array.from({ length: PARTS }, (_, i) => {
      const part = new SliceTable(this.slice, this.shift - PART_BITS);
      part.lie(start + i * lines, lines);
      part.used = keys[i];
      return part;
    });
    this.lie(0, 0);
    this.used = 0;
  }
}

/** In the place of one that is not known. */
export const NO_SLICE = new SliceTable(Number.NaN);

/** The lines of a part of such a table: all of them have twice its own. */
export const partLinesOf = ({ lines }: SliceTable): number => (2 * lines) / PARTS;

/** Whether these parts of it have room, as those of hashes do: chance gives one a few hundred keys more than another. */
export const canDivide = (table: SliceTable, keys: Uint32Array): boolean =>
  table.shift >= 0 && Math.max(...keys) < partLinesOf(table) * LINE * LOAD;

/** The lines for so many keys. */
export function linesFor(keys: number): number {
  let lines = LEAST_LINES;
  while (keys > lines * LINE * LOAD) lines *= 2;
  return lines;
}

/** By key of a block: where its table begins, in lines, and how many lines that has, less one. */
export interface Places {
  starts: Uint32Array;
  masks: Uint32Array;
}

/** What works on tables, of lines from the beginning of an array on. */
export interface SliceCode {
  /** Enters the keys of a block, each into its table, one after the other, as KeyBlock tells. There must be room. */
  enterAll(keys: KeyBlock, places: Places): void;
  /** Copies all keys of a table into lines from there on, twice as many and empty. */
  spread(table: SliceTable, to: number): void;
  /** How many of its keys would go into each part. */
  countParts(table: SliceTable): Uint32Array;
  /** Copies them into parts that lie one behind the other from there on, are empty, and have room. */
  divide(table: SliceTable, to: number): void;
}

/** The same in TypeScript: for small ones, and where there is no WebAssembly. */
export class PlainSlices implements SliceCode {
  /** To be told anew whenever it is another. */
  words: Int32Array = new Int32Array(0);

  enterAll(keys: KeyBlock, { starts, masks }: Places): void {
    keys.enterEach((hi, lo, i) => this.#enter({ start: starts[i], lines: masks[i] + 1 }, hi, lo));
  }

  spread({ start, lines }: SliceTable, to: number): void {
    const { words } = this;
    const grown = { start: to, lines: 2 * lines };
    for (let i = start * LINE_WORDS; i < (start + lines) * LINE_WORDS; i += 2) {
      if (words[i] !== 0 || words[i + 1] !== 0) this.#enter(grown, words[i], words[i + 1]);
    }
  }

  countParts({ start, lines, shift }: SliceTable): Uint32Array {
    const { words } = this;
    const keys = new Uint32Array(PARTS);
    for (let i = start * LINE_WORDS; i < (start + lines) * LINE_WORDS; i += 2) {
      if (words[i] !== 0 || words[i + 1] !== 0) keys[(words[i] >>> shift) & (PARTS - 1)]++;
    }
    return keys;
  }

  divide(table: SliceTable, to: number): void {
    const { words } = this;
    const { start, lines, shift } = table;
    for (let i = start * LINE_WORDS; i < (start + lines) * LINE_WORDS; i += 2) {
      if (words[i] === 0 && words[i + 1] === 0) continue;
      const part = (words[i] >>> shift) & (PARTS - 1);
      this.#enter({ start: to + part * partLinesOf(table), lines: partLinesOf(table) }, words[i], words[i + 1]);
    }
  }

  #enter({ start, lines }: Pick<SliceTable, 'start' | 'lines'>, upper: number, lo: number): AddOutcome {
    const { words } = this;
    const hi = upper === 0 && lo === 0 ? 1 : upper;
    const mask = lines * LINE_WORDS - 1;
    const from = start * LINE_WORDS;
    for (let at = (lo * LINE_WORDS) & mask; ; at = (at + 2) & mask) {
      const [first, second] = [words[from + at], words[from + at + 1]];
      if (first === hi && second === lo) return PRESENT;
      if (first !== 0 || second !== 0) continue;
      words[from + at] = hi;
      words[from + at + 1] = lo;
      return ADDED;
    }
  }
}

/** Keys of a slice: the hashes of so many, two words each, the upper one first. */
export type KeysOfSlice = (slice: number, words: Int32Array, keys: number) => void;

/** So many at once. */
const RUN = 512;
const run = new Int32Array(2 * RUN);

/** Visits the keys in lines `from` to `to` (exclusive) of a table. */
export function visitKeys(
  words: Int32Array,
  { slice, start }: SliceTable,
  { from, to }: { from: number; to: number },
  visit: KeysOfSlice,
): void {
  let keys = 0;
  for (let i = (start + from) * LINE_WORDS; i < (start + to) * LINE_WORDS; i += 2) {
    if (words[i] === 0 && words[i + 1] === 0) continue;
    run[2 * keys] = words[i];
    run[2 * keys++ + 1] = words[i + 1];
    if (keys < RUN) continue;
    visit(slice, run, keys);
    keys = 0;
  }
  if (keys > 0) visit(slice, run, keys);
}
