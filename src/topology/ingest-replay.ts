/** Applies the changes of a journal to an ingest state. */
import type { FingerprintStore } from '../state/fingerprints.ts';
import { KeyBlock } from '../state/key-block.ts';
import type { JournalVisitor } from './ingest-journal.ts';
import type { IngestState } from './ingest-state.ts';
import type { ByteRef } from './types.ts';

/** Keys on their way into their store, a block at a time. */
class Keys {
  readonly #store: FingerprintStore;
  readonly #block = new KeyBlock();

  constructor(store: FingerprintStore) {
    this.#store = store;
  }

  add(hi: number, lo: number, bucket: number): void {
    if (this.#block.full) this.flush();
    this.#block.push(hi, lo, bucket * this.#store.bucketMs);
  }

  flush(): void {
    this.#store.addBlock(this.#block);
    this.#block.clear();
  }
}

export class Replay implements JournalVisitor {
  readonly #state: IngestState;
  readonly #dedup: Keys;
  readonly #suspects: Keys;

  constructor(state: IngestState) {
    this.#state = state;
    this.#dedup = new Keys(state.dedup);
    this.#suspects = new Keys(state.suspects);
  }

  /** What was told of is in the stores then. */
  flush(): void {
    this.#dedup.flush();
    this.#suspects.flush();
  }

  dedup(hi: number, lo: number, bucket: number): void {
    this.#dedup.add(hi, lo, bucket);
  }

  suspect(hi: number, lo: number, bucket: number): void {
    this.#suspects.add(hi, lo, bucket);
  }

  unit(experiment: number, hi: number, lo: number, payload: number): void {
    this.#state.units.set(experiment, hi, lo, payload);
  }

  touch(experiment: number, eventTs: number): void {
    this.#state.units.touch(experiment, eventTs);
  }

  watermark(highestEventTs: number): void {
    this.flush();
    this.#state.advance(highestEventTs);
  }

  forgotten(experiment: number): void {
    this.#state.forget(experiment);
  }

  variant(experiment: number, id: ByteRef): void {
    this.#state.variants.intern(experiment, id);
  }

  room(dedupKeys: number, suspectKeys: number): void {
    this.#state.dedup.reserve(dedupKeys);
    this.#state.suspects.reserve(suspectKeys);
  }

  unitsRoom(experiment: number, units: number): void {
    this.#state.units.reserve(experiment, units);
  }

  lossy(): void {
    this.#state.lossy = true;
  }
}
