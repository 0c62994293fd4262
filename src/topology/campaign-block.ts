/** The campaigns of a block of impressions, looked up before any is judged: so that the misses overlap. */
import { makeIdBlock } from '../state/id-block.ts';
import type { IngestBlock } from './ingest-block.ts';
import type { IngestState } from './ingest-state.ts';

export class CampaignBlock {
  readonly #state: IngestState;
  readonly #ids = makeIdBlock();

  constructor(state: IngestState) {
    this.#state = state;
  }

  /** By record of the block: its group, -1 where that is not known yet. */
  get groups(): Int32Array {
    return this.#ids.indices;
  }

  /** Finds the groups of a block. */
  find(block: IngestBlock): void {
    const { groups } = this.#state;
    const ids = this.#ids;
    block.entities(ids);
    groups.findCampaigns(ids);
    for (let i = 0; i < block.size; i++) {
      // Of those that compiled code was not sure of.
      if (ids.starts[i] === ids.ends[i] && block.reasons[i] === 0) ids.indices[i] = groups.findCampaign(block.entity(i), ids.hashes[i]);
    }
  }

  /** The group of good record `i`, made when it is new. */
  group(block: IngestBlock, i: number): number {
    const known = this.#ids.indices[i];
    return known === -1 ? this.#state.groups.intern(block.entity(i)) : known;
  }
}
