/**
 * Absolute values by (group, member, time), in typed arrays. `group` and `member` are small integers given elsewhere
 * (an interned entity; a source partition, or 0; below 2^32 and 2^21), `time` is a count of slots or hours since the epoch.
 *
 * A cell knows two kinds of dirt, because emitting runs ahead of committing: changed since it was last sent, and changed
 * since it was last committed.
 */
import { StreamError } from '../errors.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';

const EMPTY = -1;
const INITIAL_CELLS = 16;
const MAX_LOAD = 0.7;

/** Why a cell is listed as changed. */
export type Purpose = 0 | 1;
export const TO_SEND: Purpose = 0;
export const TO_COMMIT: Purpose = 1;

/** Throws StreamError total_overflow when the sum would not be exact any more. */
export function exactSum(total: number, amount: number): number {
  const sum = total + amount;
  if (sum > Number.MAX_SAFE_INTEGER)
    throw new StreamError('total_overflow', `a total of ${total} cannot take ${amount} more and stay exact`);
  return sum;
}

/** Where a walk over a table is. */
export interface CellWalk {
  index: number;
  generation: number;
}

/** Of a cell, before its columns: group and member in one, and time. */
const PLACE = 2;
/** Members are below this, so that both numbers stay exact. */
const MAX_MEMBERS = 2 ** 21;

export class CellTable {
  readonly columns: number;
  /** Changes when indices do. */
  generation = 0;
  readonly #stride: number;
  #size = 0;
  /** Place and columns of a cell beside each other: one cache line, mostly. Columns are integers up to 2^53 − 1. */
  #cells: Float64Array;
  #slots: Int32Array;
  #marks: Uint8Array;
  readonly #changed: [Int32Array, Int32Array];
  readonly #changedCount: [number, number] = [0, 0];

  constructor(columns: number) {
    this.columns = columns;
    this.#stride = PLACE + columns;
    this.#cells = new Float64Array(INITIAL_CELLS * this.#stride);
    this.#marks = new Uint8Array(INITIAL_CELLS);
    this.#slots = new Int32Array(INITIAL_CELLS * 2).fill(EMPTY);
    this.#changed = [new Int32Array(INITIAL_CELLS), new Int32Array(INITIAL_CELLS)];
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#cells.byteLength + this.#slots.byteLength + this.#marks.byteLength;
  }

