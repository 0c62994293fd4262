/**
 * Which keys were seen, exactly, within a TTL of event time. One table for all buckets: a slot carries its bucket as a tag,
 * so one probe answers for a whole day. Keys are 64-bit seeded hashes.
 */

import { FINGERPRINT_MASK, type KeyVisitor, TAG_SHIFT, TAGS } from './fingerprint-slots.ts';
import { FingerprintTable, NO_ROOM, PRESENT_AT } from './fingerprint-table.ts';
import { MemoryBudget } from './memory-budget.ts';

export { MemoryBudget } from './memory-budget.ts';

/** A sweep begins at most so many buckets of watermark after the one before. */
const SWEEP_BUCKETS = 8;
/** Of the buckets that can be told apart and are not live, that long at most: it ends well before a tag comes round again. */
const SWEEP_SHARE = 1 / 3;
/** A sweep is done in half of that time, in so many steps. */
const SWEEP_STEPS = 128;
/** The most slots of a step, a few ms. */
const MAX_STEP = 2 ** 20;
/** Those of a step while keys wait outside the table for a tag. */
const URGENT_STEP = 2 ** 13;
/** Table work is done after so many new slots, and moves so many slots for each: then a pass ends with a sixteenth more keys. */
const WORK_EVERY = 2048;
const SLOTS_EACH = 16;
/** Beyond this many keys outside, or this load, the table is put in order at once. */
const MAX_OUTSIDE = 100_000;
const FULL = 0.93;

export const ADDED = 0;
export const PRESENT = 1;
/** Absent, and not entered because its bucket is gone. */
export const BUCKET_GONE = 2;
export type AddOutcome = typeof ADDED | typeof PRESENT | typeof BUCKET_GONE;

export interface FingerprintOptions {
  /** A key lives in bucket floor(ts / bucketMs), */
  bucketMs: number;
  /** which is live as long as its end + ttlMs > watermark. */
  ttlMs: number;
  budget?: MemoryBudget;
}

/** Where a walk over a table is: the next hash. */
export class TableWalk {
  next = 0;
}

