/** What Redis shows of experiments, and for how long: an `exposed:` key lives until 90 days without a change have passed. */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { GroupName } from './partials.ts';

/** Also the key's expiry after its last write. */
export const EXPOSED_EXPIRY_MS = 90 * 86_400_000;

export interface ExperimentCounts {
  /** Units by variant, all allocation versions. */
  units: Map<string, number>;
  contaminated: number;
  /** Any group of the experiment: names it in a commit. */
  group: number;
  /** Watermark of the exposures at the commit of its last change; null while that was unknown. */
  changedMs: number | null;
}

/** The counts of an experiment that lives no more are kept: its sources' values go on from them if it comes back. */
export class Experiments {
  readonly living = new Map<string, ExperimentCounts>();
  /** Of the living ones, those to be sent. */
  readonly dirty = new Set<string>();
  readonly #groups: readonly GroupName[];
  readonly #ended = new Map<string, ExperimentCounts>();
  readonly #changed = new Set<string>();
  readonly #toCommit = new Set<string>();

  constructor(groups: readonly GroupName[]) {
    this.#groups = groups;
  }

  /** Ended ones included. */
  *all(): IterableIterator<[string, ExperimentCounts]> {
    yield* this.living;
    yield* this.#ended;
  }

  grew(name: 'unitsTotal' | 'contaminated', group: number, growth: number): void {
    const { entity, variant } = this.#groups[group];
    const counts = this.#live(entity, group);
    if (name === 'contaminated') counts.contaminated += growth;
    else counts.units.set(variant, (counts.units.get(variant) ?? 0) + growth);
    this.dirty.add(entity);
    this.#changed.add(entity);
  }

  touchAll(): void {
    for (const id of this.living.keys()) this.dirty.add(id);
  }

  /** Ends those that have not changed for 90 days at this watermark. */
  endOld(watermarkMs: number | null): void {
    if (watermarkMs === null) return;
    for (const [id, counts] of this.living) {
      const { changedMs } = counts;
      if (!this.#changed.has(id) && changedMs !== null && changedMs + EXPOSED_EXPIRY_MS <= watermarkMs) {
        this.living.delete(id);
        this.#ended.set(id, counts);
        this.dirty.delete(id);
      }
    }
  }

  /** The times of all are to be written again. */
  touchTimes(): void {
    for (const [id] of this.all()) this.#toCommit.add(id);
  }

  /** When those changed that did since the last commit; said again once a watermark is known. */
  writeTimes(to: ByteWriter, watermarkMs: number | null): void {
    for (const id of this.#changed) {
      const counts = this.living.get(id);
      if (counts) counts.changedMs = watermarkMs;
      this.#toCommit.add(id);
    }
    if (watermarkMs !== null) this.#changed.clear();
    to.varint(this.#toCommit.size);
    for (const id of this.#toCommit) {
      const counts = this.living.get(id) ?? this.#ended.get(id);
      to.varint(counts?.group ?? 0);
      to.f64(counts?.changedMs ?? Number.NaN);
    }
    this.#toCommit.clear();
  }

  readTimes(from: ByteReader): void {
    this.#changed.clear();
    for (let left = from.varint(); left > 0; left--) {
      const group = from.varint();
      const { entity } = this.#groups[group];
      const changedMs = from.f64();
      this.#live(entity, group).changedMs = Number.isNaN(changedMs) ? null : changedMs;
      if (Number.isNaN(changedMs)) this.#changed.add(entity);
    }
  }

  #live(id: string, group: number): ExperimentCounts {
    let counts = this.living.get(id);
    if (counts === undefined) {
      counts = this.#ended.get(id) ?? { units: new Map(), contaminated: 0, group, changedMs: null };
      this.#ended.delete(id);
      this.living.set(id, counts);
    }
    return counts;
  }
}
