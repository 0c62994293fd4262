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

  constructor(slice: number) {
    this.slice = slice;
  }

  lie(start: number, lines: number): void {
    this.start = start;
    this.lines = lines;
    this.limit = lines * LINE * LOAD;
  }
}

/** The lines for so many keys. */
export function linesFor(keys: number): number {
  let lines = LEAST_LINES;
  while (keys > lines * LINE * LOAD) lines *= 2;
  return lines;
}

/** What works on tables, of lines from the beginning of an array on. */
export interface SliceCode {
  /** Enters the keys of a block, each into its table, one after the other, as KeyBlock tells. There must be room. */
  enterAll(keys: KeyBlock, tables: readonly SliceTable[]): void;
  /** Copies all keys of a table into lines from there on, twice as many and empty. */
  spread(table: SliceTable, to: number): void;
}

/** The same in TypeScript: for small ones, and where there is no WebAssembly. */
export class PlainSlices implements SliceCode {
  /** To be told anew whenever it is another. */
  words: Int32Array = new Int32Array(0);

  enterAll(keys: KeyBlock, tables: readonly SliceTable[]): void {
    keys.enterEach((hi, lo, i) => this.#enter(tables[i], hi, lo));
  }

  spread({ start, lines }: SliceTable, to: number): void {
    const { words } = this;
    const grown = { start: to, lines: 2 * lines };
    for (let i = start * LINE_WORDS; i < (start + lines) * LINE_WORDS; i += 2) {
      if (words[i] !== 0 || words[i + 1] !== 0) this.#enter(grown, words[i], words[i + 1]);
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
