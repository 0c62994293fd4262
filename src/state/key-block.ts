/** Keys on their way into a store, a block at a time, so that their misses overlap, and what came of them. */

export const KEYS_OF_BLOCK = 64;

/** Hashes in columns: their upper words, and their lower ones. */
export interface HashWords {
  his: Uint32Array;
  los: Uint32Array;
}

/** How many keys, and between which times. */
export interface Span {
  size: number;
  earliestMs: number;
  latestMs: number;
}

export class KeyBlock implements HashWords, Span {
  readonly his = new Uint32Array(KEYS_OF_BLOCK);
  readonly los = new Uint32Array(KEYS_OF_BLOCK);
  /** Any time of the key's bucket. */
  readonly times = new Float64Array(KEYS_OF_BLOCK);
  /** No time is earlier, */
  earliestMs = Number.POSITIVE_INFINITY;
  /** and none is later. */
  latestMs = Number.NEGATIVE_INFINITY;
  size = 0;
  /** Once the block was added to a store: by key, an AddOutcome; */
  readonly outcomes = new Int32Array(KEYS_OF_BLOCK);
  /** how many were added, */
  added = 0;
  /** and the hashes of these, two words each, the upper one first, as bytes (little-endian); those without room in the table last. */
  readonly addedBytes = new Uint8Array(8 * KEYS_OF_BLOCK);
  /** How many found no room in a table's reach: outcomes of its own stand there until others have taken these keys. */
  withoutRoom = 0;
  readonly #addedView = new DataView(this.addedBytes.buffer);

  get full(): boolean {
    return this.size === KEYS_OF_BLOCK;
  }

  clear(): void {
    this.size = 0;
    this.earliestMs = Number.POSITIVE_INFINITY;
    this.latestMs = Number.NEGATIVE_INFINITY;
  }

  push(hi: number, lo: number, ts: number): void {
    this.his[this.size] = hi;
    this.los[this.size] = lo;
    this.times[this.size++] = ts;
    if (ts < this.earliestMs) this.earliestMs = ts;
    if (ts > this.latestMs) this.latestMs = ts;
  }

  /** The first of these, in place of what was there. */
  set({ his, los }: HashWords, times: Float64Array, { size, earliestMs, latestMs }: Span): void {
    this.his.set(his);
    this.los.set(los);
    this.times.set(times);
    this.size = size;
    this.earliestMs = earliestMs;
    this.latestMs = latestMs;
  }

  /** Those of `from` to `to` (exclusive) that are chosen (1, else 0), in place of what was there. */
  select({ his, los }: HashWords, times: Float64Array, chosen: Uint8Array, { from, to }: { from: number; to: number }): void {
    let key = 0;
    for (let i = from; i < to; i++) {
      // Written also where it is not kept: a branch taken at random costs more.
      this.his[key] = his[i];
      this.los[key] = los[i];
      this.times[key] = times[i];
      key += chosen[i];
    }
    this.size = key;
    this.#bound();
  }

  #bound(): void {
    let [earliestMs, latestMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let i = 0; i < this.size; i++) {
      const ms = this.times[i];
      if (ms < earliestMs) earliestMs = ms;
      if (ms > latestMs) latestMs = ms;
    }
    this.earliestMs = earliestMs;
    this.latestMs = latestMs;
  }

  /** The bucket of all, NaN where there are several. */
  bucketOfAll(bucketMs: number): number {
    const bucket = Math.floor(this.earliestMs / bucketMs);
    return this.latestMs < (bucket + 1) * bucketMs ? bucket : Number.NaN;
  }

  /** Enters one after the other. @param enter returns an AddOutcome, 0 where it has added the key */
  enterEach(enter: (hi: number, lo: number, i: number) => number): void {
    this.added = 0;
    this.withoutRoom = 0;
    for (let i = 0; i < this.size; i++) {
      this.outcomes[i] = enter(this.his[i] | 0, this.los[i] | 0, i);
      if (this.outcomes[i] === 0) this.tellAdded(i);
    }
  }

  /** Key `i` was added. */
  tellAdded(i: number): void {
    this.#addedView.setUint32(8 * this.added, this.his[i], true);
    this.#addedView.setUint32(8 * this.added++ + 4, this.los[i], true);
  }
}
