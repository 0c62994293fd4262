/** What Redis shows of experiments, and for how long: an `exposed:` key lives until 90 days without a change have passed. */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { CellTable } from '../state/cells.ts';
import type { Entity, Groups } from './evaluate-groups.ts';

/** Also the key's expiry after its last write. */
export const EXPOSED_EXPIRY_MS = 90 * 86_400_000;

/** Where units are counted: totals over all sources. */
export interface UnitCells {
  unitsTotal: CellTable;
  contaminated: CellTable;
}

/** One experiment. Its counts are in the cells: nothing is added up twice. */
export class ExperimentCounts {
  readonly entity: Entity;
  /** Watermark of the exposures at the commit of its last change; null while that was unknown. */
  changedMs: number | null = null;
  /** False after 90 days without a change, until it comes back: its sources' values then go on from where they were. */
  isLiving = true;
  isDirty = false;
  isChanged = false;
  readonly #groups: Groups;
  readonly #cells: UnitCells;

  constructor(entity: Entity, groups: Groups, cells: UnitCells) {
    this.entity = entity;
    this.#groups = groups;
    this.#cells = cells;
  }

  /** By variant, all allocation versions. */
  get units(): Map<string, number> {
    const { unitsTotal } = this.#cells;
    const units = new Map<string, number>();
    for (const group of this.entity.groups) {
      const index = unitsTotal.find(group, 0, 0);
      if (index === -1) continue;
      const { variant } = this.#groups.names[group];
      units.set(variant, (units.get(variant) ?? 0) + unitsTotal.get(index, 0));
    }
    return units;
  }

  /** `units:<variant>` of each, as Redis has them. */
  fields(): Record<string, string> {
    const { unitsTotal } = this.#cells;
    const fields: Record<string, string> = { contaminated: String(this.contaminated) };
    for (const group of this.entity.groups) {
      const index = unitsTotal.find(group, 0, 0);
      if (index === -1) continue;
      const name = this.#groups.unitsField(group);
      const before = fields[name];
      fields[name] = String(unitsTotal.get(index, 0) + (before === undefined ? 0 : Number(before)));
    }
    return fields;
  }

  get contaminated(): number {
    const { contaminated } = this.#cells;
    let units = 0;
    if (contaminated.size === 0) return units;
    for (const group of this.entity.groups) {
      const index = contaminated.find(group, 0, 0);
      if (index !== -1) units += contaminated.get(index, 0);
    }
    return units;
  }
}

export class Experiments {
  readonly #groups: Groups;
  readonly #cells: UnitCells;
  readonly #byEntity = new Map<Entity, ExperimentCounts>();
  /** By group; where there is none, of something else. */
  readonly #byGroup: (ExperimentCounts | null)[] = [];
  readonly #living: ExperimentCounts[] = [];
  /** To be sent. */
  readonly #dirty: ExperimentCounts[] = [];
  /** Since the last commit. */
  readonly #changed: ExperimentCounts[] = [];
  readonly #toCommit = new Set<ExperimentCounts>();

  constructor(groups: Groups, cells: UnitCells) {
    this.#groups = groups;
    this.#cells = cells;
  }

  /** In no particular order. */
  get living(): readonly ExperimentCounts[] {
    return this.#living;
  }

  /** Those that live no more included. */
  all(): IterableIterator<ExperimentCounts> {
    return this.#byEntity.values();
  }

  /** Units of a group, or its contaminated ones, have become more. */
  grew(group: number): void {
    const counts = this.#byGroup[group] ?? this.#of(group);
    if (!counts.isLiving) this.#revive(counts);
    this.touch(counts);
    if (counts.isChanged) return;
    counts.isChanged = true;
    this.#changed.push(counts);
  }

  /** It is to be sent. */
  touch(counts: ExperimentCounts): void {
    if (counts.isDirty) return;
    counts.isDirty = true;
    this.#dirty.push(counts);
  }

  touchAll(): void {
    for (const counts of this.#living) this.touch(counts);
  }

  /** Each living one that is to be sent, once. */
  takeDirty(each: (counts: ExperimentCounts) => void): void {
    for (const counts of this.#dirty) {
      counts.isDirty = false;
      if (counts.isLiving) each(counts);
    }
    this.#dirty.length = 0;
  }

  /** Ends those that have not changed for 90 days at this watermark. */
  endOld(watermarkMs: number | null): void {
    if (watermarkMs === null) return;
    let kept = 0;
    for (const counts of this.#living) {
      const { isChanged, changedMs } = counts;
      counts.isLiving = isChanged || changedMs === null || changedMs + EXPOSED_EXPIRY_MS > watermarkMs;
      if (counts.isLiving) this.#living[kept++] = counts;
    }
    this.#living.length = kept;
  }

  /** The times of all are to be written again. */
  touchTimes(): void {
    for (const counts of this.all()) this.#toCommit.add(counts);
  }

  /** When those changed that did since the last commit; said again once a watermark is known. */
  writeTimes(to: ByteWriter, watermarkMs: number | null): void {
    for (const counts of this.#changed) {
      counts.changedMs = watermarkMs;
      this.#toCommit.add(counts);
    }
    if (watermarkMs !== null) this.#forgetChanged();
    to.varint(this.#toCommit.size);
    for (const { entity, changedMs } of this.#toCommit) {
      to.varint(entity.groups[0]);
      to.f64(changedMs ?? Number.NaN);
    }
    this.#toCommit.clear();
  }

  readTimes(from: ByteReader): void {
    this.#forgetChanged();
    for (let left = from.varint(); left > 0; left--) {
      const counts = this.#of(from.varint());
      const changedMs = from.f64();
      if (!counts.isLiving) this.#revive(counts);
      counts.changedMs = Number.isNaN(changedMs) ? null : changedMs;
      if (!Number.isNaN(changedMs) || counts.isChanged) continue;
      counts.isChanged = true;
      this.#changed.push(counts);
    }
  }

  #forgetChanged(): void {
    for (const counts of this.#changed) counts.isChanged = false;
    this.#changed.length = 0;
  }

  #revive(counts: ExperimentCounts): void {
    counts.isLiving = true;
    this.#living.push(counts);
  }

  #of(group: number): ExperimentCounts {
    const entity = this.#groups.entities[group];
    let counts = this.#byEntity.get(entity);
    if (counts === undefined) {
      counts = new ExperimentCounts(entity, this.#groups, this.#cells);
      this.#byEntity.set(entity, counts);
      this.#living.push(counts);
    }
    while (this.#byGroup.length <= group) this.#byGroup.push(null);
    this.#byGroup[group] = counts;
    return counts;
  }
}
