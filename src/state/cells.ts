/**
 * Absolute values by (group, member, time), in typed arrays. `group` and `member` are small integers given elsewhere
 * (an interned entity; a source partition, or 0; below 2^32 and 2^21), `time` is a count of slots or hours since the epoch.
 *
 * A cell knows two kinds of dirt, because emitting runs ahead of committing: changed since it was last sent, and changed
 * since it was last committed.
 */
import type { ByteReader, ByteWriter } from './bytes.ts';
import { CellChanges, type Purpose } from './cell-changes.ts';
import { mix } from './cell-hash.ts';
import { CellRows, FIRST_CELLS, whoOf } from './cell-rows.ts';
import { after, EMPTY, SLOT_WORDS, slotOf, vacate } from './cell-slots.ts';

export { type Purpose, TO_COMMIT, TO_SEND } from './cell-changes.ts';
export { exactSum } from './cell-rows.ts';

/** From this load on a larger table of slots is filled beside the one in use: done at .8, since so many cells a new one are moved. */
const MAX_LOAD = 0.7;
const MOVED_AT_ONCE = 8;
/** Below this a table is in the cache by itself. */
const WARMED_FROM = 8192;
/** Where things stand in a row. */
export const ROW = { group: 0, member: 1, time: 2, columns: 3 } as const;
/** Places that are asked for at once. */
export const CELL_BLOCK = 32;
/** So many cells are read together at most. */
export const ROWS = 64;

/** Where a walk over a table is. */
export interface CellWalk {
  index: number;
  generation: number;
}

export class CellTable {
  readonly columns: number;
  /** Changes when indices do. */
  generation = 0;
  #size = 0;
  readonly #rows: CellRows;
  readonly #block: Float64Array;
  #slots: Int32Array = new Int32Array(FIRST_CELLS * 2 * SLOT_WORDS);
  /** The larger table, while it is being filled: with the first `#moved` cells. The one in use has all. */
  #next: Int32Array | null = null;
  #moved = 0;
  readonly #changes = new CellChanges(FIRST_CELLS);

  constructor(columns: number) {
    this.columns = columns;
    this.#rows = new CellRows(columns);
    this.#block = new Float64Array(ROWS * (ROW.columns + columns));
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#rows.byteLength + this.#slots.byteLength + (this.#next?.byteLength ?? 0) + this.#changes.byteLength;
  }

  groupOf(index: number): number {
    return this.#rows.groupOf(index);
  }

  memberOf(index: number): number {
    return this.#rows.memberOf(index);
  }

  timeOf(index: number): number {
    return this.#rows.timeOf(index);
  }

  /** The cell's index, or -1. */
  find(group: number, member: number, time: number): number {
    return this.#slots[this.#probe(group, member, time, mix(group, member, time))] - 1;
  }

