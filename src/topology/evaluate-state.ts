/**
 * What evaluate knows of its entities: each source's latest values, their sums, and what follows from them (days in the
 * campaigns' zones, units by variant, hours for Postgres). Only the sources' values are committed; the rest is made again.
 */
import { mergeCell } from '../operators/merge.ts';
import { ByteReader, ByteWriter } from '../state/bytes.ts';
import { CellTable, type CellWalk, TO_COMMIT } from '../state/cells.ts';
import { CampaignDays } from './evaluate-days.ts';
import { Experiments } from './evaluate-experiments.ts';
import { DirtyHours, type HourKind } from './evaluate-hours.ts';
import { Loss } from './evaluate-loss.ts';
import { Sources } from './evaluate-sources.ts';
import { CELL_NAMES, CELLS, type CellName, type GroupName } from './partials.ts';
import type { Commit } from './types.ts';

const SLOTS_PER_HOUR = CELLS.units.slotMs / CELLS.spend.slotMs;
const MAX_COLUMNS = 8;
const DAY_MS = 86_400_000;
/** Room for the offsets of zones: a local day ends at most 12 h after its UTC day. */
const ZONE_SLACK_MS = 2 * DAY_MS;
/**
 * A source that has never accepted anything has no watermark that would refuse old records. So that a first load of old
 * data there finds its hours, they are kept so much longer; not for ever, since a partition may well stay empty.
 */
const UNSEEN_SLACK_MS = 30 * DAY_MS;
/** Of a group, besides its text: what a snapshot needs for it at most. */
const GROUP_BYTES = 64;
const MAX_UTF8_PER_UNIT = 3;

type Tables = Record<CellName, CellTable>;
const makeTables = (): Tables => Object.fromEntries(CELL_NAMES.map((name) => [name, new CellTable(CELLS[name].columns)])) as Tables;

export class EvaluateState {
  position = 0;
  readonly loss = new Loss();
  readonly sources = new Sources();
  readonly bySource = makeTables();
  readonly totals = makeTables();
  readonly groups: GroupName[] = [];
  readonly days = new CampaignDays(this.groups, this.totals.spend);
  readonly experiments = new Experiments(this.groups);
  readonly hours = new DirtyHours();
  /** Cells that came after what they belong to was forgotten: counted, not shown. */
  forgottenCells = 0;
  readonly #groupIndex = new Map<string, number>();
  readonly #journal = new ByteWriter(16 * 1024);
  readonly #growth = new Float64Array(MAX_COLUMNS);
  readonly #values = new Float64Array(MAX_COLUMNS);
  #groupsWritten = 0;
  #nameBytes = 0;
  #committed = 0;
  #snapshot: (CellWalk & { name: CellName })[] = [];
  #floorMs = { spend: Number.NEGATIVE_INFINITY, exposure: Number.NEGATIVE_INFINITY };

  get uncommitted(): boolean {
    return this.position !== this.#committed;
  }

