/**
 * Keys that a fingerprint table cannot hold, by a Map: those of a bucket that it cannot tell apart yet, and those without room near
 * their home. Nearly always empty; counted in the budget like all else.
 */
import { StreamError } from '../errors.ts';
import type { MemoryBudget } from './memory-budget.ts';

/** Of a Map's entry with its BigInt, measured. */
const ENTRY_BYTES = 112;
/** A Map holds 2^24 entries and throws. */
const MOST = 16_000_000;
const SEEN = 2 ** 13;

const keyOf = (hi: number, lo: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

export class OutsideKeys {
  readonly #budget: MemoryBudget;
  readonly #buckets = new Map<bigint, number>();
  /** By the low bits of a hash: whether one of these was added since the map was last empty. For a BigInt each would be dear. */
  readonly #seen = new Uint8Array(SEEN);

  /** How many there are; a field, for it is asked at every look-up. */
  size = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get byteLength(): number {
    return this.size * ENTRY_BYTES;
  }

  has(hi: number, lo: number): boolean {
    return this.size > 0 && this.#seen[lo & (SEEN - 1)] === 1 && this.#buckets.has(keyOf(hi, lo));
  }

  /** Of a key that is not there. Throws `state_memory_full`, with nothing entered. */
  add(hi: number, lo: number, bucket: number): void {
    if (this.size >= MOST) {
      throw new StreamError(
        'state_memory_full',
        `${MOST} keys lie outside the table: their event times are days ahead of the watermark. Find the producer whose clock is wrong.`,
      );
    }
    this.#budget.reserve(ENTRY_BYTES);
    this.#set(hi, lo, bucket);
  }

  /** As `add`, for a key that has been counted in the table: never refused, for it must not be lost. */
  keep(hi: number, lo: number, bucket: number): void {
    this.#budget.take(ENTRY_BYTES);
    this.#set(hi, lo, bucket);
  }

  forEach(visit: (hi: number, lo: number, bucket: number) => void): void {
    for (const [key, bucket] of this.#buckets) visit(Number(key >> 32n), Number(key & 0xffff_ffffn), bucket);
  }

  /** Offers each key, which is none of these meanwhile; what is refused, or throws, stays. */
  offer(take: (hi: number, lo: number, bucket: number) => boolean): void {
    for (const [key, bucket] of [...this.#buckets]) {
      if (!take(Number(key >> 32n), Number(key & 0xffff_ffffn), bucket)) continue;
      if (this.#buckets.delete(key)) this.#budget.release(ENTRY_BYTES);
    }
    this.size = this.#buckets.size;
    if (this.size === 0) this.#seen.fill(0);
  }

  clear(): void {
    this.#budget.release(this.byteLength);
    this.#buckets.clear();
    this.size = 0;
    this.#seen.fill(0);
  }

  #set(hi: number, lo: number, bucket: number): void {
    this.#buckets.set(keyOf(hi, lo), bucket);
    this.size = this.#buckets.size;
    this.#seen[lo & (SEEN - 1)] = 1;
  }
}
