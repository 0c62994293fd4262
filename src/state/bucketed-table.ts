/**
 * A fingerprint table whose slots carry buckets as tags, and the few keys that it has no tag or no room for. It answers and takes keys; when
 * buckets expire and the table is put in order is for others (FingerprintStore) to say.
 */
import { ADDED, type AddOutcome, PRESENT } from './add-outcome.ts';
import { BucketTags } from './bucket-tags.ts';
import { IS_PRESENT, type KeyVisitor, NO_ROOM } from './fingerprint-lines.ts';
import { FingerprintTable } from './fingerprint-table.ts';
import { KEYS_OF_BLOCK, type KeyBlock } from './key-block.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { OutsideKeys } from './outside-keys.ts';
import type { TableWalk } from './table-walk.ts';

export class BucketedTable {
  readonly table: FingerprintTable;
  readonly tags = new BucketTags(() => this.tellLive());
  /** Live keys of buckets that the tags do not tell apart, or without room near their home. */
  readonly outside: OutsideKeys;
  /** How many came for want of room since this was last 0. */
  strays = 0;
  /** New slots until there is table work to do. */
  untilWork = 0;
  readonly #bucketMs: number;
  readonly #blockTags = new Int32Array(KEYS_OF_BLOCK);
  readonly #stray: KeyVisitor = (hi, lo, tag) => {
    this.tags.count(tag, -1);
    this.strays++;
    this.outside.keep(hi, lo, this.tags.bucketOf(tag));
  };

  constructor(bucketMs: number, budget: MemoryBudget) {
    this.#bucketMs = bucketMs;
    this.table = new FingerprintTable(budget, this.tags.live, this.#stray);
    this.outside = new OutsideKeys(budget);
  }

  /** Live keys. */
  get size(): number {
    return this.outside.size + this.tags.keys;
  }

  get byteLength(): number {
    return this.table.byteLength + this.outside.byteLength;
  }

  has(hi: number, lo: number): boolean {
    return this.table.has(hi, lo | 0) || this.outside.has(hi, lo);
  }

  /** Whether so many keys may be entered in one go, as far as there is work to do. */
  isReadyFor(keys: number): boolean {
    return this.untilWork >= keys && this.outside.size === 0;
  }

  /** Into a bucket that has a tag. */
  enter(hi: number, lo: number, bucket: number): AddOutcome {
    const tag = this.tags.tagOf(bucket);
    const entered = this.table.enter(hi, lo | 0, tag);
    if (entered === IS_PRESENT) return PRESENT;
    if (entered === NO_ROOM) return this.#addStray(hi, lo, bucket);
    this.untilWork -= entered;
    this.tags.count(tag, 1);
    return ADDED;
  }

  /** A key of a bucket without a tag, which is absent. */
  addOutside(hi: number, lo: number, bucket: number): void {
    this.outside.add(hi, lo, bucket);
    this.untilWork--;
  }

  /** As `enter` for each key; false, and nothing entered, when one of their buckets is gone or has no tag. To be asked `isReadyFor` before. */
  enterBlock(keys: KeyBlock): boolean {
    const tags = this.#blockTags;
    if (!this.tags.tagAll(keys, this.#bucketMs, tags)) return false;
    this.untilWork -= this.table.enterAll(keys, tags);
    if (keys.withoutRoom === 0 && !Number.isNaN(keys.bucketOfAll(this.#bucketMs))) this.tags.count(tags[0], keys.added);
    else this.#countEach(keys);
    return true;
  }

  #countEach(keys: KeyBlock): void {
    const { his, los, outcomes, size } = keys;
    const tags = this.#blockTags;
    for (let i = 0; i < size; i++) {
      if (outcomes[i] === ADDED) this.tags.count(tags[i], 1);
      if (outcomes[i] !== NO_ROOM) continue;
      outcomes[i] = this.#addStray(his[i] | 0, los[i] | 0, this.tags.bucketOf(tags[i]));
      if (outcomes[i] === ADDED) keys.tellAdded(i);
    }
  }

  /** A key without room in the table: it may be outside since it came before in its block. */
  #addStray(hi: number, lo: number, bucket: number): AddOutcome {
    if (this.outside.has(hi, lo)) return PRESENT;
    this.addOutside(hi, lo, bucket);
    this.strays++;
    return ADDED;
  }

  /** Enters what has come into range, and tells a walk that is under way. */
  bringIn(walk: TableWalk | null): void {
    const { table, tags } = this;
    this.outside.offer((hi, lo, bucket) => {
      if (bucket < tags.oldest) return true;
      if (!tags.holds(bucket)) return false;
      if (table.used >= table.limit) return false;
      const tag = tags.tagOf(bucket);
      const entered = table.enter(hi, lo | 0, tag);
      if (entered === NO_ROOM) return false;
      if (entered !== IS_PRESENT) tags.count(tag, 1);
      walk?.broughtIn(hi, lo, bucket);
      return true;
    });
  }

  /** Which tags are live has changed, or whether slots of others may be there. */
  tellLive(): void {
    this.table.setLive(this.table.used > this.tags.keys);
  }

  clear(): void {
    this.outside.clear();
    this.clearTable();
  }

  clearTable(): void {
    this.table.clear();
    this.tags.clear();
    this.untilWork = 0;
  }
}
