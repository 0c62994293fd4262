/**
 * Which keys were seen, exactly, within a TTL of event time. One table for all buckets: a slot carries its bucket as a tag,
 * so one probe answers for a whole day. Keys are 64-bit seeded hashes.
 */

import { FINGERPRINT_MASK, FingerprintSegment, GROWTH, TAG_SHIFT, TAGS } from './fingerprint-segment.ts';
import { MemoryBudget } from './memory-budget.ts';

export { MemoryBudget } from './memory-budget.ts';

/** So many that to rebuild one of a hundred million keys takes 20 ms. A segment is chosen by the top bits of the hash. */
export const SEGMENTS = 128;
const SEGMENT_SHIFT = 25;
const FIRST_CAPACITY = 32;
/** One round of the sweep takes at most this many buckets of watermark. */
const SWEEP_BUCKETS = 8;
/** Of the buckets that can be told apart and are not live, a round takes this share: it ends well before a tag comes round again. */
const SWEEP_SHARE = 1 / 3;

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

/** Where a walk over a table is. */
export class TableWalk {
  segment = 0;
  index = 0;
  /** The segment's array when it was begun: another one means it was rebuilt. */
  slots: Int32Array | null = null;
}

export class FingerprintStore {
  readonly #bucketMs: number;
  readonly #ttlMs: number;
  /** How many buckets are live at once, the one ahead of the watermark included. */
  readonly #span: number;
  /** Watermark between one segment's turn in the sweep and the next one's. */
  readonly #sweepStepMs: number;
  readonly #segments: FingerprintSegment[] = [];
  /** By tag: 1 when its bucket is live. */
  readonly #live = new Uint8Array(TAGS + 1);
  /** By tag: keys. */
  readonly #keys = new Float64Array(TAGS + 1);
  #minLiveBucket = Number.NEGATIVE_INFINITY;
  /** The table can tell buckets `#base` to `#base + 62` apart; NaN while it is empty. */
  #base = Number.NaN;
  /** Tag of bucket `#base`. */
  #baseTag = 1;
  /** Live keys of buckets outside that range. Nearly always empty: only what comes before the watermark that belongs to it. */
  readonly #outside = new Map<bigint, number>();
  #watermarkMs = Number.NEGATIVE_INFINITY;
  /** The watermark at which there is something to do. */
  #dueMs = Number.NEGATIVE_INFINITY;
  #sweepDueMs = Number.POSITIVE_INFINITY;
  #sweepCursor = 0;

