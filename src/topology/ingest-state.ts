/**
 * All that one source partition remembers, and its journal: the changes since the last commit, written as they happen, so
 * that a commit costs what changed and a restore is the same changes again.
 */
import type { LimitSettings, TimeSettings } from '../config.ts';
import { MAX_VARIANTS, type UnitKey } from '../operators/first-exposure.ts';
import { GroupTable } from '../operators/group.ts';
import { Watermark } from '../operators/watermark.ts';
import { ByteReader, type ByteWriter } from '../state/bytes.ts';
import { CellTable, type CellWalk, exactSum, TO_COMMIT } from '../state/cells.ts';
import { FingerprintStore, type MemoryBudget, TableWalk } from '../state/fingerprints.ts';
import type { SeededHash } from '../state/hash.ts';
import { Interner } from '../state/interner.ts';
import type { KeyBlock } from '../state/key-block.ts';
import { UnitStore, UnitWalk } from '../state/units.ts';
import { VariantTable } from '../state/variants.ts';
import { IngestJournal, readJournal } from './ingest-journal.ts';
import { Replay } from './ingest-replay.ts';
import { emptyTotals, type IngestTotals, type MoneyName, TOTALS } from './ingest-totals.ts';
import { CELL_NAMES, CELLS, type CellName, cellOfKind, KINDS_OF_STATE_1 } from './partials.ts';
import { Suspects, SuspectWalk } from './suspects.ts';
import type { ByteRef, Commit } from './types.ts';
import { DISPOSITIONS } from './types.ts';

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

export interface IngestStateOptions {
  time: TimeSettings;
  limits: LimitSettings;
  hash: SeededHash;
  budget: MemoryBudget;
  /** How many reasons for invalid records there are. */
  reasons: number;
}

export class IngestState {
  position = 0;
  /** The offset at which counting began; -1 before the task has begun. */
  origin = -1;
  /** State or records before `position` were lost: counts are too low, and some duplicates may be counted. */
  lossy = false;
  /** Kafka time of the last record judged; NaN before. */
  lastRecordMs = Number.NaN;
  readonly watermark: Watermark;
  readonly dedup: FingerprintStore;
  readonly suspects: Suspects;
  readonly units: UnitStore;
  /** Campaigns, or experiments. */
  readonly entities: Interner;
  readonly variants: VariantTable;
  readonly groups: GroupTable;
  readonly cells: Record<CellName, CellTable>;
  readonly totals: IngestTotals;
  readonly #journal = new IngestJournal();
  #journaledOldest = Number.NEGATIVE_INFINITY;
  #committed = 0;
  #snapshot: { dedup: TableWalk; suspects: SuspectWalk; units: UnitWalk; cells: (CellWalk & { name: CellName })[] } | null = null;

  constructor({ time, limits, hash, budget, reasons }: IngestStateOptions) {
    this.watermark = new Watermark(time.maxOutOfOrdernessMs);
    this.dedup = new FingerprintStore({ bucketMs: time.dedupBucketMs, ttlMs: time.dedupTtlMs, budget });
    this.suspects = new Suspects(time, budget);
    this.units = new UnitStore({ budget });
    this.entities = new Interner(hash, limits.maxIds);
    const nameOf = (experiment: number): string => utf8.decode(this.entities.bytesOf(experiment));
    this.variants = new VariantTable({ hash, maxOfOne: MAX_VARIANTS, maxIds: limits.maxIds, nameOf });
    this.groups = new GroupTable(hash, limits.maxIds);
    this.cells = Object.fromEntries(CELL_NAMES.map((name) => [name, new CellTable(CELLS[name].columns)])) as Record<CellName, CellTable>;
    this.totals = emptyTotals(reasons);
  }

  get byteLength(): number {
    const stores = this.dedup.byteLength + this.suspects.byteLength + this.units.byteLength;
    const ids = this.entities.byteLength + this.variants.byteLength + this.groups.byteLength;
    return CELL_NAMES.reduce((sum, name) => sum + this.cells[name].byteLength, stores + ids);
  }

