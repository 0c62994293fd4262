/** One limit on the bytes of all stores of a process (STATE_MEMORY_BYTES). */

import { StreamError } from '../errors.ts';

export class MemoryBudget {
  readonly limitBytes: number;
  #usedBytes = 0;

  /** Without a limit nothing is ever refused, but use is still counted. */
  constructor(limitBytes = Number.POSITIVE_INFINITY) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Ask before allocating. Throws `state_memory_full` and changes nothing when the limit would be passed. */
  reserve(bytes: number): void {
    if (this.#usedBytes + bytes > this.limitBytes) {
      throw new StreamError(
        'state_memory_full',
        `The state needs ${this.#usedBytes + bytes} bytes of memory and STATE_MEMORY_BYTES allows ${this.limitBytes}. ` +
          'Nothing was evicted. Raise it, spread the partitions over more processes, use more partitions, or shorten the dedup TTL.',
      );
    }
    this.#usedBytes += bytes;
  }

  /** Counts what cannot be done without. */
  take(bytes: number): void {
    this.#usedBytes += bytes;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

/** Below this, giving memory back costs more than it brings. */
const WORTH_FREEING_BYTES = 64 * 1024;

/** Gives the memory of a large array, all of it, back at once; left to the garbage collector, growing tables hold half as much again. */
export function freeNow(array: Int32Array | Uint16Array | Uint8Array): void {
  if (array.byteLength < WORTH_FREEING_BYTES) return;
  (array.buffer as ArrayBuffer & { transfer(bytes: number): ArrayBuffer }).transfer(0);
}
