/**
 * An array of 8-byte slots that grows and shrinks in place: address space is reserved, and memory taken as it is touched. What
 * is no longer needed goes back in pieces, for to free a gigabyte takes a tenth of a second.
 */
import { StreamError } from '../errors.ts';
import type { MemoryBudget } from './memory-budget.ts';

export const SLOT_BYTES = 8;
/** Reserved at first, and as good as for ever. */
const SMALL_BYTES = 2 ** 20;
const LARGE_BYTES = 2 ** 33;
const PIECE_BYTES = 2 ** 24;

const reserve = (bytes: number): ArrayBuffer => new ArrayBuffer(0, { maxByteLength: bytes });
/** Of what holds nothing. */
const NOTHING = new Int32Array(new ArrayBuffer(2 * SLOT_BYTES, { maxByteLength: 2 * SLOT_BYTES }));

export class ReservedSlots {
  readonly #budget: MemoryBudget;
  #buffer: ArrayBuffer | null = null;
  /** What was emptied, and is on its way out. */
  #dropped: ArrayBuffer | null = null;
  #wantedBytes = 0;
  /** Two words a slot; all zero where nothing was written. Ask again after every change of size. */
  words: Int32Array = NOTHING;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get byteLength(): number {
    return (this.#buffer?.byteLength ?? 0) + (this.#dropped?.byteLength ?? 0);
  }

  get trimming(): boolean {
    return this.#dropped !== null || (this.#buffer?.byteLength ?? 0) > this.#wantedBytes;
  }

  /** Keeps what is there. Throws `state_memory_full` with nothing changed. */
  resize(slots: number): void {
    const bytes = slots * SLOT_BYTES;
    const before = this.#buffer?.byteLength ?? 0;
    if (bytes > before) this.#reserve(bytes - before);
    try {
      if (this.#buffer === null || bytes > this.#buffer.maxByteLength) this.#move(bytes);
      (this.#buffer as ArrayBuffer).resize(bytes);
    } catch (error) {
      if (bytes > before) this.#budget.release(bytes - before);
      throw error instanceof RangeError ? this.full(bytes) : error;
    }
    if (bytes < before) this.#budget.release(before - bytes);
    this.#wantedBytes = bytes;
  }

  /** What lies behind is no longer needed, and all zero. */
  shrinkTo(slots: number): void {
    this.#wantedBytes = slots * SLOT_BYTES;
  }

  drop(atOnce: boolean): void {
    if (this.#dropped !== null) this.#free(this.#dropped);
    this.#dropped = this.#buffer;
    this.#buffer = null;
    this.words = NOTHING;
    this.#wantedBytes = 0;
    if (atOnce && this.#dropped !== null) this.#free(this.#dropped);
    if (atOnce) this.#dropped = null;
  }

  /** Gives one piece back. */
  trim(): void {
    if (this.#dropped !== null) {
      this.#cut(this.#dropped, 0);
      if (this.#dropped.byteLength === 0) this.#dropped = null;
    } else if (this.#buffer !== null) {
      this.#cut(this.#buffer, this.#wantedBytes);
    }
  }

  /** The refusal of the system to give so much to one table. */
  full(bytes: number): StreamError {
    return new StreamError(
      'state_memory_full',
      `One table of the state needs ${bytes} bytes, which this process cannot have. Nothing was evicted. ` +
        'Give it more memory, use more partitions, or shorten the dedup TTL.',
    );
  }

  /** What was emptied goes at once where it is in the way. */
  #reserve(bytes: number): void {
    if (this.#dropped !== null && bytes > this.#budget.limitBytes - this.#budget.usedBytes) {
      this.#free(this.#dropped);
      this.#dropped = null;
    }
    this.#budget.reserve(bytes);
  }

  #cut(buffer: ArrayBuffer, least: number): void {
    const bytes = Math.max(least, buffer.byteLength - PIECE_BYTES);
    this.#budget.release(buffer.byteLength - bytes);
    buffer.resize(bytes);
  }

  #free(buffer: ArrayBuffer): void {
    this.#budget.release(buffer.byteLength);
    buffer.transferToFixedLength(0);
  }

  /** To a larger reservation; where the system refuses the usual one, to half of it, and so on. */
  #move(bytes: number): void {
    let wanted = bytes <= SMALL_BYTES ? SMALL_BYTES : Math.max(bytes, Math.min(LARGE_BYTES, this.#budget.limitBytes));
    let buffer: ArrayBuffer | null = null;
    while (buffer === null) {
      try {
        buffer = reserve(Math.floor(wanted));
      } catch (error) {
        if (wanted <= bytes) throw error;
        wanted = Math.max(bytes, wanted / 2);
      }
    }
    const old = this.#buffer;
    const kept = this.words;
    buffer.resize(bytes);
    this.words = new Int32Array(buffer);
    if (old !== null) {
      this.words.set(kept.subarray(0, Math.min(kept.length, this.words.length)));
      old.transferToFixedLength(0);
    }
    this.#buffer = buffer;
  }
}
