/** The keys of suspects, as long as an event of their second may be accepted. */
import type { TimeSettings } from '../config.ts';
import { PRESENT } from '../state/add-outcome.ts';
import { FingerprintStore, TableWalk } from '../state/fingerprints.ts';
import type { KeyBlock } from '../state/key-block.ts';
import type { MemoryBudget } from '../state/memory-budget.ts';
import { SlicedKeys, SliceWalk } from '../state/sliced-keys.ts';

const SECOND_MS = 1000;
/** About so many slices are live: each takes a KiB at least. */
const SLICES = 1024;
/** A FingerprintStore tells at most this many buckets apart, some of them ahead of the watermark. */
const MAX_BUCKETS = 48;

export interface SuspectVisitor {
  /** Some keys of a slice: two words each, the upper one first. */
  suspectsOfSlice(slice: { slice: number; sliceMs: number }, words: Int32Array, keys: number): void;
  /** One whose slice is not known, but a bucket, of whole seconds. */
  olderSuspect(hi: number, lo: number, bucket: number, seconds: number): void;
}

export class SuspectWalk {
  readonly slices = new SliceWalk();
  readonly older = new TableWalk();
}

export class Suspects {
  readonly #slices: SlicedKeys;
  /** Of states from before there were slices, under the same settings. */
  readonly bucketMs: number;
  readonly #newOlder: () => FingerprintStore;
  /** Those of such states, or with slices of another width; null when none is left. */
  #older: FingerprintStore | null = null;
  /** How many a snapshot has of them. */
  #olderExpected = 0;

  constructor({ windowMs, allowedLatenessMs, maxOutOfOrdernessMs }: TimeSettings, budget: MemoryBudget) {
    const ttlMs = windowMs + allowedLatenessMs;
    const secondsLive = (ttlMs + maxOutOfOrdernessMs) / SECOND_MS;
    // Whole seconds, for a key is of one: whatever its time, it is looked for in one slice.
    this.#slices = new SlicedKeys({ sliceMs: SECOND_MS * Math.ceil(secondsLive / SLICES), ttlMs, budget });
    this.bucketMs = windowMs * Math.ceil(allowedLatenessMs / windowMs / MAX_BUCKETS);
    this.#newOlder = () => new FingerprintStore({ bucketMs: wholeSeconds(this.bucketMs), ttlMs, budget });
  }

  get size(): number {
    return this.#slices.size + (this.#older?.size ?? 0);
  }

  get byteLength(): number {
    return this.#slices.byteLength + (this.#older?.byteLength ?? 0);
  }

  get sliceMs(): number {
    return this.#slices.sliceMs;
  }

  /** Looks keys up, and enters those that are absent: see SlicedKeys. */
  addBlock(keys: KeyBlock): void {
    this.#slices.addBlock(keys);
  }

  /** Has the block say PRESENT also where a key is among the older ones. */
  findOlder(keys: KeyBlock): void {
    if (this.#older === null) return;
    for (let i = 0; i < keys.size; i++) if (this.#older.has(keys.his[i] | 0, keys.los[i] | 0)) keys.outcomes[i] = PRESENT;
  }

  /** How many keys a snapshot has of which no slice is known. */
  get older(): number {
    return this.#older?.size ?? 0;
  }

  /** So many of those will come, perhaps. */
  expectOlder(keys: number): void {
    this.#olderExpected = keys;
    this.#older?.reserve(keys);
  }

  /** Keys of which no slice is known, with times of their buckets. */
  addOlder(keys: KeyBlock): void {
    if (keys.size === 0) return;
    if (this.#older === null) {
      this.#older = this.#newOlder();
      this.#older.reserve(this.#olderExpected);
    }
    this.#older.addBlock(keys);
  }

  advance(watermarkMs: number): void {
    this.#slices.advance(watermarkMs);
    if (this.#older === null) return;
    this.#older.advance(watermarkMs);
    if (this.#older.size === 0) this.#older = null;
  }

  /** Tells the next of them, some `slots` slots of their tables; true when all were told. */
  walk(place: SuspectWalk, slots: number, to: SuspectVisitor): boolean {
    const { sliceMs } = this;
    const isDone = this.#slices.walk(place.slices, slots, (slice, words, keys) => to.suspectsOfSlice({ slice, sliceMs }, words, keys));
    const older = this.#older;
    if (!isDone || older === null) return isDone;
    return older.walk(place.older, slots, (hi, lo, bucket) => to.olderSuspect(hi, lo, bucket, older.bucketMs / SECOND_MS));
  }

  clear(): void {
    this.#slices.clear();
    this.#older?.clear();
    this.#older = null;
  }
}

const wholeSeconds = (ms: number): number => SECOND_MS * Math.ceil(ms / SECOND_MS);
