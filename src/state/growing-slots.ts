/**
 * An array of 8-byte slots that grows in place: beyond a mebibyte it lies in a WebAssembly.Memory, which takes address space at first
 * and memory as it is touched. (A resizable ArrayBuffer does that too, and can shrink, but each access to a view of it costs half as
 * much again.) It cannot shrink: what has become too large is replaced by another, and goes with the next garbage collection.
 */
import { StreamError } from '../errors.ts';
import type { MemoryBudget } from './memory-budget.ts';

export const SLOT_BYTES = 8;
const SMALL_BYTES = 2 ** 20;
const PAGE_BYTES = 2 ** 16;

/** Of WebAssembly.Memory, which the types of Node.js do not know, as much as is used here. Pages are bigints where addresses have 64 bits. */
interface PagedMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number | bigint): void;
}
interface MemoryDescriptor {
  address: 'i32' | 'i64';
  initial: number | bigint;
  maximum: number | bigint;
}
declare const WebAssembly: { Memory: new (descriptor: MemoryDescriptor) => PagedMemory };

const described64 = (initial: number, maximum: number): MemoryDescriptor => ({
  address: 'i64',
  initial: BigInt(initial),
  maximum: BigInt(maximum),
});
/** Node.js 22 has 32-bit addresses only: a table of 4 GiB at most. */
const isWide = ((): boolean => {
  try {
    return new WebAssembly.Memory(described64(0, 1)).buffer.byteLength === 0;
  } catch {
    return false;
  }
})();
const described = isWide ? described64 : (initial: number, maximum: number): MemoryDescriptor => ({ address: 'i32', initial, maximum });
/** Address space of one array: as good as for ever. */
const MOST_PAGES = isWide ? 2 ** 17 : 2 ** 16;
const pagesOf = (bytes: number): number | bigint => (isWide ? BigInt(bytes / PAGE_BYTES) : bytes / PAGE_BYTES);
const NOTHING = new Int32Array(2);

export class GrowingSlots {
  readonly #budget: MemoryBudget;
  #memory: PagedMemory | null = null;
  #byteLength = 0;
  /** Two words a slot, or somewhat more of them; all zero where nothing was written. Ask again after every growth. */
  words: Int32Array = NOTHING;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  /** Room for so many slots; what is there stays. Throws `state_memory_full` with nothing changed. */
  grow(slots: number): void {
    const wanted = slots * SLOT_BYTES;
    if (wanted <= this.#byteLength) return;
    const bytes = wanted <= SMALL_BYTES ? wanted : Math.ceil(wanted / PAGE_BYTES) * PAGE_BYTES;
    const before = this.#byteLength;
    this.#budget.reserve(bytes - before);
    try {
      if (this.#memory === null) this.#replace(bytes);
      else this.#memory.grow(pagesOf(bytes - before));
    } catch (error) {
      this.#budget.release(bytes - before);
      throw error instanceof RangeError ? this.full(bytes) : error;
    }
    if (this.#memory !== null) this.words = new Int32Array(this.#memory.buffer);
    this.#byteLength = bytes;
  }

  /** Gives all of it up. */
  release(): void {
    this.#budget.release(this.#byteLength);
    this.#memory = null;
    this.words = NOTHING;
    this.#byteLength = 0;
  }

  /** The refusal of the system to give so much to one table. */
  full(bytes: number): StreamError {
    return new StreamError(
      'state_memory_full',
      `One table of the state needs ${bytes} bytes, which this process cannot have. Nothing was evicted. ` +
        'Give it more memory, use more partitions, or shorten the dedup TTL.',
    );
  }

  #replace(bytes: number): void {
    const memory = bytes <= SMALL_BYTES ? null : reserve(bytes);
    const words = memory === null ? new Int32Array(bytes / 4) : new Int32Array(memory.buffer);
    words.set(this.words);
    this.words = words;
    this.#memory = memory;
  }
}

/** Less address space where the system refuses the usual amount. */
function reserve(bytes: number): PagedMemory {
  const initial = bytes / PAGE_BYTES;
  for (let maximum = Math.max(initial, MOST_PAGES); ; maximum = Math.max(initial, Math.floor(maximum / 2))) {
    try {
      return new WebAssembly.Memory(described(initial, maximum));
    } catch (error) {
      if (maximum === initial) throw error;
    }
  }
}
