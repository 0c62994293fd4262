/**
 * Spend and impressions by campaign, of the quarter hour that most records are in: added up here, close together and without a look at
 * the cells, and put into those before anybody asks for them.
 */
import { BLOCK, type EventColumns } from '../operators/event-columns.ts';
import { type CellTable, exactSum } from '../state/cells.ts';
import { LastCells } from './last-cells.ts';
import { CELLS } from './partials.ts';

const { slotMs } = CELLS.spend;
const FIRST_GROUPS = 64;
/** Below this they are in the cache by themselves. */
const WARMED_FROM = 8192;
/** When one group in so many has a sum, they are settled in the order of groups: what lies side by side is then met once. */
const MANY = 8;
/** So many cells are asked for together. */
const WARMED_AT_ONCE = 64;

export class PendingSpend {
  /** Of the last call of `add`: the records that are in no sum. */
  readonly left = new Uint8Array(BLOCK);
  readonly #table: CellTable;
  readonly #cells: LastCells;
  /** The quarter hour that is added up; at first none. */
  #slot = Number.NaN;
  #fromMs = Number.NaN;
  #toMs = Number.NaN;
  /** By group: micros and impressions. */
  #sums = new Float64Array(2 * FIRST_GROUPS);
  /** The groups that have any. */
  #groups = new Int32Array(FIRST_GROUPS);
  #count = 0;
  /** So many of them are in cells already, while that is done in portions. */
  #settled = 0;

  constructor(table: CellTable) {
    this.#table = table;
    this.#cells = new LastCells(table);
  }

  /** Reads the sums of these groups, so that they wait in the cache; of -1 none. The result means nothing. */
  warm(groups: Int32Array, size: number): number {
    const sums = this.#sums;
    let read = 0;
    if (sums.length > WARMED_FROM) for (let i = 0; i < size; i++) if (groups[i] >>> 0 < sums.length / 2) read += sums[2 * groups[i]];
    return read;
  }

  /**
   * Adds up the first `count` of these records, whose groups are by record; returns how many are `left`, as those of other times and of new
   * groups are. Throws StreamError total_overflow.
   */
  add({ eventTs, spendMicros }: EventColumns, groups: Int32Array, records: Uint8Array, count: number): number {
    if (this.#settled > 0) this.settle();
    const fromMs = this.#fromMs;
    const toMs = this.#toMs;
    const sums = this.#sums;
    const listed = this.#groups;
    const { left } = this;
    let leftCount = 0;
    for (let k = 0; k < count; k++) {
      const i = records[k];
      const group = groups[i];
      // -1 is a large number.
      if (group >>> 0 < listed.length && eventTs[i] >= fromMs && eventTs[i] < toMs) {
        if (sums[2 * group + 1] === 0) listed[this.#count++] = group;
        sums[2 * group] = exactSum(sums[2 * group], spendMicros[i]);
        sums[2 * group + 1]++;
      } else {
        left[leftCount++] = i;
      }
    }
    return leftCount;
  }

  /** Adds an impression of any time to its cell. Throws StreamError total_overflow. */
  addOne(group: number, eventTs: number, spendMicros: number): void {
    if (group >= this.#groups.length) this.#grow(group);
    this.#table.addTwo(this.#cells.at(group, Math.floor(eventTs / slotMs)), spendMicros, 1);
  }

  /** From here on the quarter hour of this time is added up. Throws as `settle`. */
  moveTo(eventTs: number): void {
    const slot = Math.floor(eventTs / slotMs);
    if (slot === this.#slot) return;
    this.settle();
    this.#slot = slot;
    this.#fromMs = slot * slotMs;
    this.#toMs = this.#fromMs + slotMs;
  }

  /** Puts all sums into cells. Throws StreamError total_overflow. */
  settle(): void {
    this.settleNext(Number.POSITIVE_INFINITY);
  }

  /** The same for so many at most; true when none is left. */
  settleNext(most: number): boolean {
    if (this.#settled === 0) this.#arrange();
    const end = Math.min(this.#count, this.#settled + most);
    for (let from = this.#settled; from < end; from += WARMED_AT_ONCE) {
      const to = Math.min(end, from + WARMED_AT_ONCE);
      this.#warmCells(from, to);
      for (; this.#settled < to; this.#settled++) this.#settle(this.#groups[this.#settled]);
    }
    if (this.#settled < this.#count) return false;
    this.#settled = 0;
    this.#count = 0;
    return true;
  }

  /** Lists the groups in their order, where they are many. */
  #arrange(): void {
    if (this.#count <= this.#groups.length / MANY) return;
    for (let group = 0, listed = 0; listed < this.#count; group++) {
      if (this.#sums[2 * group + 1] !== 0) this.#groups[listed++] = group;
    }
  }

  /** Reads the cells of the groups that are listed there, so that they wait in the cache. The result means nothing. */
  #warmCells(from: number, to: number): number {
    let read = 0;
    for (let k = from; k < to; k++) read += this.#cells.warm(this.#groups[k]);
    return read;
  }

  #settle(group: number): void {
    const sums = this.#sums;
    this.#table.addTwo(this.#cells.at(group, this.#slot), sums[2 * group], sums[2 * group + 1]);
    sums[2 * group] = 0;
    sums[2 * group + 1] = 0;
  }

  #grow(group: number): void {
    const room = 2 ** Math.ceil(Math.log2(group + 1));
    const [sums, groups] = [new Float64Array(2 * room), new Int32Array(room)];
    sums.set(this.#sums);
    groups.set(this.#groups);
    this.#sums = sums;
    this.#groups = groups;
  }
}
