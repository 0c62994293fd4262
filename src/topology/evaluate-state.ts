/**
 * What evaluate knows of its entities: each source's latest values, their sums, and what follows from them (days in the
 * campaigns' zones, units by variant, hours for Postgres). Only the sources' values are committed; the rest is made again.
 */
import { dayOfSlot } from '../operators/days.ts';
import { mergeCell } from '../operators/merge.ts';
import { ByteReader, ByteWriter } from '../state/bytes.ts';
import { CellTable, type CellWalk, TO_COMMIT, TO_SEND } from '../state/cells.ts';
import { DirtyHours } from './evaluate-hours.ts';
import { Sources } from './evaluate-sources.ts';
import { CELL_NAMES, CELLS, type CellName, type GroupName } from './partials.ts';
import type { Commit } from './types.ts';

const SLOTS_PER_HOUR = CELLS.units.slotMs / CELLS.spend.slotMs;
const MAX_COLUMNS = 8;
const DAY_MS = 86_400_000;
/** A local day ends at most 14 h before its UTC day, so two days more than the retention are enough for every zone. */
const ZONE_SLACK_MS = 2 * DAY_MS;

/** What Redis shows of an experiment. */
export interface ExperimentCounts {
  experimentId: string;
  /** Units by variant, all allocation versions. */
  units: Map<string, number>;
  contaminated: number;
}

type Tables = Record<CellName, CellTable>;
const makeTables = (): Tables => Object.fromEntries(CELL_NAMES.map((name) => [name, new CellTable(CELLS[name].columns)])) as Tables;

export class EvaluateState {
  position = 0;
  /** Cells are missing that came before: sums may be too low, and must not replace higher ones. */
  lossy = false;
  readonly sources = new Sources();
  readonly bySource = makeTables();
  readonly totals = makeTables();
  /** (campaign's group, local day) → spendMicros, impressions. Negative days exist, so it is never written out. */
  days = new CellTable(2);
  readonly hours = new DirtyHours();
  readonly experiments = new Map<string, ExperimentCounts>();
  readonly dirtyExperiments = new Set<string>();
  readonly groups: GroupName[] = [];
  /** Cells that came after what they belong to was forgotten: counted, not shown. */
  forgottenCells = 0;
  readonly #groupIndex = new Map<string, number>();
  readonly #journal = new ByteWriter(16 * 1024);
  readonly #growth = new Float64Array(MAX_COLUMNS);
  readonly #values = new Float64Array(MAX_COLUMNS);
  #zoneOf: ((campaignId: string) => string) | null = null;
  #zones = new Map<string, string>();
  #groupsWritten = 0;
  #committed = 0;
  #snapshot: (CellWalk & { name: CellName })[] = [];
  #floorMs = { spend: Number.NEGATIVE_INFINITY, exposure: Number.NEGATIVE_INFINITY };

  get uncommitted(): boolean {
    return this.position !== this.#committed;
  }

  /** Whether days are known: after the first registry. */
  get registered(): boolean {
    return this.#zoneOf !== null;
  }

  groupOf(name: GroupName): number {
    const key = `${name.version}\u0000${name.entity}\u0000${name.variant}`; // no id holds U+0000
    let group = this.#groupIndex.get(key);
    if (group === undefined) {
      group = this.groups.length;
      this.#groupIndex.set(key, group);
      this.groups.push(name);
    }
    return group;
  }

