/** The variants of each experiment as small numbers from 0, in order of appearance; forgotten with the experiment. */
import { StreamError } from '../errors.ts';
import type { ByteRef } from '../topology/types.ts';
import type { SeededHash } from './hash.ts';
import { Interner } from './interner.ts';

export interface VariantTableOptions {
  hash: SeededHash;
  /** Variants of one experiment before StreamError too_many_variants. */
  maxOfOne: number;
  /** Variants of all experiments before StreamError too_many_ids. */
  maxIds: number;
  /** An experiment in words. */
  nameOf: (experiment: number) => string;
}

export class VariantTable {
  /** Changes when numbers of variants mean nothing any more. */
  generation = 0;
  readonly #options: VariantTableOptions;
  readonly #experiments: (Interner | undefined)[] = [];
  #size = 0;
  #bytes = 0;

  constructor(options: VariantTableOptions) {
    this.#options = options;
  }

  /** Variants, over all experiments. */
  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#bytes;
  }

  /** The number of a variant with this hash (SeededHash, its lower word); -1 when there is none. Of any experiment, also of -1. */
  find(experiment: number, hash: number, { bytes, start, end }: ByteRef): number {
    return this.#experiments[experiment]?.find(hash, bytes, start, end) ?? -1;
  }

  /** The number of a variant, which is new when `size` grew. */
  intern(experiment: number, { bytes, start, end }: ByteRef): number {
    const ids = this.#experiments[experiment] ?? this.#begin(experiment);
    const known = ids.size;
    const before = ids.byteLength;
    const variant = ids.intern(bytes, start, end);
    if (variant === known) {
      this.#size++;
      this.#bytes += ids.byteLength - before;
      if (this.#size > this.#options.maxIds) throw this.#tooManyIds();
    }
    return variant;
  }

  forget(experiment: number): void {
    const ids = this.#experiments[experiment];
    if (ids === undefined) return;
    this.generation++;
    this.#size -= ids.size;
    this.#bytes -= ids.byteLength;
    this.#experiments[experiment] = undefined;
  }

  /** Visits every variant, those of an experiment in the order of their numbers. */
  visit(visit: (experiment: number, id: Uint8Array) => void): void {
    for (const [experiment, ids] of this.#experiments.entries()) {
      if (ids === undefined) continue;
      for (let variant = 0; variant < ids.size; variant++) visit(experiment, ids.bytesOf(variant));
    }
  }

  #begin(experiment: number): Interner {
    const { hash, maxOfOne } = this.#options;
    const ids = new Interner(hash, maxOfOne, () => this.#tooManyVariants(experiment));
    // No holes: a sparse array would be a slow one.
    while (this.#experiments.length < experiment) this.#experiments.push(undefined);
    this.#experiments[experiment] = ids;
    this.#bytes += ids.byteLength;
    return ids;
  }

  #tooManyVariants(experiment: number): StreamError {
    const { maxOfOne, nameOf } = this.#options;
    return new StreamError(
      'too_many_variants',
      `experiment ${JSON.stringify(nameOf(experiment))} has more than ${maxOfOne} variants in one partition: find the producer, or the mapping of fields, that puts something else into variant_id`,
    );
  }

  #tooManyIds(): StreamError {
    return new StreamError(
      'too_many_ids',
      `more than ${this.#options.maxIds} variants in one partition: raise limits.maxIds, or find the producer that makes them up`,
    );
  }
}
