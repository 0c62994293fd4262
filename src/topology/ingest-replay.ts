/** Applies the changes of a journal to an ingest state. */
import { KeyBlock } from '../state/key-block.ts';
import type { JournalVisitor } from './ingest-journal.ts';
import type { IngestState } from './ingest-state.ts';
import type { ByteRef } from './types.ts';

const SECOND_MS = 1000;
/** Longer than lateness is allowed, and far less than what other settings make of a time. */
const LIKELY_MS = 30 * 24 * 3_600_000;

/** Keys on their way into their store, a block at a time. */
class Keys {
  readonly #store: { addBlock(keys: KeyBlock): void };
  readonly #block = new KeyBlock();

  constructor(store: { addBlock(keys: KeyBlock): void }) {
    this.#store = store;
  }

  add(hi: number, lo: number, ts: number): void {
    if (this.#block.full) this.flush();
    this.#block.push(hi, lo, ts);
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
  readonly #older: Keys;

  constructor(state: IngestState) {
    this.#state = state;
    this.#dedup = new Keys(state.dedup);
    this.#suspects = new Keys(state.suspects);
    this.#older = new Keys({ addBlock: (keys) => state.suspects.addOlder(keys) });
  }

  /** What was told of is in the stores then. */
  flush(): void {
    this.#dedup.flush();
    this.#suspects.flush();
    this.#older.flush();
  }

  dedup(hi: number, lo: number, bucket: number): void {
    this.#dedup.add(hi, lo, bucket * this.#state.dedup.bucketMs);
  }

  suspect(hi: number, lo: number, bucket: number): void {
    const { suspects, watermark } = this.#state;
    const ts = (bucket + 1) * suspects.bucketMs - 1;
    // Under other settings it is another time: as the key was live, it was about that of the watermark.
    const isLikely = watermark.ms === Number.NEGATIVE_INFINITY || Math.abs(ts - watermark.ms) < LIKELY_MS;
    this.#older.add(hi, lo, isLikely ? ts : watermark.ms);
  }

  olderSuspect(hi: number, lo: number, bucket: number, seconds: number): void {
    this.#older.add(hi, lo, (bucket + 1) * SECOND_MS * seconds - 1);
  }

  suspectOfSlice(hi: number, lo: number, slice: number, seconds: number): void {
    const { suspects } = this.#state;
    const sliceMs = SECOND_MS * seconds;
    if (sliceMs === suspects.sliceMs) this.#suspects.add(hi, lo, slice * sliceMs);
    else this.#older.add(hi, lo, (slice + 1) * sliceMs - 1);
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
    this.#state.suspects.expectOlder(suspectKeys);
  }

  unitsRoom(experiment: number, units: number): void {
    this.#state.units.reserve(experiment, units);
  }

  lossy(): void {
    this.#state.lossy = true;
  }
}
