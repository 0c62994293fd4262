/**
 * Evidence of records that are not counted as they came. They are few, and each is of another campaign, whose cell nothing has read for
 * long: kept here until there are some, so that memory is waited for once and not for each.
 */
import { CELL_BLOCK, type CellTable } from '../state/cells.ts';

/** What is added to the cell of a group and an hour: to one column, or to it and the next. */
export interface EvidencePlace {
  group: number;
  hour: number;
  column: number;
}

export class PendingEvidence {
  readonly #table: CellTable;
  readonly #groups = new Int32Array(CELL_BLOCK);
  readonly #hours = new Float64Array(CELL_BLOCK);
  readonly #columns = new Uint8Array(CELL_BLOCK);
  /** NaN where records alone are counted. */
  readonly #micros = new Float64Array(CELL_BLOCK);
  #count = 0;

  constructor(table: CellTable) {
    this.#table = table;
  }

  /** A record, and what it would spend where that is told too, in the next column. Throws StreamError total_overflow, as `settle` does. */
  add({ group, hour, column }: EvidencePlace, micros = Number.NaN): void {
    const at = this.#count++;
    this.#groups[at] = group;
    this.#hours[at] = hour;
    this.#columns[at] = column;
    this.#micros[at] = micros;
    if (this.#count === CELL_BLOCK) this.settle();
  }

  /** Puts what is kept into the cells, in the order in which it came. Where it throws, what is left of that is gone: the task ends. */
  settle(): void {
    const count = this.#count;
    this.#count = 0;
    this.#table.warmAll(this.#groups, 0, this.#hours, count);
    for (let at = 0; at < count; at++) this.#settle(at);
  }

  #settle(at: number): void {
    const table = this.#table;
    const index = table.at(this.#groups[at], 0, this.#hours[at]);
    const column = this.#columns[at];
    table.add(index, column, 1);
    if (!Number.isNaN(this.#micros[at])) table.add(index, column + 1, this.#micros[at]);
    table.touch(index);
  }
}
