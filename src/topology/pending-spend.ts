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
    if (this.#count > this.#groups.length / MANY) {
      for (let group = 0; group < this.#groups.length; group++) this.#settle(group);
    } else {
      for (let k = 0; k < this.#count; k++) this.#settle(this.#groups[k]);
    }
    this.#count = 0;
  }

  #settle(group: number): void {
    const sums = this.#sums;
    const impressions = sums[2 * group + 1];
    if (impressions === 0) return;
    this.#table.addTwo(this.#cells.at(group, this.#slot), sums[2 * group], impressions);
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
