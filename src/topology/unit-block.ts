/** What a block of exposures or assignments is about, looked up before any is judged: so that the misses overlap. */
import { BLOCK } from '../operators/event-columns.ts';
import type { IngestBlock } from './ingest-block.ts';
import type { IngestState } from './ingest-state.ts';

export class UnitBlock {
  readonly #state: IngestState;
  /** -1 where one is not known yet. */
  readonly #experiments = new Int32Array(BLOCK);
  readonly #variants = new Int32Array(BLOCK);
  /** Of the variants when they were looked up. */
  #generation = 0;

  constructor(state: IngestState) {
    this.#state = state;
  }

  /** The result means nothing. */
  warm(block: IngestBlock): number {
    const { entities, variants, units } = this.#state;
    const { columns, size } = block;
    this.#generation = variants.generation;
    for (let i = 0; i < size; i++) {
      const { bytes, start, end } = block.entity(i);
      const experiment = block.reasons[i] === 0 ? entities.find(columns.entities.los[i], bytes, start, end) : -1;
      this.#experiments[i] = experiment;
      this.#variants[i] = experiment === -1 ? -1 : variants.find(experiment, columns.variants.los[i], block.variant(i));
    }
    let read = 0;
    for (let i = 0; i < size; i++) {
      if (this.#experiments[i] !== -1) read ^= units.warm(this.#experiments[i], columns.units.his[i], columns.units.los[i]);
    }
    return read;
  }

  /** The experiment of good record `i`, made when it is new. */
  experiment(block: IngestBlock, i: number): number {
    const known = this.#experiments[i];
    if (known !== -1) return known;
    const { bytes, start, end } = block.entity(i);
    return this.#state.entities.internHashed(block.columns.entities.los[i], bytes, start, end);
  }

  /** Its variant's number in that experiment: another than when it was looked up, if an experiment was forgotten since. */
  variant(block: IngestBlock, i: number, experiment: number): number {
    const known = this.#generation === this.#state.variants.generation ? this.#variants[i] : -1;
    return known === -1 ? this.#state.variantOf(experiment, block.variant(i)) : known;
  }
}