  /** Whether there is anything a commit would add. */
  get uncommitted(): boolean {
    return this.position !== this.#committed || !this.#journal.empty;
  }

  /** Looks event_ids up, one after the other, and enters those that are absent and whose bucket is live. */
  enterIds(keys: KeyBlock): void {
    this.dedup.addBlock(keys);
    this.#journal.dedupBlock(keys, this.dedup.bucketMs);
  }

  /** The same for the keys of suspects, of accepted records. */
  enterSuspects(keys: KeyBlock): void {
    this.suspects.addBlock(keys);
    this.#journal.suspectBlock(keys, this.suspects.sliceMs);
    this.suspects.findOlder(keys);
  }

  /** Whether no id expires while event times are up to this one: then ids may be entered ahead. */
  isCalmUntil(eventTs: number): boolean {
    return this.watermark.after(eventTs) < this.dedup.expiresMs;
  }

  /** Throws StreamError total_overflow when the sum would not be exact any more. */
  addMoney(name: MoneyName, micros: number): void {
    const { sums } = this.totals;
    sums[name] = exactSum(sums[name], micros);
  }

  /** The number of a variant among those of its experiment. */
  variantOf(experiment: number, variantId: ByteRef): number {
    const { size } = this.variants;
    const variant = this.variants.intern(experiment, variantId);
    if (this.variants.size > size) this.#journal.variant(experiment, variantId);
    return variant;
  }

  /** Notes a unit whose payload judgeExposure has changed. */
  journalUnit({ experiment, hi, lo, payload }: UnitKey): void {
    this.#journal.unit(experiment, hi, lo, payload);
  }

  touchExperiment(experiment: number, eventTs: number): void {
    if (eventTs <= this.units.lastTouched(experiment)) return;
    this.units.touch(experiment, eventTs);
    this.#journal.touch(experiment, eventTs);
  }

