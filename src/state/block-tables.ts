/** The tables of slices that the keys of a block belong to. Most blocks have keys of a few seconds: each is asked for once. */
import { ADDED } from './add-outcome.ts';
import { KEYS_OF_BLOCK, type KeyBlock } from './key-block.ts';
import { NO_SLICE, type Places, type SliceTable } from './slice-tables.ts';

/** Slices of a block that are told by how far they are from its first. */
const DISTANCES = 64;
const NOWHERE = -1;

/** The table of a slice, or where it was divided the part for that upper word, with room for so many keys more. */
export type TableOf = (slice: number, hi: number, keys: number) => SliceTable;

export class BlockTables implements Places {
  readonly starts = new Uint32Array(KEYS_OF_BLOCK);
  readonly masks = new Uint32Array(KEYS_OF_BLOCK);
  readonly #sliceMs: number;
  readonly #tableOf: TableOf;
  /** By distance or, where that is not enough, by key. */
  readonly #tables: SliceTable[] = new Array<SliceTable>(Math.max(DISTANCES, KEYS_OF_BLOCK)).fill(NO_SLICE);
  /** How many distances there are; 0 where tables are by key. */
  #distances = 0;
  readonly #distanceOf = new Uint8Array(KEYS_OF_BLOCK);
  /** By distance, the two of its table; the first is NOWHERE before it was asked for. */
  readonly #starts = new Int32Array(DISTANCES);
  readonly #masks = new Uint32Array(DISTANCES);
  readonly #added = new Uint8Array(DISTANCES);

  constructor(sliceMs: number, tableOf: TableOf) {
    this.#sliceMs = sliceMs;
    this.#tableOf = tableOf;
  }

  /** Puts their places here; there is room then for all of them. Throws as `tableOf` does. */
  find(keys: KeyBlock): void {
    const first = Math.floor(keys.earliestMs / this.#sliceMs);
    this.#distances = Math.floor(keys.latestMs / this.#sliceMs) - first + 1;
    if (this.#distances <= DISTANCES && this.#findByDistance(keys, first)) return;
    this.#distances = 0;
    this.#findEach(keys);
  }

  /** False where the table of one was divided. */
  #findByDistance({ his, times, size }: KeyBlock, first: number): boolean {
    const sliceMs = this.#sliceMs;
    const firstMs = first * sliceMs;
    const [starts, masks] = [this.#starts, this.#masks];
    starts.fill(NOWHERE, 0, this.#distances);
    for (let i = 0; i < size; i++) {
      const distance = ((times[i] - firstMs) / sliceMs) | 0;
      if (starts[distance] === NOWHERE && !this.#ask(distance, this.#tableOf(first + distance, his[i], size))) return false;
      this.#distanceOf[i] = distance;
      this.starts[i] = starts[distance];
      this.masks[i] = masks[distance];
    }
    return true;
  }

  #ask(distance: number, table: SliceTable): boolean {
    this.#tables[distance] = table;
    this.#starts[distance] = table.start;
    this.#masks[distance] = table.lines - 1;
    return !table.isPart;
  }

  #findEach({ his, times, size }: KeyBlock): void {
    for (let i = 0; i < size; i++) {
      const table = this.#tableOf(Math.floor(times[i] / this.#sliceMs), his[i], size);
      this.#tables[i] = table;
      this.starts[i] = table.start;
      this.masks[i] = table.lines - 1;
    }
  }

  /** Has the tables know how many were added. */
  count({ outcomes, size }: KeyBlock): void {
    const tables = this.#tables;
    if (this.#distances === 0) {
      for (let i = 0; i < size; i++) if (outcomes[i] === ADDED) tables[i].used++;
      return;
    }
    const added = this.#added;
    for (let i = 0; i < size; i++) added[this.#distanceOf[i]] += outcomes[i] === ADDED ? 1 : 0;
    for (let distance = 0; distance < this.#distances; distance++) {
      if (added[distance] === 0) continue;
      tables[distance].used += added[distance];
      added[distance] = 0;
    }
  }

  /** Keeps none of them. */
  clear(): void {
    this.#tables.fill(NO_SLICE);
  }
}
