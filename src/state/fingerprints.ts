/**
 * Which keys were seen, exactly, within a TTL of event time. One table for all buckets: a slot carries its bucket as a tag,
 * so one probe answers for a whole day. Keys are 64-bit seeded hashes.
 */
import { StreamError } from '../errors.ts';
import { ADDED, type AddOutcome, BUCKET_GONE, PRESENT } from './add-outcome.ts';
import type { BucketTags } from './bucket-tags.ts';
import { BucketedTable } from './bucketed-table.ts';
import { type KeyVisitor, TAGS } from './fingerprint-lines.ts';
import type { FingerprintTable } from './fingerprint-table.ts';
import type { KeyBlock } from './key-block.ts';
import { MemoryBudget } from './memory-budget.ts';
import { SWEEP_STEPS, SweepTimes } from './sweep-times.ts';
import { TableWalk } from './table-walk.ts';

export { ADDED, type AddOutcome, BUCKET_GONE, PRESENT } from './add-outcome.ts';
export { MemoryBudget } from './memory-budget.ts';
export { TableWalk } from './table-walk.ts';

/** The most slots of a step, a few ms. */
const MAX_STEP = 2 ** 18;
const MIN_STEP = 2 ** 14;
/** Those of a step while keys wait outside the table for a tag. */
const URGENT_STEP = 2 ** 13;
/** Table work is done after so many new slots, and moves so many slots for each: a pass ends with 4 % more keys. */
const WORK_EVERY = 512;
const SLOTS_EACH = 32;
/** Beyond this many keys outside, or this load, the table is put in order at once; */
const MAX_OUTSIDE = 100_000;
const FULL = 0.93;
/** beyond so many without room in a table that is at least half full it grows. */
const MAX_STRAYS = 64;

export interface FingerprintOptions {
  /** A key lives in bucket floor(ts / bucketMs), */
  bucketMs: number;
  /** which is live as long as its end + ttlMs > watermark. */
  ttlMs: number;
  budget?: MemoryBudget;
}

export type KeyInBucket = (hi: number, lo: number, bucket: number) => void;

export class FingerprintStore {
  readonly bucketMs: number;
  readonly #ttlMs: number;
  /** How many buckets are live at once, the one ahead of the watermark included. */
  readonly #span: number;
  readonly #times: SweepTimes;
  readonly #keys: BucketedTable;
  readonly #table: FingerprintTable;
  readonly #tags: BucketTags;
  #watermarkMs = Number.NEGATIVE_INFINITY;
  /** The lowest bucket that the table may hold once the pass under way has ended. */
  #passFloor = Number.NEGATIVE_INFINITY;
  /** The walk that is under way. */
  #walk: TableWalk | null = null;

