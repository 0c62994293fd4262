/**
 * Absolute values by (group, member, time), in typed arrays. `group` and `member` are small integers given elsewhere
 * (an interned entity; a source partition, or 0; below 2^32 and 2^21), `time` is a count of slots or hours since the epoch.
 *
 * A cell knows two kinds of dirt, because emitting runs ahead of committing: changed since it was last sent, and changed
 * since it was last committed.
 */
import { StreamError } from '../errors.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { CellChanges, grown, type Purpose } from './cell-changes.ts';
import { mix } from './cell-hash.ts';

export { type Purpose, TO_COMMIT, TO_SEND } from './cell-changes.ts';

/** In a slot stands the index of its cell + 1, so that new memory is empty as it is. */
const EMPTY = 0;
const INITIAL_CELLS = 16;
/** From this load on a larger table of slots is filled beside the one in use: done at .8, since so many cells a new one are moved. */
const MAX_LOAD = 0.7;
const MOVED_AT_ONCE = 8;
/** Cells lie in chunks of so many: a large table grows by one and copies nothing. The first begins small. */
const CHUNK_BITS = 14;
const CHUNK = 2 ** CHUNK_BITS;
/** Below this a table is in the cache by itself. */
const WARMED_FROM = 8192;
/** Places that are asked for at once. */
export const CELL_BLOCK = 32;

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
  readonly #chunks: Float64Array[];
  #slots: Int32Array;
  /** The larger table, while it is being filled: with the first `#moved` cells. The one in use has all. */
  #next: Int32Array | null = null;
  #moved = 0;
  /** Cells that there is room for. */
  #capacity = INITIAL_CELLS;
  readonly #changes = new CellChanges(INITIAL_CELLS);

  constructor(columns: number) {
    this.columns = columns;
    this.#stride = PLACE + columns;
    this.#chunks = [new Float64Array(INITIAL_CELLS * this.#stride)];
    this.#slots = new Int32Array(INITIAL_CELLS * 2);
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    const cells = this.#chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    return cells + this.#slots.byteLength + (this.#next?.byteLength ?? 0) + this.#changes.byteLength;
  }

  groupOf(index: number): number {
    return Math.floor(this.#chunkOf(index)[this.#inChunk(index)] / MAX_MEMBERS);
  }

  memberOf(index: number): number {
    return this.#chunkOf(index)[this.#inChunk(index)] % MAX_MEMBERS;
  }

  timeOf(index: number): number {
    return this.#chunkOf(index)[this.#inChunk(index) + 1];
  }

  /** The cell's index, or -1. */
  find(group: number, member: number, time: number): number {
    return this.#slots[this.#probe(group, member, time)] - 1;
  }

  /** The cell's index; made with zeros when it was not there. Indices stay valid until `drop`. */
  at(group: number, member: number, time: number): number {
    const slot = this.#probe(group, member, time);
    const found = this.#slots[slot];
    if (found !== EMPTY) return found - 1;
    const index = this.#size++;
    if (index === this.#capacity) this.#growCells();
    const chunk = this.#chunkOf(index);
    const at = this.#inChunk(index);
    chunk[at] = group * MAX_MEMBERS + member;
    chunk[at + 1] = time;
    this.#slots[slot] = index + 1;
    if (this.#next !== null) this.#moveSome(this.#next);
    else if (this.#size > this.#slots.length * MAX_LOAD) this.#next = new Int32Array(this.#slots.length * 2);
    return index;
  }

  /** Whether that is the cell of this group, member 0, and time; for who remembers where it was. Any index may be asked about. */
  isAt(index: number, group: number, time: number): boolean {
    if (index < 0 || index >= this.#size) return false;
    const chunk = this.#chunkOf(index);
    const at = this.#inChunk(index);
    return chunk[at] === group * MAX_MEMBERS && chunk[at + 1] === time;
  }

  /** Reads a cell, so that it waits in the cache; any index will do. The result means nothing. */
  warm(index: number): number {
    return index >= 0 && index < this.#size ? this.#chunkOf(index)[this.#inChunk(index)] + this.#changes.warm(index) : 0;
  }

  /**
   * Reads the cells of the first `count` places (at most CELL_BLOCK), so that they wait in the cache. Each loop asks memory for
   * one thing of all of them, so that it is waited for once and not `count` times. The result means nothing.
   */
  warmAll(groups: Int32Array, member: number, times: Float64Array, count: number): number {
    if (this.#size < WARMED_FROM) return 0;
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let i = 0; i < count; i++) warmed[i] = mix(groups[i], member, times[i]) & mask;
    for (let i = 0; i < count; i++) warmed[i] = slots[warmed[i]];
    let read = 0;
    for (let i = 0; i < count; i++) {
      const index = warmed[i] === EMPTY ? 0 : warmed[i] - 1;
      read += this.#chunkOf(index)[this.#inChunk(index)] + this.#changes.warm(index);
    }
    return read;
  }

  get(index: number, column: number): number {
    return this.#chunkOf(index)[this.#inChunk(index) + PLACE + column];
  }

  /** Throws StreamError total_overflow when the value would not be exact any more. */
  add(index: number, column: number, amount: number): void {
    const chunk = this.#chunkOf(index);
    const at = this.#inChunk(index) + PLACE + column;
    chunk[at] = exactSum(chunk[at], amount);
  }

  /** All columns back to 0. */
  reset(index: number): void {
    const at = this.#inChunk(index);
    this.#chunkOf(index).fill(0, at + PLACE, at + this.#stride);
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

  /** Calls with every changed cell, then forgets that they were. The callback must not touch cells of this table. */
  takeChanged(purpose: Purpose, each: (index: number) => void): void {
    this.#changes.take(purpose, each);
  }

  /** Drops the cells for which `gone` says so; cells that are still listed as changed stay. Invalidates indices. */
  drop(gone: (index: number) => boolean): number {
    const keep = new Int32Array(this.#size);
    let kept = 0;
    for (let i = 0; i < this.#size; i++) {
      if (!this.#changes.isListed(i) && gone(i)) continue;
      this.#move(i, kept);
      keep[i] = kept++;
    }
    const dropped = this.#size - kept;
    if (dropped === 0) return 0;
    for (let i = kept; i < this.#size; i++) {
      const at = this.#inChunk(i);
      this.#chunkOf(i).fill(0, at, at + this.#stride);
    }
    this.#changes.moved(keep, kept);
    this.#size = kept;
    this.generation++;
    this.#slots.fill(EMPTY);
    for (let i = 0; i < kept; i++) this.#enter(this.#slots, i);
    this.#next = null;
    this.#moved = 0;
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
    const chunk = this.#chunkOf(index);
    const at = this.#inChunk(index) + PLACE;
    for (let c = 0; c < this.columns; c++) chunk[at + c] = from.varint();
    return index;
  }

  #chunkOf(index: number): Float64Array {
    return this.#chunks[index >>> CHUNK_BITS];
  }

  /** Where a cell begins in its chunk. */
  #inChunk(index: number): number {
    return (index & (CHUNK - 1)) * this.#stride;
  }

  #move(from: number, to: number): void {
    if (from === to) return;
    this.#changes.move(from, to);
    const [source, target] = [this.#chunkOf(from), this.#chunkOf(to)];
    const [at, place] = [this.#inChunk(from), this.#inChunk(to)];
    for (let i = 0; i < this.#stride; i++) target[place + i] = source[at + i];
  }

  #probe(group: number, member: number, time: number): number {
    const place = group * MAX_MEMBERS + member;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = mix(group, member, time) & mask;
    for (;;) {
      const index = slots[slot] - 1;
      if (index < 0) return slot;
      const chunk = this.#chunkOf(index);
      const at = this.#inChunk(index);
      if (chunk[at] === place && chunk[at + 1] === time) return slot;
      slot = (slot + 1) & mask;
    }
  }

  /** Goes on filling the larger table; the last step puts it in the place of the other. */
  #moveSome(next: Int32Array): void {
    const end = Math.min(this.#size, this.#moved + MOVED_AT_ONCE);
    for (; this.#moved < end; this.#moved++) this.#enter(next, this.#moved);
    if (this.#moved < this.#size) return;
    this.#slots = next;
    this.#next = null;
    this.#moved = 0;
  }

  /** Into slots that do not have it. */
  #enter(slots: Int32Array, index: number): void {
    const mask = slots.length - 1;
    let slot = mix(this.groupOf(index), this.memberOf(index), this.timeOf(index)) & mask;
    while (slots[slot] !== EMPTY) slot = (slot + 1) & mask;
    slots[slot] = index + 1;
  }

  /** Room for twice as many, or for a chunk more. */
  #growCells(): void {
    if (this.#capacity < CHUNK) {
      this.#chunks[0] = grown(this.#chunks[0], new Float64Array(2 * this.#capacity * this.#stride));
      this.#capacity *= 2;
    } else {
      this.#chunks.push(new Float64Array(CHUNK * this.#stride));
      this.#capacity += CHUNK;
    }
    this.#changes.makeRoom(this.#capacity);
  }
}

const warmed = new Int32Array(CELL_BLOCK);
