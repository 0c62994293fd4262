/** By group: the cell that it was last found in, a guess for the next time. Of one table, and of member 0. */
import type { CellTable } from '../state/cells.ts';

const FIRST_GROUPS = 64;

export class LastCells {
  readonly #table: CellTable;
  /** Index + 1, 0 where nothing is known. */
  #cells = new Int32Array(FIRST_GROUPS);

  constructor(table: CellTable) {
    this.#table = table;
  }

  /** The index of the group's cell at this time, made when it is not there. */
  at(group: number, time: number): number {
    const guessed = this.#guess(group);
    if (this.#table.isAt(guessed, group, time)) return guessed;
    const index = this.#table.at(group, 0, time);
    if (group >= this.#cells.length) this.#grow(group);
    this.#cells[group] = index + 1;
    return index;
  }

  /** Reads the cell, so that it waits in the cache. The result means nothing. */
  warm(group: number): number {
    return this.#table.warm(this.#guess(group));
  }

  /** Where it was last, -1 when nothing is known. */
  #guess(group: number): number {
    return group < this.#cells.length ? this.#cells[group] - 1 : -1;
  }

  #grow(group: number): void {
    const cells = new Int32Array(2 ** Math.ceil(Math.log2(group + 1)));
    cells.set(this.#cells);
    this.#cells = cells;
  }
}