  /** The watermark follows an accepted record; buckets that it has passed are gone. True when it moved. */
  observe(eventTs: number): boolean {
    if (!this.watermark.observe(eventTs)) return false;
    this.dedup.advance(this.watermark.ms);
    this.suspects.advance(this.watermark.ms);
    // An id that comes again after its bucket has gone is entered anew: a restore must have dropped that bucket before. (What is gone
    // with its suspects takes no records any more.)
    if (this.dedup.oldestBucket === this.#journaledOldest) return true;
    this.#journaledOldest = this.dedup.oldestBucket;
    this.#journal.watermark(this.watermark.highestEventTs);
    return true;
  }

  /** Drops the units and variants of experiments without an accepted exposure since the cutoff. */
  forgetExperiments(cutoffMs: number): void {
    for (const experiment of this.units.expire(cutoffMs)) {
      this.variants.forget(experiment);
      this.#journal.forgotten(experiment);
    }
  }

  forgetIfExpired(experiment: number, cutoffMs: number): void {
    if (!(this.units.lastTouched(experiment) < cutoffMs)) return;
    this.forget(experiment);
    this.#journal.forgotten(experiment);
  }

  /** The commit from the last one to here, whose bytes last until the next. What was sent must have been acknowledged. */
  takeCommit(): Commit {
    if (this.lossy) this.#journal.lossy();
    const out = this.#journal.end();
    out.varint(this.origin);
    optional(out, this.watermark.highestEventTs);
    optional(out, this.lastRecordMs);
    for (const count of this.totals.dispositions) out.varint(count);
    out.varint(this.totals.reasons.length);
    for (const count of this.totals.reasons) out.varint(count);
    for (const name of TOTALS) out.varint(this.totals.sums[name]);
    this.entities.writeNew(out);
    this.groups.writeNew(out);
    for (const name of CELL_NAMES) {
      const table = this.cells[name];
      if (table.changed(TO_COMMIT) === 0) continue;
      out.u8(CELLS[name].kind);
      table.writeChanged(TO_COMMIT, out);
    }
    const commit = { from: this.#committed, to: this.position, changes: this.#journal.take() };
    this.#committed = this.position;
    return commit;
  }

  /** Applies one commit of an earlier owner, some ms of it a step. Half applied it is of no use. */
  *restore(commit: Commit): Generator<void> {
    const from = new ByteReader(commit.changes);
    const changes = new Replay(this);
    let format = readJournal(from, changes);
    for (changes.flush(); format === null; changes.flush()) {
      yield;
      format = readJournal(from, changes);
    }
    this.origin = from.varint();
    const highest = optionalOf(from);
    if (Number.isFinite(highest)) this.advance(highest);
    this.lastRecordMs = optionalOf(from);
    for (let i = 0; i < DISPOSITIONS.length; i++) this.totals.dispositions[i] = from.varint();
    for (let i = 0, reasons = from.varint(); i < reasons; i++) this.totals.reasons[i] = from.varint();
    for (const name of TOTALS) this.totals.sums[name] = from.varint();
    this.entities.readNew(from);
    this.groups.readNew(from);
    if (format === 1) for (let kind = 0; kind < KINDS_OF_STATE_1; kind++) this.#readCells(kind, from);
    else while (!from.done) this.#readCells(from.u8(), from);
    this.position = commit.to;
    this.#committed = commit.to;
  }

  /** From here on `snapshotSlice` writes all that a restore needs; ids and marks at once. */
  beginSnapshot(): void {
    for (const ids of [this.entities, this.groups]) ids.rewind();
    const cells = CELL_NAMES.map((name) => ({ name, index: 0, generation: -1 }));
    this.#snapshot = { dedup: new TableWalk(), suspects: new SuspectWalk(), units: new UnitWalk(), cells };
    this.#journal.room(this.dedup.size, this.suspects.older);
    this.units.eachSize((experiment, units) => this.#journal.unitsRoom(experiment, units));
    this.variants.visit((experiment, id) => this.#journal.variant(experiment, { bytes: id, start: 0, end: id.length }));
    for (let experiment = 0; experiment < this.entities.size; experiment++) {
      const touchedMs = this.units.lastTouched(experiment);
      if (Number.isFinite(touchedMs)) this.#journal.touch(experiment, touchedMs);
    }
    if (Number.isFinite(this.watermark.highestEventTs)) this.#journal.watermark(this.watermark.highestEventTs);
  }

  /** Writes the next `slots` slots of the tables into the journal, or lists so many cells; true when all is written. */
  snapshotSlice(slots: number): boolean {
    const places = this.#snapshot;
    if (places === null) return true;
    const done =
      this.dedup.walk(places.dedup, slots, (hi, lo, bucket) => this.#journal.dedup(hi, lo, bucket)) &&
      this.suspects.walk(places.suspects, slots, this.#journal) &&
      this.units.walk(places.units, slots, (experiment, hi, lo, payload) => this.#journal.unit(experiment, hi, lo, payload)) &&
      places.cells.every((place) => this.cells[place.name].touchNext(place, slots, TO_COMMIT));
    if (done) this.#snapshot = null;
    return done;
  }

  dispose(): void {
    for (const store of [this.dedup, this.suspects, this.units]) store.clear();
  }

  /** Begins without a state. */
  begin(position: number): void {
    this.origin = position;
    this.position = position;
    this.#committed = position;
  }

  /** Units and variants of an experiment, without a word to the journal. */
  forget(experiment: number): void {
    this.units.forget(experiment);
    this.variants.forget(experiment);
  }

  #readCells(kind: number, from: ByteReader): void {
    const name = cellOfKind(kind, 'state_newer_format');
    for (let left = from.varint(); left > 0; left--) this.cells[name].read(from);
  }

  /** Follows the highest accepted event time without a word to the journal. */
  advance(highestEventTs: number): void {
    this.watermark.observe(highestEventTs);
    this.dedup.advance(this.watermark.ms);
    this.suspects.advance(this.watermark.ms);
  }
}

const optional = (out: ByteWriter, value: number): void => {
  out.u8(Number.isFinite(value) ? 1 : 0);
  if (Number.isFinite(value)) out.f64(value);
};

const optionalOf = (from: ByteReader): number => (from.u8() === 1 ? from.f64() : Number.NEGATIVE_INFINITY);