  /** The cell's index; made with zeros when it was not there. Indices stay valid until `drop`. */
  at(group: number, member: number, time: number): number {
    const hash = mix(group, member, time);
    const slot = this.#probe(group, member, time, hash);
    const found = this.#slots[slot];
    if (found !== EMPTY) return found - 1;
    const index = this.#size++;
    if (index === this.#rows.capacity) {
      this.#rows.grow();
      this.#changes.makeRoom(this.#rows.capacity);
    }
    this.#rows.place(index, whoOf(group, member), time);
    this.#slots[slot] = index + 1;
    this.#slots[slot + 1] = hash;
    if (this.#next !== null) this.#moveSome(this.#next, MOVED_AT_ONCE);
    else if (this.#size * SLOT_WORDS > this.#slots.length * MAX_LOAD) this.#next = new Int32Array(this.#slots.length * 2);
    return index;
  }

  /** Whether that is the cell of this group, member 0, and time; for who remembers where it was. Any index may be asked about. */
  isAt(index: number, group: number, time: number): boolean {
    return index >= 0 && index < this.#size && this.#rows.isAt(index, whoOf(group, 0), time);
  }

  /** Reads a cell, so that it waits in the cache; any index will do. The result means nothing. */
  warm(index: number): number {
    return index >= 0 && index < this.#size ? this.#rows.warm(index) + this.#changes.warm(index) : 0;
  }

  /**
   * Reads the cells of the first `count` places (at most CELL_BLOCK), so that they wait in the cache. Each loop asks memory for
   * one thing of all of them, so that it is waited for once and not `count` times. The result means nothing.
   */
  warmAll(groups: Int32Array, member: number, times: Float64Array, count: number): number {
    if (this.#size < WARMED_FROM) return 0;
    const slots = this.#slots;
    for (let i = 0; i < count; i++) warmed[i] = slots[slotOf(slots, mix(groups[i], member, times[i]))];
    let read = 0;
    for (let i = 0; i < count; i++) read += this.warm(warmed[i] - 1);
    return read;
  }

  get(index: number, column: number): number {
    return this.#rows.get(index, column);
  }

  /** Throws StreamError total_overflow when the value would not be exact any more. */
  add(index: number, column: number, amount: number): void {
    this.#rows.add(index, column, amount);
  }

  /** Adds to the first two columns, and lists the cell as changed. Throws as `add`. */
  addTwo(index: number, first: number, second: number): void {
    this.#rows.addTwo(index, first, second);
    this.#changes.listForBoth(index);
  }

  /** All columns back to 0. */
  reset(index: number): void {
    this.#rows.reset(index);
  }

  /** Lists the cell as changed, for both purposes. */
  touch(index: number): void {
    this.#changes.listForBoth(index);
  }

  /** Lists the cell as changed for one purpose. */
  touchFor(index: number, purpose: Purpose): void {
    this.#changes.list(index, purpose);
  }

  isTouched(index: number): boolean {
    return this.#changes.isListed(index);
  }

  /** Goes on listing every cell as changed, about `count` of them; true at the end. Begun anew when indices have changed. */
  touchNext(place: CellWalk, count: number, purpose: Purpose): boolean {
    if (place.generation !== this.generation) Object.assign(place, { generation: this.generation, index: 0 });
    const end = Math.min(this.#size, place.index + count);
    for (; place.index < end; place.index++) this.#changes.list(place.index, purpose);
    return place.index >= this.#size;
  }

  changed(purpose: Purpose): number {
    return this.#changes.count(purpose);
  }

  /** Every changed cell, or `most` of them (those that have been longest, or after `arrangeChanged` those of the lowest places), which are changed no more. Valid until the next call. */
  takeChanged(purpose: Purpose, most = Number.POSITIVE_INFINITY): Int32Array {
    return this.#changes.take(purpose, most);
  }

  /** Their number, and each as `rows` has it; they are changed no more. */
  writeChanged(purpose: Purpose, to: ByteWriter): void {
    const indices = this.takeChanged(purpose);
    const width = ROW.columns + this.columns;
    to.varint(indices.length);
    for (let from = 0; from < indices.length; from += ROWS) {
      const some = indices.subarray(from, from + ROWS);
      to.varints(this.rows(some), 0, some.length * width);
    }
  }

  /** Before changed cells are taken in portions: what lies side by side is then met once. */
  arrangeChanged(purpose: Purpose): void {
    this.#changes.arrange(purpose);
  }

  /** Drops the cells for which `gone` says so; cells that are still listed as changed stay. Invalidates indices. Returns how many. */
  drop(gone: (index: number) => boolean): number {
    const { size } = this;
    const walk = { left: size };
    while (!this.dropNext(walk, size, gone));
    return size - this.#size;
  }

  /**
   * The same a step at a time, from the last to the first of those that there were at the beginning (`left`: how many): looks at
   * about `count` of them; true at the end. Between two steps the table is whole. Cells that come into the places of others are
   * listed for `movedFor`.
   */
  dropNext(walk: { left: number }, count: number, gone: (index: number) => boolean, movedFor: Purpose | null = null): boolean {
    if (this.#next !== null) {
      this.#moveSome(this.#next, count);
      return walk.left === 0;
    }
    const { size } = this;
    const filled: number[] = [];
    const end = Math.max(0, Math.min(walk.left, size) - count);
    for (walk.left = Math.min(walk.left, size); walk.left > end; ) {
      const index = --walk.left;
      if (this.#changes.isListed(index) || !gone(index)) continue;
      this.#remove(index);
      if (movedFor !== null) filled.push(index);
    }
    if (size !== this.#size) {
      this.#changes.moved();
      this.generation++;
      for (const index of filled) if (index < this.#size) this.#changes.list(index, movedFor as Purpose);
    }
    return walk.left === 0;
  }

  /** Group, member, time and columns of each of these cells, ROWS at most, to be changed as one likes; they last until the next call, and until cells are written. */
  rows(indices: Int32Array): Float64Array {
    this.#rows.read(indices, this.#block);
    return this.#block;
  }

  /** Sets a cell that `writeChanged` wrote; returns its index, listed as changed for nothing. */
  read(from: ByteReader): number {
    const index = this.at(from.varint(), from.varint(), from.varint());
    for (let c = 0; c < this.columns; c++) this.#rows.set(index, c, from.varint());
    return index;
  }

  /** Where in the slots the cell is, or an empty one for it. */
  #probe(group: number, member: number, time: number, hash: number): number {
    const who = whoOf(group, member);
    const slots = this.#slots;
    for (let slot = slotOf(slots, hash); ; slot = after(slots, slot)) {
      const index = slots[slot] - 1;
      if (index < 0) return slot;
      if (slots[slot + 1] === hash && this.#rows.isAt(index, who, time)) return slot;
    }
  }

  /** Where in the slots a cell is that is there. */
  #slotWith(index: number): number {
    const slots = this.#slots;
    let slot = slotOf(slots, this.#hashOf(index));
    while (slots[slot] !== index + 1) slot = after(slots, slot);
    return slot;
  }

  #hashOf(index: number): number {
    return mix(this.groupOf(index), this.memberOf(index), this.timeOf(index));
  }

  /** The last cell comes into its place. */
  #remove(index: number): void {
    vacate(this.#slots, this.#slotWith(index));
    const last = --this.#size;
    if (index !== last) {
      this.#slots[this.#slotWith(last)] = index + 1;
      this.#rows.move(last, index);
      this.#changes.move(last, index);
    }
    this.#rows.clear(last);
  }

  /** Goes on filling the larger table; the last step puts it in the place of the other. */
  #moveSome(next: Int32Array, count: number): void {
    const end = Math.min(this.#size, this.#moved + count);
    for (; this.#moved < end; this.#moved++) {
      const hash = this.#hashOf(this.#moved);
      let slot = slotOf(next, hash);
      while (next[slot] !== EMPTY) slot = after(next, slot);
      next[slot] = this.#moved + 1;
      next[slot + 1] = hash;
    }
    if (this.#moved < this.#size) return;
    this.#slots = next;
    this.#next = null;
    this.#moved = 0;
  }
}

const warmed = new Int32Array(CELL_BLOCK);
