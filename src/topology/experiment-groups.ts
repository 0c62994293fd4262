/** The groups of experiments by the numbers of experiment and variant: names are looked up once, then again for another version. */
import type { DecodedEvent } from '../operators/decode.ts';
import type { IngestState } from './ingest-state.ts';

const FIRST_VARIANTS = 4;
/** Of a variant: the version it was last seen with, and the group + 1. */
const WORDS = 2;

export class ExperimentGroups {
  readonly #state: IngestState;
  /** By experiment. */
  readonly #known: Int32Array[] = [];
  /** Of the numbers of variants. */
  #generation = 0;

  constructor(state: IngestState) {
    this.#state = state;
  }

  /** The group of an event whose experiment and variant have these numbers, made when it is new. */
  find({ entityId, allocationVersion, variantId }: DecodedEvent, experiment: number, variant: number): number {
    const { groups, variants } = this.#state;
    if (this.#generation !== variants.generation) {
      this.#generation = variants.generation;
      this.#known.length = 0;
    }
    while (this.#known.length <= experiment) this.#known.push(new Int32Array(FIRST_VARIANTS * WORDS));
    const known = this.#known[experiment];
    const at = variant * WORDS;
    if (at < known.length && known[at] === allocationVersion && known[at + 1] !== 0) return known[at + 1] - 1;
    const group = groups.intern(entityId, allocationVersion, variantId);
    const kept = at < known.length ? known : this.#grow(experiment, variant);
    kept[at] = allocationVersion;
    kept[at + 1] = group + 1;
    return group;
  }

  #grow(experiment: number, variant: number): Int32Array {
    const grown = new Int32Array(WORDS * Math.max(variant + 1, this.#known[experiment].length));
    grown.set(this.#known[experiment]);
    this.#known[experiment] = grown;
    return grown;
  }
}
