/** Which bucket each tag of a fingerprint table stands for, which are live, and how many keys each has. */
import { type LiveTags, TAGS } from './fingerprint-lines.ts';
import type { KeyBlock } from './key-block.ts';

export class BucketTags {
  /** By tag: 1 when its bucket is live. */
  readonly live: LiveTags = new Uint8Array(TAGS + 1);
  /** By tag: keys. */
  readonly #keys = new Float64Array(TAGS + 1);
  /** No key lives in an earlier bucket. */
  oldest = Number.NEGATIVE_INFINITY;
  /** Buckets `base` to `base + 62` can be told apart; NaN while the table is empty. */
  base = Number.NaN;
  /** Tag of bucket `base`. */
  #baseTag = 1;
  readonly #changed: () => void;

  /** `changed`: other tags are live. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Keys in the table. */
  get keys(): number {
    let sum = 0;
    for (let tag = 1; tag <= TAGS; tag++) sum += this.#keys[tag];
    return sum;
  }

  get empty(): boolean {
    return Number.isNaN(this.base);
  }

  holds(bucket: number): boolean {
    return bucket >= this.base && bucket < this.base + TAGS;
  }

  /** Of a bucket that it holds. */
  tagOf(bucket: number): number {
    const tag = bucket - this.base + this.#baseTag;
    return tag > TAGS ? tag - TAGS : tag;
  }

  /** The tags of the buckets that the keys are in; false when one has none, or is gone. */
  tagAll(keys: KeyBlock, bucketMs: number, into: Int32Array): boolean {
    const bucket = keys.bucketOfAll(bucketMs);
    if (Number.isNaN(bucket)) return this.#tagEach(keys, bucketMs, into);
    if (bucket < this.oldest || !this.holds(bucket)) return false;
    into.fill(this.tagOf(bucket));
    return true;
  }

  #tagEach({ times, size }: KeyBlock, bucketMs: number, into: Int32Array): boolean {
    for (let i = 0; i < size; i++) {
      const bucket = Math.floor(times[i] / bucketMs);
      if (bucket < this.oldest || !this.holds(bucket)) return false;
      into[i] = this.tagOf(bucket);
    }
    return true;
  }

  bucketOf(tag: number): number {
    return this.base + ((tag - this.#baseTag + TAGS) % TAGS);
  }

  count(tag: number, change: number): void {
    this.#keys[tag] += change;
  }

  /** The table holds no slot of an earlier bucket than this. */
  begin(bucket: number): void {
    this.base = bucket;
    this.#baseTag = (((bucket % TAGS) + TAGS) % TAGS) + 1;
    this.#mark();
  }

  /** Earlier buckets are gone, and their keys with them. */
  expire(oldest: number): void {
    this.oldest = oldest;
    if (!this.empty) this.#mark();
  }

  clear(): void {
    this.base = Number.NaN;
    this.live.fill(0);
    this.#keys.fill(0);
    this.#changed();
  }

  #mark(): void {
    for (let bucket = this.base; bucket < this.base + TAGS; bucket++) {
      const tag = this.tagOf(bucket);
      this.live[tag] = bucket >= this.oldest ? 1 : 0;
      if (bucket < this.oldest) this.#keys[tag] = 0;
    }
    this.#changed();
  }
}
