/** Where a walk over a dedup table is. */
import type { KeyInBucket } from './fingerprints.ts';

export class TableWalk {
  /** The next hash, 2^32 before what lies outside the table, and beyond it at the end. */
  next = 0;
  readonly #broughtIn: [hi: number, lo: number, bucket: number][] = [];

  /** A key from outside has gone into the table, perhaps behind the walk. */
  broughtIn(hi: number, lo: number, bucket: number): void {
    this.#broughtIn.push([hi, lo, bucket]);
  }

  /** Visits those. */
  visitBroughtIn(visit: KeyInBucket): void {
    for (const [hi, lo, bucket] of this.#broughtIn) visit(hi, lo, bucket);
  }
}