  /** Takes a source's absolute values for one cell. */
  take(name: CellName, place: { group: number; source: number; time: number }, values: Float64Array): void {
    if (this.#forgotten(name, place.time)) {
      this.forgottenCells++;
      return;
    }
    if (mergeCell(this.bySource[name], this.totals[name], place, values, this.#growth) === -1) return;
    const { group, time } = place;
    if (name === 'spend') {
      this.hours.mark('spend', group, Math.floor(time / SLOTS_PER_HOUR));
      if (this.#zoneOf) this.#addToDay(group, time, this.#growth[0], this.#growth[1]);
    } else if (name === 'spendEvidence') this.hours.mark('spend', group, time);
    else if (name === 'units' || name === 'exposureEvidence') this.hours.mark('exposure', group, time);
    else this.#countUnits(name, group);
  }

  /** Takes the zones in force; days of campaigns whose zone is another one now are made again, the old ones shown as 0. */
  useZones(zoneOf: (campaignId: string) => string): void {
    const first = this.#zoneOf === null;
    this.#zoneOf = zoneOf;
    const moved = new Set<number>();
    for (let group = 0; group < this.groups.length; group++) {
      const { entity } = this.groups[group];
      const before = this.#zones.get(entity);
      const now = zoneOf(entity);
      if (before === now && !first) continue;
      this.#zones.set(entity, now);
      moved.add(group);
    }
    if (moved.size === 0) return;
    for (let i = 0; i < this.days.size; i++) {
      if (!moved.has(this.days.groupOf(i))) continue;
      this.days.values.fill(0, i * 2, i * 2 + 2);
      this.days.touchFor(i, TO_SEND);
    }
    const { spend } = this.totals;
    for (let i = 0; i < spend.size; i++) {
      if (moved.has(spend.groupOf(i))) this.#addToDay(spend.groupOf(i), spend.timeOf(i), spend.get(i, 0), spend.get(i, 1));
    }
  }

  /** Everything that lives is to be written again. */
  touchAll(): void {
    for (let i = 0; i < this.days.size; i++) this.days.touchFor(i, TO_SEND);
    for (const id of this.experiments.keys()) this.dirtyExperiments.add(id);
  }

  takeCommit(): Commit {
    const out = this.#journal;
    out.varint(this.groups.length - this.#groupsWritten);
    for (; this.#groupsWritten < this.groups.length; this.#groupsWritten++) {
      const { entity, version, variant } = this.groups[this.#groupsWritten];
      out.string(entity);
      out.varint(version);
      out.string(variant);
    }
    this.sources.writeChanged(out);
    out.f64(this.#floorMs.spend);
    out.f64(this.#floorMs.exposure);
    for (const name of CELL_NAMES) {
      const table = this.bySource[name];
      out.varint(table.changed(TO_COMMIT));
      table.takeChanged(TO_COMMIT, (index) => table.write(index, out));
    }
    out.u8(this.lossy ? 1 : 0);
    const commit = { from: this.#committed, to: this.position, changes: out.take() };
    this.#committed = this.position;
    return commit;
  }

  restore(commit: Commit): void {
    const from = new ByteReader(commit.changes);
    for (let left = from.varint(); left > 0; left--)
      this.groupOf({ entity: from.string(), version: from.varint(), variant: from.string() });
    this.#groupsWritten = this.groups.length;
    this.sources.readChanged(from);
    const floorMs = { spend: from.f64(), exposure: from.f64() };
    this.#floorMs = { spend: Number.NEGATIVE_INFINITY, exposure: Number.NEGATIVE_INFINITY };
    for (const name of CELL_NAMES) {
      for (let left = from.varint(); left > 0; left--) {
        const place = { group: from.varint(), source: from.varint(), time: from.varint() };
        for (let c = 0; c < CELLS[name].columns; c++) this.#values[c] = from.varint();
        this.take(name, place, this.#values);
      }
      this.bySource[name].takeChanged(TO_COMMIT, () => {});
    }
    this.lossy = from.u8() === 1;
    // Only now: a commit may hold cells below its floor, kept because Postgres does not have their hours yet.
    this.#floorMs = floorMs;
    this.position = commit.to;
    this.#committed = commit.to;
  }

  get byteLength(): number {
    return CELL_NAMES.reduce((sum, name) => sum + this.bySource[name].byteLength, 0);
  }

  /** From here on `snapshotSlice` writes all that a restore needs; groups and sources at once. */
  beginSnapshot(): void {
    this.#groupsWritten = 0;
    this.sources.touchAll();
    this.#snapshot = CELL_NAMES.map((name) => ({ name, index: 0, generation: -1 }));
  }

  /** Lists the next cells for the commit; true when all are listed. */
  snapshotSlice(cells: number): boolean {
    const done = this.#snapshot.every((place) => this.bySource[place.name].touchNext(place, cells, TO_COMMIT));
    if (done) this.#snapshot = [];
    return done;
  }

  begin(position: number): void {
    this.position = position;
    this.#committed = position;
  }

  /**
   * Forgets slots and hours whose day is over by more than the retention at every source's watermark, and which Postgres
   * has. An hour goes with all its cells or not at all, since a restore adds up what it finds: so this is done right after a
   * commit, when no cell is held back as changed, and not while a snapshot is being written. Returns how many cells went.
   */
  forgetOld(retentionMs: number): number {
    if (this.#snapshot.length > 0) return 0;
    let dropped = 0;
    for (const kind of ['spend', 'exposure'] as const) {
      const lowest = this.sources.floorMs(kind === 'spend' ? 'impressions' : 'exposures');
      if (lowest === null) continue;
      const floorMs = Math.floor((lowest - retentionMs - ZONE_SLACK_MS) / DAY_MS) * DAY_MS;
      if (floorMs <= this.#floorMs[kind]) continue;
      this.#floorMs[kind] = floorMs;
      const names: CellName[] = kind === 'spend' ? ['spend', 'spendEvidence'] : ['units', 'exposureEvidence'];
      for (const name of names) {
        const perHour = CELLS.units.slotMs / CELLS[name].slotMs;
        for (const table of [this.bySource[name], this.totals[name]]) {
          dropped += table.drop(
            (i) =>
              this.#forgotten(name, table.timeOf(i)) && !this.hours.isDirty(kind, table.groupOf(i), Math.floor(table.timeOf(i) / perHour)),
          );
        }
      }
    }
    const days = this.days;
    dropped += days.drop((i) => (days.timeOf(i) + 1) * DAY_MS + ZONE_SLACK_MS / 2 <= this.#floorMs.spend);
    return dropped;
  }

  #forgotten(name: CellName, time: number): boolean {
    if (name === 'unitsTotal' || name === 'contaminated') return false;
    const floorMs = name === 'spend' || name === 'spendEvidence' ? this.#floorMs.spend : this.#floorMs.exposure;
    return (time + 1) * CELLS[name].slotMs <= floorMs;
  }

  #addToDay(group: number, slot: number, spendMicros: number, impressions: number): void {
    const { entity } = this.groups[group];
    let zone = this.#zones.get(entity);
    if (zone === undefined) {
      zone = this.#zoneOf?.(entity) ?? 'UTC';
      this.#zones.set(entity, zone);
    }
    const index = this.days.at(group, 0, dayOfSlot(slot, zone));
    this.days.add(index, 0, spendMicros);
    this.days.add(index, 1, impressions);
    this.days.touchFor(index, TO_SEND);
  }

  #countUnits(name: 'unitsTotal' | 'contaminated', group: number): void {
    const { entity, variant } = this.groups[group];
    let counts = this.experiments.get(entity);
    if (counts === undefined) {
      counts = { experimentId: entity, units: new Map(), contaminated: 0 };
      this.experiments.set(entity, counts);
    }
    if (name === 'contaminated') counts.contaminated += this.#growth[0];
    else counts.units.set(variant, (counts.units.get(variant) ?? 0) + this.#growth[0]);
    this.dirtyExperiments.add(entity);
  }
}
