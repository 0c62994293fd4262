/**
 * What evaluate knows of its entities: each source's latest values, their sums, and what follows from them (days in the
 * campaigns' zones, units by variant, hours for Postgres). Only the sources' values are committed; the rest is made again.
 */
import { AlertBook } from '../alerts/book.ts';
import { type CellPlace, mergeCell } from '../operators/merge.ts';
import { ByteReader, ByteWriter } from '../state/bytes.ts';
import { CELL_BLOCK, type CellWalk, TO_COMMIT } from '../state/cells.ts';
import { SEED_BYTES, SeededHash } from '../state/hash.ts';
import type { IdBlock } from '../state/id-block.ts';
import type { Adjustment } from './adjustments.ts';
import { Adjustments } from './evaluate-adjustments.ts';
import { CommittedCells, makeTables, sizeOf } from './evaluate-commits.ts';
import { Credits } from './evaluate-credits.ts';
import { CampaignDays } from './evaluate-days.ts';
import { Experiments } from './evaluate-experiments.ts';
import { Forgetting } from './evaluate-forgetting.ts';
import { Groups } from './evaluate-groups.ts';
import { DirtyHours } from './evaluate-hours.ts';
import { isForgotten } from './evaluate-kept.ts';
import { Loss } from './evaluate-loss.ts';
import { isSectioned, readSections, SECTIONS, type Section, skipZones, writeSections } from './evaluate-sections.ts';
import { SegmentCells } from './evaluate-segments.ts';
import { Sources } from './evaluate-sources.ts';
import { Fleet } from './fleet.ts';
import { CELL_NAMES, CELLS, type CellBlock, type CellName, cellOfKind, type GroupName, KINDS_OF_STATE_1 } from './partials.ts';
import type { Commit } from './types.ts';

const SLOTS_PER_HOUR = CELLS.units.slotMs / CELLS.spend.slotMs;
const MAX_COLUMNS = 8;

export class EvaluateState {
  position = 0;
  readonly loss = new Loss();
  readonly sources = new Sources();
  readonly bySource = makeTables();
  readonly totals = makeTables();
  readonly credits = new Credits();
  readonly adjustments = new Adjustments(this.totals.spend, (group, slot, micros, count) =>
    this.credits.moved(this.days.grew(group, slot, micros, count), micros),
  );
  readonly #groups: Groups;
  readonly groups: readonly GroupName[];
  readonly days: CampaignDays;
  readonly experiments: Experiments;
  readonly hours = new DirtyHours();
  readonly alerts = new AlertBook();
  /** In partition 0 only. */
  readonly fleet = new Fleet();
  /** Cells that came after what they belong to was forgotten: counted, not shown. */
  forgottenCells = 0;
  /** Of experiments: what nobody adds up before it is asked for. */
  readonly segments = new SegmentCells(this.bySource.segmentUnits);
  /** Told of all that grows; of cells of segments only where an emission has several records. `place` is reused. */
  readonly growing: ((name: CellName, place: CellPlace, growth: Float64Array, isPart: boolean) => void)[] = [];
  isPart = false; // the record being taken is one of several of its emission
  /** Told of spend counted on a day. */
  onSpend: ((group: number, day: number, micros: number) => void) | null = null;
  readonly #journal = new ByteWriter(16 * 1024);
  readonly #growth = new Float64Array(MAX_COLUMNS);
  readonly #values = new Float64Array(MAX_COLUMNS);
  readonly #place: CellPlace = { group: 0, source: 0, time: 0 };
  readonly #committedCells = new CommittedCells();
  #committed = 0;
  #snapshot: (CellWalk & { name: CellName })[] = [];
  readonly #forgetting: Forgetting;
  #floorRead: Forgetting['floorMs'];
  readonly #sections = new Map<number, Section>();