export class FingerprintStore {
  readonly #bucketMs: number;
  readonly #ttlMs: number;
  /** How many buckets are live at once, the one ahead of the watermark included. */
  readonly #span: number;
  /** Watermark between two sweeps. */
  readonly #sweepMs: number;
  readonly #table: FingerprintTable;
  /** By tag: 1 when its bucket is live. */
  readonly #live = new Uint8Array(TAGS + 1);
  /** By tag: keys. */
  readonly #keys = new Float64Array(TAGS + 1);
  #minLiveBucket = Number.NEGATIVE_INFINITY;
  /** The table can tell buckets `#base` to `#base + 62` apart; NaN while it is empty. */
  #base = Number.NaN;
  /** Tag of bucket `#base`. */
  #baseTag = 1;
  /** Live keys of buckets outside that range, or without room near their home. Nearly always empty. */
  readonly #outside = new Map<bigint, number>();
  #watermarkMs = Number.NEGATIVE_INFINITY;
  /** The watermark at which there is something to do. */
  #dueMs = Number.NEGATIVE_INFINITY;
  #sweepDueMs = Number.POSITIVE_INFINITY;
  #stepDueMs = Number.POSITIVE_INFINITY;
  /** The lowest bucket that the table may hold once the pass under way has ended. */
  #passFloor = Number.NEGATIVE_INFINITY;
  /** New slots until there is table work to do. */
  #untilWork = 0;
  readonly #stray: KeyVisitor = (hi, lo, tag) => {
    this.#keys[tag]--;
    this.#outside.set(bigKey(hi, lo), this.#bucketOf(tag));
  };

  /** Throws RangeError when the TTL holds more buckets than tags can tell apart. */
  constructor({ bucketMs, ttlMs, budget = new MemoryBudget() }: FingerprintOptions) {
    this.#span = Math.ceil(ttlMs / bucketMs) + 2;
    if (!(bucketMs > 0) || !(ttlMs >= 0) || !(this.#span < TAGS)) {
      throw new RangeError(`a TTL of ${ttlMs} ms takes ${this.#span} buckets of ${bucketMs} ms, and at most ${TAGS - 1} can be told apart`);
    }
    this.#bucketMs = bucketMs;
    this.#ttlMs = ttlMs;
    this.#sweepMs = bucketMs * Math.min(SWEEP_BUCKETS, (TAGS - this.#span) * SWEEP_SHARE);
    this.#table = new FingerprintTable(budget);
  }

  /** Live keys. */
  get size(): number {
    let sum = this.#outside.size;
    for (let tag = 1; tag <= TAGS; tag++) sum += this.#keys[tag];
    return sum;
  }

  get byteLength(): number {
    return this.#table.byteLength;
  }

  bucketLive(ts: number): boolean {
    return Math.floor(ts / this.#bucketMs) >= this.#minLiveBucket;
  }

  has(hi: number, lo: number): boolean {
    if (this.#table.find(hi, lo | 0, this.#live) === PRESENT_AT) return true;
    return this.#outside.size > 0 && this.#outside.has(bigKey(hi, lo));
  }

  /**
   * Reads the slots of a batch of keys (`from` to `to`, exclusive; 64 or so) so that they wait in the cache for `addIfAbsent`
   * or `has`: their misses then overlap. Halves the cost of a key in a large table. The result means nothing.
   */
  warm(his: Uint32Array, _los: Uint32Array, { from, to }: { from: number; to: number }): number {
    const table = this.#table;
    let read = 0;
    for (let i = from; i < to; i++) read ^= table.atHome(his[i]);
    return read;
  }

  /** Looks up and enters in one probe. Throws `state_memory_full`, with nothing entered. */
  addIfAbsent(hi: number, lo: number, ts: number): AddOutcome {
    const bucket = Math.floor(ts / this.#bucketMs);
    const low = lo | 0;
    const table = this.#table;
    let index = table.find(hi, low, this.#live);
    if (index === PRESENT_AT || (this.#outside.size > 0 && this.#outside.has(bigKey(hi, lo)))) return PRESENT;
    if (bucket < this.#minLiveBucket) return BUCKET_GONE;
    const inRange = bucket >= this.#base && bucket < this.#base + TAGS;
    if (this.#untilWork <= 0 || !inRange) {
      const hasTag = this.#makeReady(bucket);
      index = hasTag ? table.find(hi, low, this.#live) : NO_ROOM;
    }
    if (index === NO_ROOM) {
      this.#outside.set(bigKey(hi, lo), bucket);
      return ADDED;
    }
    const tag = this.#tagOf(bucket);
    const { used } = table;
    table.put(index, (tag << TAG_SHIFT) | (hi & FINGERPRINT_MASK), low);
    this.#untilWork -= table.used - used;
    this.#keys[tag]++;
    return ADDED;
  }

  /** Moves the watermark; a lower one changes nothing. Does a bounded piece of the sweep at most. */
  advance(watermarkMs: number): void {
    if (watermarkMs > this.#watermarkMs) this.#watermarkMs = watermarkMs;
    if (this.#watermarkMs < this.#dueMs || this.#watermarkMs === Number.NEGATIVE_INFINITY) return;
    this.#expire();
    this.#sweep();
    if (this.#table.trimming) this.#table.trim();
    this.#dueMs = this.#table.trimming ? Number.NEGATIVE_INFINITY : this.#nextDueMs();
  }

  /** Visits every live key. Nothing may be added meanwhile. */
  forEach(visit: (hi: number, lo: number, bucket: number) => void): void {
    this.walk(new TableWalk(), Number.POSITIVE_INFINITY, visit);
  }

  /**
   * Goes on with a walk over the table for about `count` slots; true at its end. Between two calls anything may happen: a key
   * that is there all the time is visited once, one added meanwhile perhaps.
   */
  walk(place: TableWalk, count: number, visit: (hi: number, lo: number, bucket: number) => void): boolean {
    const live = this.#live;
    const withBucket: KeyVisitor = (hi, lo, tag) => visit(hi, lo, this.#bucketOf(tag));
    // A pass under way divides the table in two.
    for (let part = 0; part < 2 && place.next < 2 ** 32; part++) place.next = this.#table.visit(place.next, { count, live }, withBucket);
    if (place.next < 2 ** 32) return false;
    for (const [key, bucket] of this.#outside) visit(Number(key >> 32n), Number(key & 0xffff_ffffn), bucket);
    return true;
  }

  /** Forgets all keys; the watermark stays. */
  clear(): void {
    this.#outside.clear();
    this.#emptyTable(true);
  }

  #tagOf(bucket: number): number {
    const tag = bucket - this.#base + this.#baseTag;
    return tag > TAGS ? tag - TAGS : tag;
  }

  #bucketOf(tag: number): number {
    return this.#base + ((tag - this.#baseTag + TAGS) % TAGS);
  }

  get #inTable(): number {
    return this.size - this.#outside.size;
  }

  /** Table work that has become due, and room for a live bucket in its range: false where there is none yet. */
  #makeReady(bucket: number): boolean {
    if (Number.isNaN(this.#base)) this.#setBase(Math.max(this.#minLiveBucket, bucket - this.#span));
    const isAhead = bucket >= this.#base + TAGS;
    const mayFit = isAhead && this.#minLiveBucket > bucket - TAGS;
    const table = this.#table;
    if (table.trimming) table.trim();
    if (!table.moving && (table.used >= table.limit || mayFit)) this.#beginPass();
    if (mayFit) this.#stepPass(this.#outside.size < MAX_OUTSIDE ? URGENT_STEP : Number.POSITIVE_INFINITY);
    else if (table.used >= table.capacity * FULL) this.#stepPass(Number.POSITIVE_INFINITY);
    else if (table.moving) this.#stepPass(WORK_EVERY * SLOTS_EACH * (table.used >= table.limit ? 2 : 1));
    this.#untilWork = table.moving ? WORK_EVERY : Math.min(WORK_EVERY, table.limit - table.used);
    return bucket >= this.#base && bucket < this.#base + TAGS;
  }

  #beginPass(): void {
    const floor = this.#minLiveBucket;
    this.#table.begin(this.#inTable, this.#live, this.#stray);
    this.#passFloor = floor;
    this.#sweepDueMs = this.#watermarkMs === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : this.#watermarkMs + this.#sweepMs;
    this.#stepDueMs = this.#watermarkMs;
    if (!this.#table.moving) this.#passed();
  }

  #stepPass(slots: number): void {
    for (let left = slots; this.#table.moving && left > 0; left -= MAX_STEP) {
      if (this.#table.step(Math.min(left, MAX_STEP), this.#live, this.#stray)) this.#passed();
    }
  }

  /** The table holds nothing any more that had expired when the pass began. */
  #passed(): void {
    this.#stepDueMs = Number.POSITIVE_INFINITY;
    if (this.#passFloor > this.#base) this.#setBase(this.#passFloor);
  }

  #setBase(bucket: number): void {
    this.#base = bucket;
    this.#baseTag = (((bucket % TAGS) + TAGS) % TAGS) + 1;
    this.#markLive();
  }

  /** Says which tags are live, and forgets the counts of the others. */
  #markLive(): void {
    for (let i = 0; i < TAGS; i++) {
      const bucket = this.#base + i;
      const tag = this.#tagOf(bucket);
      this.#live[tag] = bucket >= this.#minLiveBucket ? 1 : 0;
      if (bucket < this.#minLiveBucket) this.#keys[tag] = 0;
    }
  }

  #expire(): void {
    const minLiveBucket = Math.floor((this.#watermarkMs - this.#ttlMs) / this.#bucketMs);
    if (this.#sweepDueMs === Number.POSITIVE_INFINITY) this.#sweepDueMs = this.#watermarkMs + this.#sweepMs;
    if (minLiveBucket <= this.#minLiveBucket) return;
    this.#minLiveBucket = minLiveBucket;
    if (!Number.isNaN(this.#base)) {
      this.#markLive();
      if (this.#inTable === 0) this.#emptyTable(false);
    }
    if (this.#outside.size > 0) this.#bringIn();
  }

  /** One step at most of what the watermark has made due. */
  #sweep(): void {
    if (Number.isNaN(this.#base)) return;
    const table = this.#table;
    if (!table.moving) {
      if (this.#watermarkMs >= this.#sweepDueMs) this.#beginPass();
      return;
    }
    if (this.#watermarkMs < this.#stepDueMs) return;
    this.#stepDueMs += this.#sweepMs / 2 / SWEEP_STEPS;
    this.#stepPass(Math.min(MAX_STEP, Math.ceil(table.capacity / SWEEP_STEPS)));
  }

  #nextDueMs(): number {
    const nextExpiryMs = (this.#minLiveBucket + 1) * this.#bucketMs + this.#ttlMs;
    return Math.min(nextExpiryMs, this.#table.moving ? this.#stepDueMs : this.#sweepDueMs);
  }

  /** Enters what has come into range. */
  #bringIn(): void {
    for (const [key, bucket] of [...this.#outside]) {
      this.#outside.delete(key);
      this.addIfAbsent(Number(key >> 32n), Number(key & 0xffff_ffffn), bucket * this.#bucketMs);
    }
  }

  #emptyTable(atOnce: boolean): void {
    this.#table.clear(atOnce);
    this.#base = Number.NaN;
    this.#live.fill(0);
    this.#keys.fill(0);
    this.#untilWork = 0;
    this.#stepDueMs = Number.POSITIVE_INFINITY;
    this.#sweepDueMs = this.#watermarkMs + this.#sweepMs;
    this.#dueMs = Number.NEGATIVE_INFINITY;
  }
}

const bigKey = (hi: number, lo: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
