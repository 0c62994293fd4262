/**
 * An array of 8-byte slots that grows in place: beyond 512 KiB it lies in a WebAssembly.Memory, which takes address space at first
 * and memory as it is touched. (A resizable ArrayBuffer does that too, and can shrink, but each access to a view of it costs half as
 * much again.) It cannot shrink: what has become too large is replaced by another, and goes with the next garbage collection. Where
 * there is no WebAssembly it lies in a plain array, which is copied when it grows.
 */
import { StreamError } from '../errors.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { hasWebAssembly, Memory, type MemoryDescriptor, PAGE_BYTES, type PagedMemory } from './web-assembly.ts';

export const SLOT_BYTES = 8;
/** What compiled code has to itself, before the slots. */
export const HEADER_BYTES = 4 * PAGE_BYTES;
const SMALL_BYTES = 2 ** 19;
/** What a memory grows to, times what is asked for, but by so much at most: strict limits of a system count what is not touched, too. */
const AHEAD = 4;
const MOST_AHEAD_BYTES = 2 ** 28;

const wide = (initial: number, maximum: number): MemoryDescriptor => ({
  address: 'i64',
  initial: BigInt(initial),
  maximum: BigInt(maximum),
});
/** Node.js 22 has no addresses of 64 bits: 4 GiB at most then. */
const isWideKnown = ((): boolean => {
  try {
    return new Memory(wide(0, 1)).buffer.byteLength === 0;
  } catch {
    return false;
  }
})();
/** Address space of one array: all that 32 bits can tell apart, but its end, and beyond that as good as for ever. */
const NARROW_PAGES = 2 ** 16 - 1;
const WIDE_PAGES = 2 ** 17;
/** So many slots fit into the first. */
export const NARROW_SLOTS = (NARROW_PAGES * PAGE_BYTES - HEADER_BYTES) / SLOT_BYTES;
const NOTHING = new Int32Array(2);

/** Makes code for a memory whose slots begin at HEADER_BYTES; throws where the platform knows no such code. */
export type Compiler<Code> = (memory: PagedMemory) => Code;

export interface SlotsOptions {
  /** False: keys are found and moved by TypeScript, as where there is no WebAssembly. */
  compiles?: boolean;
  /** Of 64 KiB: what addresses of 32 bits are taken for. */
  narrowPages?: number;
}

export class GrowingSlots<Code> {
  readonly #budget: MemoryBudget;
  readonly #compiler: Compiler<Code>;
  readonly #options: Required<SlotsOptions>;
  #memory: PagedMemory | null = null;
  #byteLength = 0;
  /** Two words a slot, or somewhat more of them; all zero where nothing was written. Ask again after every growth. */
  words: Int32Array = NOTHING;
  /** What works on it; null where that is left to JavaScript: in small ones, and beyond 4 GiB. */
  compiled: Code | null = null;
  #isNarrow = false;
  /** Address space that was had. No bound to a small one, which is copied at once. */
  #mostBytes = Number.POSITIVE_INFINITY;

  constructor(budget: MemoryBudget, compiler: Compiler<Code>, { compiles = true, narrowPages = NARROW_PAGES }: SlotsOptions = {}) {
    this.#budget = budget;
    this.#compiler = compiler;
    this.#options = { compiles, narrowPages };
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  /** Whether it can grow to so many slots in place, as far as addresses go: a large one that is copied cannot. */
  reaches(slots: number): boolean {
    return bytesOf(slots) <= this.#mostBytes;
  }

  /** Room for so many slots; what is there stays. Throws `state_memory_full` with nothing changed. */
  grow(slots: number): void {
    const bytes = bytesOf(slots);
    const before = this.#byteLength;
    if (bytes <= before) return;
    this.#budget.reserve(bytes - before);
    try {
      if (this.#memory === null) this.#replace(bytes);
      else this.#reach(this.#memory, bytes);
    } catch (error) {
      this.#budget.release(bytes - before);
      throw error instanceof RangeError ? this.full(bytes) : error;
    }
    this.#byteLength = bytes;
  }

  /** Gives all of it up. */
  release(): void {
    this.#budget.release(this.#byteLength);
    this.#memory = null;
    this.#mostBytes = Number.POSITIVE_INFINITY;
    this.compiled = null;
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
    const isSmall = bytes <= SMALL_BYTES;
    const { compiles, narrowPages } = this.#options;
    const isNarrow = bytes <= narrowPages * PAGE_BYTES;
    const reserved = isSmall || !hasWebAssembly ? null : reserve(bytes / PAGE_BYTES, isNarrow ? narrowPages : null);
    const memory = reserved?.memory ?? null;
    const words = memory === null ? new Int32Array(bytes / 4) : wordsOf(memory);
    words.set(this.words);
    this.words = words;
    this.compiled = memory !== null && isNarrow && compiles ? this.#compile(memory) : null;
    this.#isNarrow = isNarrow;
    this.#memory = memory;
    if (isSmall) this.#mostBytes = Number.POSITIVE_INFINITY;
    else this.#mostBytes = reserved === null ? bytes : reserved.pages * PAGE_BYTES;
  }

  /**
   * Goes ahead of what is asked for, where it can: that is not taken before it is touched, and V8, which has another buffer for all of the
   * memory after each growth, takes that for so much made anew, and collects its whole heap for it.
   */
  #reach(memory: PagedMemory, bytes: number): void {
    const has = memory.buffer.byteLength;
    if (bytes <= has) return;
    const ahead = Math.max(bytes, Math.min(this.#mostBytes, AHEAD * bytes, bytes + MOST_AHEAD_BYTES));
    const grow = (to: number): void => memory.grow(this.#isNarrow ? (to - has) / PAGE_BYTES : BigInt((to - has) / PAGE_BYTES));
    try {
      grow(ahead);
    } catch {
      grow(bytes);
    }
    this.words = wordsOf(memory);
  }

  #compile(memory: PagedMemory): Code | null {
    try {
      return this.#compiler(memory);
    } catch {
      return null;
    }
  }
}

const wordsOf = (memory: PagedMemory): Int32Array => new Int32Array(memory.buffer, HEADER_BYTES);

function bytesOf(slots: number): number {
  const bytes = slots * SLOT_BYTES;
  return bytes <= SMALL_BYTES ? bytes : Math.ceil((bytes + HEADER_BYTES) / PAGE_BYTES) * PAGE_BYTES;
}

/** Less address space where the system refuses the usual amount. */
function reserve(initial: number, narrowPages: number | null): { memory: PagedMemory; pages: number } {
  if (narrowPages === null && !isWideKnown) throw new RangeError('there are no addresses of 64 bits');
  for (let maximum = Math.max(initial, narrowPages ?? WIDE_PAGES); ; maximum = Math.max(initial, Math.floor(maximum / 2))) {
    try {
      return { memory: new Memory(narrowPages === null ? wide(initial, maximum) : { initial, maximum }), pages: maximum };
    } catch (error) {
      if (maximum === initial) throw error;
    }
  }
}