  groupOf(name: GroupName): number {
    const key = `${name.version}\u0000${name.entity}\u0000${name.variant}`; // no id holds U+0000
    let group = this.#groupIndex.get(key);
    if (group === undefined) {
      group = this.groups.length;
      this.#groupIndex.set(key, group);
      this.groups.push(name);
      this.#nameBytes += (name.entity.length + name.variant.length) * MAX_UTF8_PER_UNIT + GROUP_BYTES;
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
      this.days.grew(group, time, this.#growth[0], this.#growth[1]);
    } else if (name === 'spendEvidence') this.hours.mark('spend', group, time);
    else if (name === 'units' || name === 'exposureEvidence') this.hours.mark('exposure', group, time);
    else this.experiments.grew(name, group, this.#growth[0]);
  }

  /** The state is complete: days are made, and what has ended is no longer shown. */
  owned(): void {
    // One that was under way is not gone on with.
    this.#snapshot = [];
    this.days.restored();
    this.experiments.endOld(this.sources.watermarkMs('exposures'));
    this.touchAll();
  }

  /** Everything that lives is to be written again. */
  touchAll(): void {
    this.days.touchAll();
    this.experiments.touchAll();
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
    this.days.writeChangedZones(out);
    this.experiments.writeTimes(out, this.sources.watermarkMs('exposures'));
    this.loss.write(out);
    const commit = { from: this.#committed, to: this.position, changes: out.take() };
    this.#committed = this.position;
    return commit;
  }

  restore(commit: Commit): void {
    const from = new ByteReader(commit.changes);
    this.days.restoring();
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
    this.days.readZones(from);
    this.experiments.readTimes(from);
    this.loss.read(from);
    // Only now: a commit may hold cells below its floor, kept because Postgres does not have their hours yet.
    this.#floorMs = floorMs;
    this.days.floorMs = floorMs.spend;
    this.position = commit.to;
    this.#committed = commit.to;
  }

  /** What a snapshot would be about as large as. */
  get byteLength(): number {
    return CELL_NAMES.reduce((sum, name) => sum + this.bySource[name].byteLength, this.#nameBytes);
  }

  /** What it holds in memory, for metrics. */
  get sizes(): Record<'cells' | 'ids', { keys: number; bytes: number }> {
    const tables = [...Object.values(this.bySource), ...Object.values(this.totals), this.days.table];
    const sum = (of: (table: CellTable) => number): number => tables.reduce((total, table) => total + of(table), 0);
    return {
      cells: { keys: sum((table) => table.size), bytes: sum((table) => table.byteLength) },
      ids: { keys: this.groups.length, bytes: this.#nameBytes },
    };
  }

  /** From here on `snapshotSlice` writes all that a restore needs; all but cells at once. */
  beginSnapshot(): void {
    this.#groupsWritten = 0;
    this.sources.touchAll();
    this.days.touchZones();
    this.experiments.touchTimes();
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
   * commit, when no cell is held back as changed, and not while a snapshot is being written. Looks once a day of event time.
   */
  forgetOld(retentionMs: number): void {
    if (this.#snapshot.length > 0) return;
    for (const kind of ['spend', 'exposure'] as const) {
      const stream = kind === 'spend' ? 'impressions' : 'exposures';
      const lowest = this.sources.floorMs(stream);
      if (lowest === null) continue;
      const kept = retentionMs + ZONE_SLACK_MS + (this.sources.someUnseen(stream) ? UNSEEN_SLACK_MS : 0);
      const floorMs = Math.floor((lowest - kept) / DAY_MS) * DAY_MS;
      if (floorMs <= this.#floorMs[kind]) continue;
      this.#floorMs[kind] = floorMs;
      const names: CellName[] = kind === 'spend' ? ['spend', 'spendEvidence'] : ['units', 'exposureEvidence'];
      for (const name of names) this.#dropForgotten(kind, name);
      if (kind === 'spend') {
        this.days.floorMs = floorMs;
        this.days.forget();
      } else this.experiments.endOld(this.sources.watermarkMs('exposures'));
    }
  }

  #dropForgotten(kind: HourKind, name: CellName): void {
    const perHour = CELLS.units.slotMs / CELLS[name].slotMs;
    for (const table of [this.bySource[name], this.totals[name]]) {
      table.drop((i) => {
        const time = table.timeOf(i);
        return this.#forgotten(name, time) && !this.hours.isDirty(kind, table.groupOf(i), Math.floor(time / perHour));
      });
    }
  }

  #forgotten(name: CellName, time: number): boolean {
    if (name === 'unitsTotal' || name === 'contaminated') return false;
    const floorMs = name === 'spend' || name === 'spendEvidence' ? this.#floorMs.spend : this.#floorMs.exposure;
    return (time + 1) * CELLS[name].slotMs <= floorMs;
  }
}