  /**
   * @param hash for tables in memory; nothing of it is kept
   * @param maxIds so many groups at most: then StreamError too_many_ids
   */
  constructor(hash = new SeededHash(new Uint8Array(SEED_BYTES)), maxIds = Number.POSITIVE_INFINITY) {
    this.#groups = new Groups(hash, maxIds);
    this.groups = this.#groups.names;
    this.days = new CampaignDays(this.groups, this.totals.spend, this.adjustments);
    this.experiments = new Experiments(this.#groups, this.totals);
    this.#forgetting = new Forgetting(this);
    this.#floorRead = this.#forgetting.floorMs;
    for (const section of this.#ownSections()) this.keep(section);
  }

  get uncommitted(): boolean {
    return this.position !== this.#committed || this.alerts.uncommitted;
  }

  /** Puts the numbers of groups beside their names, as these lie in a partial. */
  groupsOf(names: IdBlock): number {
    return this.#groups.ofAll(names);
  }

  /** The number of a campaign's group. */
  groupNamed(entity: string): number {
    return this.#groups.named({ entity, version: 0, variant: '' });
  }

  /** Takes a source's absolute values of some cells. What it returns means nothing: it was read ahead, and must seem to be used. */
  take(source: number, cells: CellBlock): number {
    const { name, size, groups, times } = cells;
    const sources = this.bySource[name];
    const totals = name === 'segmentUnits' ? null : this.totals[name];
    const { floorMs } = this.#forgetting;
    const read = this.#warm(source, cells);
    const place = this.#place;
    place.source = source;
    for (let i = 0; i < size; i++) {
      place.group = groups[i];
      place.time = times[i];
      for (let c = 0; c < sources.columns; c++) this.#values[c] = cells.values[i * sources.columns + c];
      if (isForgotten(name, place.time, floorMs)) this.forgottenCells++;
      else if (mergeCell(sources, totals, place, { values: this.#values, growth: this.#growth })) this.#grew(name, place);
    }
    if (totals === null) this.segments.chain(2 * CELL_BLOCK);
    return read;
  }

  /** Reads what taking them will, so that it waits in the cache. */
  #warm(source: number, cells: CellBlock): number {
    const { name, size, groups, times } = cells;
    let read = this.bySource[name].warmAll(groups, source, times, size);
    if (name !== 'segmentUnits') read += this.totals[name].warmAll(groups, 0, times, size);
    if (name === 'spend') {
      read += this.hours.warm('spend', cells, SLOTS_PER_HOUR);
      for (let i = 0; i < size; i++) read += this.days.warm(groups[i]);
    }
    return read;
  }

  #grew(name: CellName, place: CellPlace): void {
    const { group, time } = place;
    if (name === 'segmentUnits' && !this.isPart) return;
    if (name === 'spend') {
      this.hours.mark('spend', group, Math.floor(time / SLOTS_PER_HOUR));
      const day = this.days.grew(group, time, this.#growth[0], this.#growth[1]);
      if (day !== null) this.onSpend?.(group, day, this.#growth[0]);
      this.adjustments.cellsGrew(group, time);
    } else if (name === 'spendEvidence') this.hours.mark('spend', group, time);
    else if (name === 'units' || name === 'exposureEvidence') this.hours.mark('exposure', group, time);
    else if (name === 'unitsTotal' || name === 'contaminated') this.experiments.grew(group);
    for (const told of this.growing) told(name, place, this.#growth, this.isPart);
  }

  /** Takes an hour that the reconciler has settled; one that is forgotten here already changes nothing. True when it stands now. */
  adjust(adjustment: Adjustment): boolean {
    if (adjustment.hourMs + CELLS.units.slotMs <= this.#forgetting.floorMs.spend) return false;
    const group = this.groupNamed(adjustment.campaignId);
    return this.credits.watch(group, () => this.adjustments.take(group, adjustment));
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
    writeSections(out, this.#sections.values());
    const from = this.#committed;
    this.#committed = this.position;
    return { from, to: this.position, changes: out.take() };
  }

  /** Some ms a step; half read it is of no use. @throws StreamError state_newer_format */
  *restore(commit: Commit): Generator<void> {
    this.days.restoring();
    this.sources.readArriving(null);
    this.#floorRead = this.#forgetting.floorMs;
    // Until all is read: a commit may hold cells below its floor, kept because Postgres does not have their hours yet.
    this.#forgetting.floorMs = { spend: Number.NEGATIVE_INFINITY, exposure: Number.NEGATIVE_INFINITY };
    if (isSectioned(commit.changes)) yield* readSections(commit.changes, this.#sections);
    else yield* this.#readFormat1(new ByteReader(commit.changes));
    this.#forgetting.floorMs = this.#floorRead;
    this.days.floorMs = this.#floorRead.spend;
    this.#forgetting.restored();
    this.begin(commit.to);
  }

  /** What a part keeps goes with the commits from now on; before the first `restore`. */
  keep(section: Section): void {
    if (this.#sections.has(section.id)) throw new RangeError(`two sections ${section.id}`);
    this.#sections.set(section.id, section);
  }

  /** In the order in which a restore needs them. */
  #ownSections(): Section[] {
    const [groups, { sources, experiments, loss }] = [this.#groups, this];
    return [
      { id: SECTIONS.groups, write: (out) => groups.writeNew(out), read: (from) => groups.readNew(from) },
      { id: SECTIONS.sources, write: (out) => sources.writeChanged(out), read: (from) => sources.readChanged(from) },
      { id: SECTIONS.cells, write: (out) => this.#writeCells(out), read: (from) => this.#readCells(from) },
      // Once the zones of what Redis shows: nothing of them need be remembered any more.
      { id: SECTIONS.zones, write: () => {}, read: (from) => skipZones(from) },
      {
        id: SECTIONS.lives,
        write: (out) => experiments.writeTimes(out, sources.watermarkMs('exposures')),
        read: (from) => experiments.readTimes(from),
      },
      { id: SECTIONS.loss, write: (out) => loss.write(out), read: (from) => loss.read(from) },
      { id: SECTIONS.arriving, write: (out) => sources.writeArriving(out), read: (from) => sources.readArriving(from) },
      sources.counted,
      this.alerts,
      this.fleet,
      this.adjustments,
    ];
  }

  #writeCells(out: ByteWriter): void {
    out.f64(this.#forgetting.floorMs.spend);
    out.f64(this.#forgetting.floorMs.exposure);
    for (const name of CELL_NAMES) {
      const table = this.bySource[name];
      if (table.changed(TO_COMMIT) === 0) continue;
      out.u8(CELLS[name].kind);
      table.writeChanged(TO_COMMIT, out);
    }
  }

  *#readCells(from: ByteReader): Generator<void> {
    this.#floorRead = { spend: from.f64(), exposure: from.f64() };
    while (!from.done) yield* this.#readCellsOf(cellOfKind(from.u8(), 'state_newer_format'), from);
  }

  *#readCellsOf(name: CellName, from: ByteReader): Generator<void> {
    yield* this.#committedCells.read(name, from, (source, cells) => this.take(source, cells));
    this.bySource[name].takeChanged(TO_COMMIT);
  }

  /** States of version 0.1: the same without sections, and six kinds of cells. */
  *#readFormat1(from: ByteReader): Generator<void> {
    yield* this.#groups.readNew(from);
    this.sources.readChanged(from);
    this.#floorRead = { spend: from.f64(), exposure: from.f64() };
    for (let kind = 0; kind < KINDS_OF_STATE_1; kind++) yield* this.#readCellsOf(cellOfKind(kind, 'state_newer_format'), from);
    skipZones(from);
    this.experiments.readTimes(from);
    this.loss.read(from);
  }

  /** What a snapshot would be about as large as. */
  get byteLength(): number {
    return sizeOf(Object.values(this.bySource)).bytes + this.#groups.byteLength;
  }

  /** What it holds in memory, for metrics. */
  get sizes(): Record<'cells' | 'ids', { keys: number; bytes: number }> {
    const tables = [...Object.values(this.bySource), ...Object.values(this.totals), this.days.table];
    return { cells: sizeOf(tables), ids: { keys: this.groups.length, bytes: this.#groups.byteLength } };
  }

  /** From here on `snapshotSlice` writes all that a restore needs; all but cells at once. */
  beginSnapshot(): void {
    this.#groups.rewind();
    this.sources.touchAll();
    this.experiments.touchTimes();
    for (const section of this.#sections.values()) section.touchAll?.();
    this.#snapshot = CELL_NAMES.map((name) => ({ name, index: 0, generation: -1 }));
  }

  /** Lists the next cells for the commit; true when all are listed. None while some are half forgotten. */
  snapshotSlice(cells: number): boolean {
    if (this.#forgetting.isUnderWay) return false;
    if (!this.#snapshot.every((place) => this.bySource[place.name].touchNext(place, cells, TO_COMMIT))) return false;
    this.#snapshot = [];
    return true;
  }

  begin(position: number): void {
    this.position = position;
    this.#committed = position;
  }

  get isForgetting(): boolean {
    return this.#forgetting.isUnderWay;
  }

  /** Hours that were taken are in Postgres, or are not. */
  hoursLanded(written: boolean): void {
    // Of what came in since they were taken nothing is old.
    if (this.hours.landed(written)) this.#forgetting.allLanded();
  }

  /** Forgets what is old, bit by bit; right after a commit. */
  forgetOld(retentionMs: number): void {
    if (!this.#forgetting.isUnderWay && this.#snapshot.length === 0) this.#forgetting.begin(retentionMs);
    this.#forgetting.goOn();
  }
}