  /** Throws RangeError when the TTL holds more buckets than tags can tell apart. */
  constructor({ bucketMs, ttlMs, budget = new MemoryBudget() }: FingerprintOptions) {
    this.#span = Math.ceil(ttlMs / bucketMs) + 2;
    if (!(bucketMs > 0) || !(ttlMs >= 0) || !(this.#span < TAGS)) {
      throw new RangeError(`a TTL of ${ttlMs} ms takes ${this.#span} buckets of ${bucketMs} ms, and at most ${TAGS - 1} can be told apart`);
    }
    this.#bucketMs = bucketMs;
    this.#ttlMs = ttlMs;
    const sweepBuckets = Math.min(SWEEP_BUCKETS, (TAGS - this.#span) * SWEEP_SHARE);
    this.#sweepStepMs = (bucketMs * sweepBuckets) / SEGMENTS;
    // Sizes that differ, so that the segments do not all grow at the same moment.
    for (let i = 0; i < SEGMENTS; i++) this.#segments.push(new FingerprintSegment(FIRST_CAPACITY * GROWTH ** (i / SEGMENTS), budget));
  }

  /** Live keys. */
  get size(): number {
    let sum = this.#outside.size;
    for (let tag = 1; tag <= TAGS; tag++) sum += this.#keys[tag];
    return sum;
  }

  get byteLength(): number {
    let sum = 0;
    for (const segment of this.#segments) sum += segment.byteLength;
    return sum;
  }

  bucketLive(ts: number): boolean {
    return Math.floor(ts / this.#bucketMs) >= this.#minLiveBucket;
  }

  has(hi: number, lo: number): boolean {
    if (this.#segments[hi >>> SEGMENT_SHIFT].has(hi & FINGERPRINT_MASK, lo | 0, this.#live)) return true;
    return this.#outside.size > 0 && this.#outside.has(bigKey(hi, lo));
  }

  /**
   * Reads the slots of a batch of keys (`from` to `to`, exclusive; 64 or so) so that they wait in the cache for `addIfAbsent`
   * or `has`: their misses then overlap. Halves the cost of a key in a large table. The result means nothing.
   */
  warm(his: Uint32Array, los: Uint32Array, { from, to }: { from: number; to: number }): number {
    let read = 0;
    for (let i = from; i < to; i++) read ^= this.#segments[his[i] >>> SEGMENT_SHIFT].firstProbed(los[i]);
    return read;
  }

  /** Enters a key that is absent. One whose bucket is gone is not entered. */
  add(hi: number, lo: number, ts: number): void {
    this.addIfAbsent(hi, lo, ts);
  }

  /** Looks up and enters in one probe. Throws `state_memory_full`, with nothing entered. */
  addIfAbsent(hi: number, lo: number, ts: number): AddOutcome {
    const bucket = Math.floor(ts / this.#bucketMs);
    const word = hi & FINGERPRINT_MASK;
    const low = lo | 0;
    const segment = this.#segments[hi >>> SEGMENT_SHIFT];
    let index = segment.find(word, low, this.#live);
    if (index < 0 || (this.#outside.size > 0 && this.#outside.has(bigKey(hi, lo)))) return PRESENT;
    if (bucket < this.#minLiveBucket) return BUCKET_GONE;
    if (!(bucket >= this.#base && bucket < this.#base + TAGS)) {
      if (!this.#makeRoomFor(bucket)) {
        this.#outside.set(bigKey(hi, lo), bucket);
        return ADDED;
      }
      index = segment.find(word, low, this.#live);
    }
    if (segment.used >= segment.limit && segment.slots[index] === 0) {
      this.#rehash(segment);
      index = segment.find(word, low, this.#live);
    }
    const tag = this.#tagOf(bucket);
    segment.put(index, (tag << TAG_SHIFT) | word, low);
    this.#keys[tag]++;
    return ADDED;
  }

  /** Moves the watermark; a lower one changes nothing. Does a bounded piece of the sweep at most. */
  advance(watermarkMs: number): void {
    if (watermarkMs > this.#watermarkMs) this.#watermarkMs = watermarkMs;
    if (this.#watermarkMs < this.#dueMs || this.#watermarkMs === Number.NEGATIVE_INFINITY) return;
    this.#expire();
    if (this.#sweepDueMs <= this.#watermarkMs) this.#sweepOne();
    const nextExpiryMs = (this.#minLiveBucket + 1) * this.#bucketMs + this.#ttlMs;
    this.#dueMs = Math.min(nextExpiryMs, this.#sweepDueMs);
  }

  /** Visits every live key. Nothing may be added meanwhile. */
  forEach(visit: (hi: number, lo: number, bucket: number) => void): void {
    for (let number = 0; number < SEGMENTS; number++) this.forEachIn(number, visit);
    for (const [key, bucket] of this.#outside) visit(Number(key >> 32n), Number(key & 0xffff_ffffn), bucket);
  }

  /**
   * Goes on with a walk over the table for about `count` slots; true at its end. Between two calls anything may happen: a
   * segment that was rebuilt is begun anew, and a key added meanwhile may or may not be visited.
   */
  walk(place: TableWalk, count: number, visit: (hi: number, lo: number, bucket: number) => void): boolean {
    for (let left = count; left > 0; ) {
      if (place.segment === SEGMENTS) break;
      const { slots } = this.#segments[place.segment];
      if (place.slots !== slots) Object.assign(place, { slots, index: 0 });
      const end = Math.min(slots.length, place.index + 2 * left);
      left -= (end - place.index) / 2 + 1;
      this.#visit(place.segment, place.index, end, visit);
      place.index = end;
      if (end === slots.length) Object.assign(place, { segment: place.segment + 1, slots: null });
    }
    if (place.segment < SEGMENTS) return false;
    for (const [key, bucket] of this.#outside) visit(Number(key >> 32n), Number(key & 0xffff_ffffn), bucket);
    return true;
  }

  /** As forEach, of one of the SEGMENTS parts of the table: for a snapshot that is taken in steps. */
  forEachIn(number: number, visit: (hi: number, lo: number, bucket: number) => void): void {
    this.#visit(number, 0, this.#segments[number].slots.length, visit);
  }

  /** Forgets all keys; the watermark stays. */
  clear(): void {
    this.#outside.clear();
    this.#emptyTable();
  }

  #visit(number: number, start: number, end: number, visit: (hi: number, lo: number, bucket: number) => void): void {
    const { slots } = this.#segments[number];
    for (let i = start; i < end; i += 2) {
      const tag = slots[i] >>> TAG_SHIFT;
      if (this.#live[tag] === 0) continue;
      const bucket = this.#base + ((tag - this.#baseTag + TAGS) % TAGS);
      visit(((number << SEGMENT_SHIFT) | (slots[i] & FINGERPRINT_MASK)) >>> 0, slots[i + 1] >>> 0, bucket);
    }
  }

  #tagOf(bucket: number): number {
    const tag = bucket - this.#base + this.#baseTag;
    return tag > TAGS ? tag - TAGS : tag;
  }

  /** Tries to bring `bucket`, which is live, into the range of the table. */
  #makeRoomFor(bucket: number): boolean {
    if (Number.isNaN(this.#base)) {
      this.#setBase(Math.max(this.#minLiveBucket, bucket - this.#span));
    } else if (bucket >= this.#base + TAGS && this.#minLiveBucket > bucket - TAGS) {
      for (const segment of this.#segments) if (segment.floorBucket <= bucket - TAGS) this.#sweep(segment);
      this.#raiseBase();
    }
    return bucket >= this.#base && bucket < this.#base + TAGS;
  }

  /** The table can tell apart what begins at the lowest bucket that any segment may still hold. */
  #raiseBase(): void {
    let lowest = Number.POSITIVE_INFINITY;
    for (const segment of this.#segments) lowest = Math.min(lowest, segment.floorBucket);
    if (lowest > this.#base) this.#setBase(lowest);
  }

  #setBase(bucket: number): void {
    this.#base = bucket;
    this.#baseTag = (((bucket % TAGS) + TAGS) % TAGS) + 1;
    for (const segment of this.#segments) if (segment.floorBucket < bucket) segment.floorBucket = bucket;
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
    if (this.#sweepDueMs === Number.POSITIVE_INFINITY) this.#sweepDueMs = this.#watermarkMs + this.#sweepStepMs;
    if (minLiveBucket <= this.#minLiveBucket) return;
    this.#minLiveBucket = minLiveBucket;
    if (!Number.isNaN(this.#base)) {
      this.#markLive();
      if (this.size === this.#outside.size) this.#emptyTable();
    }
    if (this.#outside.size > 0) this.#bringIn();
  }

  /** Enters what has come into range. */
  #bringIn(): void {
    for (const [key, bucket] of [...this.#outside]) {
      this.#outside.delete(key);
      this.addIfAbsent(Number(key >> 32n), Number(key & 0xffff_ffffn), bucket * this.#bucketMs);
    }
  }

  #sweepOne(): void {
    this.#sweep(this.#segments[this.#sweepCursor]);
    this.#sweepCursor = (this.#sweepCursor + 1) % SEGMENTS;
    this.#sweepDueMs += this.#sweepStepMs;
    if (this.#sweepCursor > 0) return;
    this.#raiseBase();
    // The next round begins on time, or at once when the watermark has jumped.
    this.#sweepDueMs = Math.max(this.#sweepDueMs, this.#watermarkMs);
  }

  #sweep(segment: FingerprintSegment): void {
    if (segment.floorBucket >= this.#minLiveBucket) return;
    if (segment.liveKeys(this.#live) < segment.used) this.#rehash(segment);
    segment.floorBucket = this.#minLiveBucket;
  }

  #rehash(segment: FingerprintSegment): void {
    const isOld = segment.floorBucket < this.#minLiveBucket;
    // Counting takes a pass over the segment: not while nothing has expired anywhere.
    const holdsExpired = isOld && this.#usedSlots() > this.size - this.#outside.size;
    segment.rehash(this.#live, holdsExpired ? segment.liveKeys(this.#live) : segment.used);
    if (isOld) segment.floorBucket = this.#minLiveBucket;
  }

  #usedSlots(): number {
    let sum = 0;
    for (const { used } of this.#segments) sum += used;
    return sum;
  }

  #emptyTable(): void {
    for (const segment of this.#segments) segment.clear();
    this.#base = Number.NaN;
    this.#live.fill(0);
    this.#keys.fill(0);
    this.#dueMs = Number.NEGATIVE_INFINITY;
  }
}

const bigKey = (hi: number, lo: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