  /** Throws RangeError when the TTL holds more buckets than tags can tell apart. */
  constructor({ bucketMs, ttlMs, budget = new MemoryBudget() }: FingerprintOptions) {
    this.#span = Math.ceil(ttlMs / bucketMs) + 2;
    if (!(bucketMs > 0) || !(ttlMs >= 0) || !(this.#span < TAGS)) {
      throw new RangeError(`a TTL of ${ttlMs} ms takes ${this.#span} buckets of ${bucketMs} ms, and at most ${TAGS - 1} can be told apart`);
    }
    this.bucketMs = bucketMs;
    this.#ttlMs = ttlMs;
    this.#times = new SweepTimes(bucketMs, this.#span);
    this.#keys = new BucketedTable(bucketMs, budget);
    this.#table = this.#keys.table;
    this.#tags = this.#keys.tags;
  }

  /** Live keys. */
  get size(): number {
    return this.#keys.size;
  }

  get byteLength(): number {
    return this.#keys.byteLength;
  }

  /** No key lives in an earlier bucket. */
  get oldestBucket(): number {
    return this.#tags.oldest;
  }

  /** Below that watermark no key expires: whether `advance` is told of it sooner or later changes no answer. */
  get expiresMs(): number {
    return (this.#tags.oldest + 1) * this.bucketMs + this.#ttlMs;
  }

  bucketLive(ts: number): boolean {
    return Math.floor(ts / this.bucketMs) >= this.#tags.oldest;
  }

  has(hi: number, lo: number): boolean {
    return this.#keys.has(hi, lo);
  }

  /**
   * Reads the slots of a batch of keys (`from` to `to`, exclusive; 64 or so) so that they wait in the cache for `addIfAbsent`
   * or `has`: their misses then overlap. Halves the cost of a key in a large table. The result means nothing.
   */
  warm(his: Uint32Array, { from, to }: { from: number; to: number }): number {
    return this.#table.warm(his, from, to);
  }

  /** Looks up and enters in one probe. Throws `state_memory_full`, with nothing entered. */
  addIfAbsent(hi: number, lo: number, ts: number): AddOutcome {
    const keys = this.#keys;
    const bucket = Math.floor(ts / this.bucketMs);
    const isReady = keys.untilWork > 0 && bucket >= this.#tags.oldest && this.#tags.holds(bucket);
    if (isReady && keys.outside.size === 0) return keys.enter(hi, lo, bucket);
    if (this.has(hi, lo)) return PRESENT;
    if (bucket < this.#tags.oldest) return BUCKET_GONE;
    if (isReady || this.#makeReady(bucket)) return keys.enter(hi, lo, bucket);
    keys.addOutside(hi, lo, bucket);
    return ADDED;
  }

  /** As `addIfAbsent` for each key, one after the other: what came of them stands in the block then. Throws as it does, some of them entered. */
  addBlock(block: KeyBlock): void {
    const keys = this.#keys;
    if (keys.untilWork < block.size && keys.outside.size === 0) this.#workAhead(block);
    if (keys.isReadyFor(block.size) && keys.enterBlock(block)) return;
    this.#table.warm(block.his, 0, block.size);
    block.enterEach((hi, lo, i) => this.addIfAbsent(hi, lo, block.times[i]));
  }

  /** Table work that comes due within a block; a table that is full may not need any, for the keys may be there. */
  #workAhead({ size, latestMs }: KeyBlock): void {
    const bucket = Math.floor(latestMs / this.bucketMs);
    const { moving, used, limit } = this.#table;
    if (size > 0 && (moving || used < limit) && this.#tags.holds(bucket)) this.#makeReady(bucket);
  }

  /** Moves the watermark; a lower one changes nothing. Does a bounded piece of upkeep at most, and that not at every call. */
  advance(watermarkMs: number): void {
    if (watermarkMs > this.#watermarkMs) this.#watermarkMs = watermarkMs;
    if (this.#watermarkMs < this.#times.dueMs || this.#watermarkMs === Number.NEGATIVE_INFINITY) return;
    this.#expire();
    if (!this.#times.mayKeepUp(this.#watermarkMs)) return;
    this.#sweep();
    this.#times.schedule(this.expiresMs, this.#table.moving);
  }

  /** Makes room for so many keys in all, as far as the budget goes. Without it the table would grow as they come. */
  reserve(keys: number): void {
    this.#stepPass(Number.POSITIVE_INFINITY);
    const floor = this.#tags.oldest;
    try {
      this.#table.reserve(keys);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
    }
    this.#passFloor = floor;
    this.#stepPass(Number.POSITIVE_INFINITY);
    this.#keys.untilWork = 0;
  }

  /** Visits every live key. Nothing may be added meanwhile. */
  forEach(visit: KeyInBucket): void {
    this.walk(new TableWalk(), Number.POSITIVE_INFINITY, visit);
  }

  /**
   * Goes on with a walk over the table for about `count` slots; true at its end. Between two calls anything may happen: a key
   * that is there all the time is visited, and once unless it was outside; one added meanwhile perhaps.
   */
  walk(place: TableWalk, count: number, visit: KeyInBucket): boolean {
    this.#walk = place;
    const withBucket: KeyVisitor = (hi, lo, tag) => visit(hi, lo, this.#tags.bucketOf(tag));
    // A pass under way divides the table in two.
    for (let part = 0; part < 2 && place.next < 2 ** 32; part++) place.next = this.#table.visit(place.next, count, withBucket);
    if (place.next < 2 ** 32) return false;
    if (place.next === 2 ** 32) {
      this.#keys.outside.forEach(visit);
      place.visitBroughtIn((hi, lo, bucket) => bucket >= this.#tags.oldest && visit(hi, lo, bucket));
    }
    place.next = Number.POSITIVE_INFINITY;
    this.#walk = null;
    return true;
  }

  /** Forgets all keys; the watermark stays. */
  clear(): void {
    this.#keys.outside.clear();
    this.#emptyTable();
  }

  /** Table work that has become due, and room for a live bucket in its range: false where there is none yet. */
  #makeReady(bucket: number): boolean {
    if (this.#tags.empty) this.#tags.begin(Math.max(this.#tags.oldest, bucket - this.#span));
    const isAhead = bucket >= this.#tags.base + TAGS;
    const mayFit = isAhead && this.#tags.oldest > bucket - TAGS;
    const table = this.#table;
    const isTight = this.#keys.strays >= MAX_STRAYS && table.used >= table.limit / 2;
    if (!table.moving && (table.used >= table.limit || mayFit || isTight))
      this.#beginPass(isTight ? table.limit : this.#tags.keys, table.used >= table.limit);
    if (mayFit) this.#stepPass(this.#keys.outside.size < MAX_OUTSIDE ? URGENT_STEP : Number.POSITIVE_INFINITY);
    else if (table.used >= table.capacity * FULL) this.#stepPass(Number.POSITIVE_INFINITY);
    else if (table.moving) this.#stepPass(WORK_EVERY * SLOTS_EACH * (table.used >= table.limit ? 2 : 1));
    this.#keys.untilWork = table.moving ? WORK_EVERY : Math.min(WORK_EVERY, table.limit - table.used);
    return this.#tags.holds(bucket);
  }

  /** A table that may not grow is cleaned, where that helps or it need not grow. Else throws `state_memory_full`. */
  #beginPass(keys: number, isFull: boolean): void {
    const table = this.#table;
    const floor = this.#tags.oldest;
    this.#keys.strays = 0;
    try {
      table.begin(keys);
    } catch (error) {
      if (!(error instanceof StreamError) || (isFull && this.#tags.keys >= table.used)) throw error;
      table.clean();
    }
    this.#passFloor = floor;
    this.#times.swept(this.#watermarkMs);
    if (!this.#table.moving) this.#passed();
  }

  #stepPass(slots: number): void {
    for (let left = slots; this.#table.moving && left > 0; left -= MAX_STEP) {
      if (this.#table.step(Math.min(left, MAX_STEP))) this.#passed();
    }
  }

  /** The table holds nothing any more that had expired when the pass began. */
  #passed(): void {
    this.#keys.tellLive();
    if (this.#table.isSparse(this.#tags.keys)) this.#times.hurry(this.#watermarkMs);
    if (this.#passFloor > this.#tags.base) this.#tags.begin(this.#passFloor);
    if (this.#keys.outside.size > 0) this.#keys.bringIn(this.#walk);
  }

  #expire(): void {
    const minLiveBucket = Math.floor((this.#watermarkMs - this.#ttlMs) / this.bucketMs);
    if (minLiveBucket <= this.#tags.oldest) return;
    this.#tags.expire(minLiveBucket);
    if (!this.#tags.empty && this.#tags.keys === 0) this.#emptyTable();
    if (this.#keys.outside.size > 0) this.#keys.bringIn(this.#walk);
  }

  /** One step at most of what the watermark has made due. */
  #sweep(): void {
    const table = this.#table;
    if (this.#tags.empty || !(table.moving || this.#times.sweepIsDue(this.#watermarkMs))) return;
    if (!table.moving) this.#beginSweep();
    else if (this.#times.takeStep(this.#watermarkMs)) {
      this.#stepPass(Math.min(MAX_STEP, Math.max(MIN_STEP, Math.ceil(table.capacity / SWEEP_STEPS))));
    }
  }

  #beginSweep(): void {
    const { keys } = this.#tags;
    if (this.#table.used > keys || this.#table.isSparse(keys)) {
      this.#beginPass(keys, false);
      return;
    }
    // Nothing in it has expired.
    if (this.#tags.oldest > this.#tags.base) this.#tags.begin(this.#tags.oldest);
    this.#times.swept(this.#watermarkMs);
  }

  #emptyTable(): void {
    this.#keys.clearTable();
    this.#times.swept(this.#watermarkMs);
    this.#times.dueMs = Number.NEGATIVE_INFINITY;
  }
}
