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
  suspect(hi: number, lo: number, bucket: number): void;
}

export class SuspectWalk {
  readonly slices = new SliceWalk();
  readonly older = new TableWalk();
}

export class Suspects {
  readonly #slices: SlicedKeys;
  /** Of those that came before slices. */
  readonly bucketMs: number;
  readonly #newOlder: () => FingerprintStore;
  /** Those of states from before there were slices, or with slices of another width; null when none is left. */
  #older: FingerprintStore | null = null;

  constructor({ windowMs, allowedLatenessMs }: TimeSettings, budget: MemoryBudget) {
    const ttlMs = windowMs + allowedLatenessMs;
    // Whole seconds, for a key is of one: whatever its time, it is looked for in one slice.
    this.#slices = new SlicedKeys({ sliceMs: SECOND_MS * Math.ceil(ttlMs / SECOND_MS / SLICES), ttlMs, budget });
    this.bucketMs = windowMs * Math.ceil(allowedLatenessMs / windowMs / MAX_BUCKETS);
    this.#newOlder = () => new FingerprintStore({ bucketMs: this.bucketMs, ttlMs: allowedLatenessMs, budget });
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

  /** A key of which no slice is known, but a time of its bucket. */
  addOlder(hi: number, lo: number, ts: number): void {
    this.#older ??= this.#newOlder();
    this.#older.addIfAbsent(hi | 0, lo | 0, ts);
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
    return isDone && (this.#older?.walk(place.older, slots, (hi, lo, bucket) => to.suspect(hi, lo, bucket)) ?? true);
  }

  clear(): void {
    this.#slices.clear();
    this.#older?.clear();
  }
}
