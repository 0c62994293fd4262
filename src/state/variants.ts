/** The variants of each experiment as small numbers from 0, in order of appearance; forgotten with the experiment, as is their group. */
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

/** Of a variant: the version it was last seen with, and the group + 1. */
const GROUP_WORDS = 2;
const FIRST_VARIANTS = 4;
const NO_GROUPS = new Int32Array(0);
/** What the heap holds for an experiment besides the bytes that its ids and groups tell of: as measured. */
const OBJECT_BYTES = 1250;

interface Experiment {
  ids: Interner;
  groups: Int32Array;
}

export class VariantTable {
  /** Changes when numbers of variants mean nothing any more. */
  generation = 0;
  readonly #options: VariantTableOptions;
  readonly #experiments: (Experiment | undefined)[] = [];
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
    return this.#experiments[experiment]?.ids.find(hash, bytes, start, end) ?? -1;
  }

  /** The number of a variant, which is new when `size` grew. */
  intern(experiment: number, { bytes, start, end }: ByteRef): number {
    const { ids } = this.#experiments[experiment] ?? this.#begin(experiment);
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
    const known = this.#experiments[experiment];
    if (known === undefined) return;
    this.generation++;
    this.#size -= known.ids.size;
    this.#bytes -= bytesOf(known);
    this.#experiments[experiment] = undefined;
  }

  /** The group that was last kept of a variant, if it was for this version; -1 otherwise. */
  groupOf(experiment: number, variant: number, version: number): number {
    const groups = this.#experiments[experiment]?.groups ?? NO_GROUPS;
    const at = variant * GROUP_WORDS;
    return at < groups.length && groups[at] === version ? groups[at + 1] - 1 : -1;
  }

  /** Keeps the group of a variant that has a number. */
  keepGroup(experiment: number, variant: number, version: number, group: number): void {
    const known = this.#experiments[experiment];
    if (known === undefined) return;
    const at = variant * GROUP_WORDS;
    if (at >= known.groups.length) this.#growGroups(known);
    known.groups[at] = version;
    known.groups[at + 1] = group + 1;
  }

  /** Visits every variant, those of an experiment in the order of their numbers. */
  visit(visit: (experiment: number, id: Uint8Array) => void): void {
    for (const [experiment, known] of this.#experiments.entries()) {
      if (known === undefined) continue;
      const { ids } = known;
      for (let variant = 0; variant < ids.size; variant++) visit(experiment, ids.bytesOf(variant));
    }
  }

  #begin(experiment: number): Experiment {
    const { hash, maxOfOne } = this.#options;
    const ids = new Interner(hash, maxOfOne, () => this.#tooManyVariants(experiment));
    // No holes: a sparse array would be a slow one.
    while (this.#experiments.length < experiment) this.#experiments.push(undefined);
    const begun = { ids, groups: NO_GROUPS };
    this.#experiments[experiment] = begun;
    this.#bytes += bytesOf(begun);
    return begun;
  }

  #growGroups(known: Experiment): void {
    const before = bytesOf(known);
    const variants = Math.max(FIRST_VARIANTS, 2 ** Math.ceil(Math.log2(known.ids.size)));
    const grown = new Int32Array(GROUP_WORDS * variants);
    grown.set(known.groups);
    known.groups = grown;
    this.#bytes += bytesOf(known) - before;
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

const bytesOf = ({ ids, groups }: Experiment): number => OBJECT_BYTES + ids.byteLength + groups.byteLength;