  groupOf(index: number): number {
    return Math.floor(this.#cells[index * this.#stride] / MAX_MEMBERS);
  }

  memberOf(index: number): number {
    return this.#cells[index * this.#stride] % MAX_MEMBERS;
  }

  timeOf(index: number): number {
    return this.#cells[index * this.#stride + 1];
  }

  /** The cell's index, or -1. */
  find(group: number, member: number, time: number): number {
    return this.#slots[this.#probe(group, member, time)];
  }

  /** The cell's index; made with zeros when it was not there. Indices stay valid until `drop`. */
  at(group: number, member: number, time: number): number {
    const slot = this.#probe(group, member, time);
    const found = this.#slots[slot];
    if (found !== EMPTY) return found;
    const index = this.#size++;
    if (index === this.#marks.length) this.#growCells();
    this.#cells[index * this.#stride] = group * MAX_MEMBERS + member;
    this.#cells[index * this.#stride + 1] = time;
    this.#slots[slot] = index;
    if (this.#size > this.#slots.length * MAX_LOAD) this.#rehash(this.#slots.length * 2);
    return index;
  }

  /** Whether that is the cell of this group, member 0, and time; for who remembers where it was. Any index may be asked about. */
  isAt(index: number, group: number, time: number): boolean {
    const at = index * this.#stride;
    return index >= 0 && index < this.#size && this.#cells[at] === group * MAX_MEMBERS && this.#cells[at + 1] === time;
  }

  /** Reads a cell, so that it waits in the cache; any index will do. The result means nothing. */
  warm(index: number): number {
    return index >= 0 && index < this.#size ? this.#cells[index * this.#stride] : 0;
  }

  /** The same for a place. */
  warmAt(group: number, member: number, time: number): number {
    return this.warm(this.#slots[mix(group, member, time) & (this.#slots.length - 1)]);
  }

  get(index: number, column: number): number {
    return this.#cells[index * this.#stride + PLACE + column];
  }

  /** Throws StreamError total_overflow when the value would not be exact any more. */
  add(index: number, column: number, amount: number): void {
    const at = index * this.#stride + PLACE + column;
    this.#cells[at] = exactSum(this.#cells[at], amount);
  }

  /** All columns back to 0. */
  reset(index: number): void {
    this.#cells.fill(0, index * this.#stride + PLACE, (index + 1) * this.#stride);
  }

  /** Lists the cell as changed, for both purposes. */
  touch(index: number): void {
    this.#list(index, TO_SEND);
    this.#list(index, TO_COMMIT);
  }

  /** Lists the cell as changed for one purpose. */
  touchFor(index: number, purpose: Purpose): void {
    this.#list(index, purpose);
  }

  isTouched(index: number): boolean {
    return this.#marks[index] !== 0;
  }

  /** Goes on listing every cell as changed, about `count` of them; true at the end. Begun anew when indices have changed. */
  touchNext(place: CellWalk, count: number, purpose: Purpose): boolean {
    if (place.generation !== this.generation) Object.assign(place, { generation: this.generation, index: 0 });
    const end = Math.min(this.#size, place.index + count);
    for (; place.index < end; place.index++) this.#list(place.index, purpose);
    return place.index >= this.#size;
  }

  changed(purpose: Purpose): number {
    return this.#changedCount[purpose];
  }

  /** Calls with every changed cell, then forgets that they were. The callback must not touch cells of this table. */
  takeChanged(purpose: Purpose, each: (index: number) => void): void {
    const list = this.#changed[purpose];
    const count = this.#changedCount[purpose];
    for (let i = 0; i < count; i++) {
      const index = list[i];
      this.#marks[index] &= ~(1 << purpose);
      each(index);
    }
    this.#changedCount[purpose] = 0;
  }

  /** Drops the cells for which `gone` says so; cells that are still listed as changed stay. Invalidates indices. */
  drop(gone: (index: number) => boolean): number {
    const keep = new Int32Array(this.#size).fill(EMPTY);
    let kept = 0;
    for (let i = 0; i < this.#size; i++) {
      if (this.#marks[i] === 0 && gone(i)) continue;
      this.#move(i, kept);
      keep[i] = kept++;
    }
    const dropped = this.#size - kept;
    if (dropped === 0) return 0;
    this.#cells.fill(0, kept * this.#stride, this.#size * this.#stride);
    this.#marks.fill(0, kept, this.#size);
    this.#size = kept;
    this.generation++;
    for (const purpose of [TO_SEND, TO_COMMIT]) {
      const list = this.#changed[purpose];
      for (let i = 0; i < this.#changedCount[purpose]; i++) list[i] = keep[list[i]];
    }
    this.#rehash(this.#slots.length);
    return dropped;
  }

  /** Group, member, time and columns of one cell. */
  write(index: number, to: ByteWriter): void {
    to.varint(this.groupOf(index));
    to.varint(this.memberOf(index));
    to.varint(this.timeOf(index));
    for (let c = 0; c < this.columns; c++) to.varint(this.get(index, c));
  }

  /** Sets the cell that `write` wrote; returns its index, listed as changed for nothing. */
  read(from: ByteReader): number {
    const index = this.at(from.varint(), from.varint(), from.varint());
    const at = index * this.#stride + PLACE;
    for (let c = 0; c < this.columns; c++) this.#cells[at + c] = from.varint();
    return index;
  }

  #list(index: number, purpose: Purpose): void {
    const bit = 1 << purpose;
    if ((this.#marks[index] & bit) !== 0) return;
    this.#marks[index] |= bit;
    let list = this.#changed[purpose];
    const count = this.#changedCount[purpose]++;
    if (count === list.length) {
      const longer = new Int32Array(count * 2);
      longer.set(list);
      this.#changed[purpose] = longer;
      list = longer;
    }
    list[count] = index;
  }

  #move(from: number, to: number): void {
    if (from === to) return;
    this.#marks[to] = this.#marks[from];
    this.#cells.copyWithin(to * this.#stride, from * this.#stride, (from + 1) * this.#stride);
  }

  #probe(group: number, member: number, time: number): number {
    const place = group * MAX_MEMBERS + member;
    const cells = this.#cells;
    const mask = this.#slots.length - 1;
    let slot = mix(group, member, time) & mask;
    for (;;) {
      const index = this.#slots[slot];
      if (index === EMPTY) return slot;
      const at = index * this.#stride;
      if (cells[at] === place && cells[at + 1] === time) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #rehash(length: number): void {
    this.#slots = new Int32Array(length).fill(EMPTY);
    for (let i = 0; i < this.#size; i++) this.#slots[this.#probe(this.groupOf(i), this.memberOf(i), this.timeOf(i))] = i;
  }

  #growCells(): void {
    const capacity = this.#marks.length * 2;
    this.#cells = grown(this.#cells, new Float64Array(capacity * this.#stride));
    this.#marks = grown(this.#marks, new Uint8Array(capacity));
  }
}

function grown<A extends { set(source: ArrayLike<number>): void }>(old: ArrayLike<number>, bigger: A): A {
  bigger.set(old);
  return bigger;
}

/** Times pass 2^32 in the far future, so both halves count. */
function mix(group: number, member: number, time: number): number {
  let h =
    Math.imul(group + 1, 0x9e3779b1) ^
    Math.imul(member + 1, 0x85ebca6b) ^
    Math.imul(time | 0, 0xc2b2ae35) ^
    Math.imul((time / 4294967296) | 0, 0x27d4eb2f);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 13);
}
