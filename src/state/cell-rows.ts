/** Places and columns of cells, by index, in chunks: a large table grows by one and copies nothing. */
import { StreamError } from '../errors.ts';

const CHUNK_BITS = 14;
const CHUNK = 2 ** CHUNK_BITS;
/** The first chunk begins with so many. */
export const FIRST_CELLS = 16;
/** Of a cell, before its columns: group and member in one, and time. */
const PLACE = 2;
/** Members are below this, so that both numbers stay exact. */
const MAX_MEMBERS = 2 ** 21;

/** Group and member in one number. */
export const whoOf = (group: number, member: number): number => group * MAX_MEMBERS + member;
const groupIn = (who: number): number => Math.floor(who / MAX_MEMBERS);
/** By a product: the remainder of a division takes ten times as long. */
const memberIn = (who: number): number => who - groupIn(who) * MAX_MEMBERS;

/** Throws StreamError total_overflow when the sum would not be exact any more. */
export function exactSum(total: number, amount: number): number {
  const sum = total + amount;
  if (sum > Number.MAX_SAFE_INTEGER)
    throw new StreamError('total_overflow', `a total of ${total} cannot take ${amount} more and stay exact`);
  return sum;
}

export class CellRows {
  readonly #stride: number;
  /** Place and columns of a cell beside each other: one cache line, mostly. Columns are integers up to 2^53 − 1. */
  readonly #chunks: Float64Array[];
  #capacity = FIRST_CELLS;

  constructor(columns: number) {
    this.#stride = PLACE + columns;
    this.#chunks = [new Float64Array(FIRST_CELLS * this.#stride)];
  }

  /** Cells that there is room for. */
  get capacity(): number {
    return this.#capacity;
  }

  get byteLength(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }

  groupOf(index: number): number {
    return groupIn(this.#chunkOf(index)[this.#inChunk(index)]);
  }

  memberOf(index: number): number {
    return memberIn(this.#chunkOf(index)[this.#inChunk(index)]);
  }

  timeOf(index: number): number {
    return this.#chunkOf(index)[this.#inChunk(index) + 1];
  }

  /** Group, member, time and columns of each of these cells, from the beginning of `into` on. */
  read(indices: Int32Array, into: Float64Array): void {
    const stride = this.#stride;
    let to = 0;
    for (let k = 0; k < indices.length; k++) {
      const chunk = this.#chunkOf(indices[k]);
      const at = this.#inChunk(indices[k]);
      into[to++] = groupIn(chunk[at]);
      into[to++] = memberIn(chunk[at]);
      for (let i = 1; i < stride; i++) into[to++] = chunk[at + i];
    }
  }

  isAt(index: number, who: number, time: number): boolean {
    const chunk = this.#chunkOf(index);
    const at = this.#inChunk(index);
    return chunk[at] === who && chunk[at + 1] === time;
  }

  /** Reads a cell, so that it waits in the cache. The result means nothing. */
  warm(index: number): number {
    return this.#chunkOf(index)[this.#inChunk(index)];
  }

  /** Of a cell that was cleared. */
  place(index: number, who: number, time: number): void {
    const chunk = this.#chunkOf(index);
    const at = this.#inChunk(index);
    chunk[at] = who;
    chunk[at + 1] = time;
  }

  get(index: number, column: number): number {
    return this.#chunkOf(index)[this.#inChunk(index) + PLACE + column];
  }

  set(index: number, column: number, value: number): void {
    this.#chunkOf(index)[this.#inChunk(index) + PLACE + column] = value;
  }

  /** Throws StreamError total_overflow when the value would not be exact any more. */
  add(index: number, column: number, amount: number): void {
    const chunk = this.#chunkOf(index);
    const at = this.#inChunk(index) + PLACE + column;
    chunk[at] = exactSum(chunk[at], amount);
  }

  /** Adds to the first two columns. Throws as `add`. */
  addTwo(index: number, first: number, second: number): void {
    const chunk = this.#chunkOf(index);
    const at = this.#inChunk(index) + PLACE;
    chunk[at] = exactSum(chunk[at], first);
    chunk[at + 1] = exactSum(chunk[at + 1], second);
  }

  /** All columns back to 0. */
  reset(index: number): void {
    const at = this.#inChunk(index);
    this.#chunkOf(index).fill(0, at + PLACE, at + this.#stride);
  }

  /** As a cell that was never there. */
  clear(index: number): void {
    const at = this.#inChunk(index);
    this.#chunkOf(index).fill(0, at, at + this.#stride);
  }

  move(from: number, to: number): void {
    const [source, target] = [this.#chunkOf(from), this.#chunkOf(to)];
    const [at, place] = [this.#inChunk(from), this.#inChunk(to)];
    for (let i = 0; i < this.#stride; i++) target[place + i] = source[at + i];
  }

  /** Room for twice as many, or for a chunk more. */
  grow(): void {
    if (this.#capacity < CHUNK) {
      const bigger = new Float64Array(2 * this.#capacity * this.#stride);
      bigger.set(this.#chunks[0]);
      this.#chunks[0] = bigger;
      this.#capacity *= 2;
    } else {
      this.#chunks.push(new Float64Array(CHUNK * this.#stride));
      this.#capacity += CHUNK;
    }
  }

  #chunkOf(index: number): Float64Array {
    return this.#chunks[index >>> CHUNK_BITS];
  }

  /** Where a cell begins in its chunk. */
  #inChunk(index: number): number {
    return (index & (CHUNK - 1)) * this.#stride;
  }
}
