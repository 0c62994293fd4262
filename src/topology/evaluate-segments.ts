/**
 * Which cells of segments a group has. They grow much more often than anybody asks what they add up to, so nothing is kept of
 * them but a chain a group through the sources' cells, which never move.
 */
import type { CellTable } from '../state/cells.ts';

const NONE = 0;

export class SegmentCells {
  readonly #cells: CellTable;
  /** By group: the last cell of its chain, + 1. */
  #last: Int32Array = new Int32Array(16);
  /** By cell: the one before it in its chain, + 1. */
  #before: Int32Array = new Int32Array(16);
  #chained = 0;

  /** @param cells of the sources, time is the segment's group */
  constructor(cells: CellTable) {
    this.#cells = cells;
  }

  /** Puts up to `count` new cells into their chains. */
  chain(count: number): void {
    const cells = this.#cells;
    const end = Math.min(cells.size, this.#chained + count);
    if (end > this.#before.length) this.#before = longer(this.#before, end);
    for (; this.#chained < end; this.#chained++) {
      const group = cells.groupOf(this.#chained);
      if (group >= this.#last.length) this.#last = longer(this.#last, group + 1);
      this.#before[this.#chained] = this.#last[group];
      this.#last[group] = this.#chained + 1;
    }
  }

  /** Calls with the segment and the units of each cell that a group has; a segment comes once a source. */
  each(group: number, take: (segment: number, units: number) => void): void {
    this.chain(Number.POSITIVE_INFINITY);
    for (let at = this.#last[group] ?? NONE; at !== NONE; at = this.#before[at - 1])
      take(this.#cells.timeOf(at - 1), this.#cells.get(at - 1, 0));
  }
}

function longer(old: Int32Array, length: number): Int32Array {
  const grown = new Int32Array(Math.max(length, old.length * 2));
  grown.set(old);
  return grown;
}
