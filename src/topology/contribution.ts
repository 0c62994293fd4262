/** What one source partition contributes to windows, lives and evidence, as cells that only grow. */
import type { LimitSettings, SrmSettings, TimeSettings } from '../config.ts';
import type { DecodedEvent } from '../operators/decode.ts';
import { FLAG } from '../operators/event-columns.ts';
import { closedUntil } from '../operators/window.ts';
import type { CellTable } from '../state/cells.ts';
import { CampaignBlock } from './campaign-block.ts';
import type { IngestBlock } from './ingest-block.ts';
import type { IngestState } from './ingest-state.ts';
import { LastCells } from './last-cells.ts';
import { CELLS, type CellName } from './partials.ts';
import { PendingEvidence } from './pending-evidence.ts';
import { PendingSpend } from './pending-spend.ts';
import { SegmentValues } from './segment-values.ts';
import { SurfaceSpend } from './surface-spend.ts';
import type { ByteRef, Stream } from './types.ts';
import { UnitSample } from './unit-sample.ts';

/** A unit that was assigned longer before its exposure counts as this long: one wrong clock must not drown the others. */
const MAX_LAG_MS = 7 * 86_400_000;
const NO_ENTITY: ByteRef = { bytes: new Uint8Array(0), start: 0, end: 0 };

/** So many cells are looked through in some 10 ms. */
const CELLS_AT_ONCE = 100_000;
/** So many blocks in a row: where records straddle two quarter hours, each move puts all sums into cells. */
const MOVED_AFTER = 8;
/** Tables of which cells are forgotten. */
const CLOSING = ['spend', 'units', 'surfaceSpend', 'spendEvidence', 'exposureEvidence'] as const;

/** Why the stream may differ from the truth. In `spendEvidence` each has two columns, records and micros; in `exposureEvidence` one, and the last none. */
export const EVIDENCE = { late: 0, duplicate: 1, suspected: 2, invalidTraffic: 3 } as const;
export type Evidence = (typeof EVIDENCE)[keyof typeof EVIDENCE];

export interface ContributionOptions {
  stream: Stream;
  time: TimeSettings;
  limits: LimitSettings;
  srm: SrmSettings;
}

export class Contribution {
  /** Units counted since the last emission, a few of them. */
  readonly sample: UnitSample;
  readonly #options: ContributionOptions;
  readonly #state: IngestState;
  readonly #surfaces: SurfaceSpend;
  readonly #campaigns: CampaignBlock;
  readonly #spend: PendingSpend;
  readonly #evidence: PendingEvidence;
  readonly #unitCells: LastCells;
  /** Of exposures, or of assignments. */
  readonly #totalCells: LastCells;
  /** How many blocks in a row had most of their spend in another quarter hour than the one that is added up, or for campaigns that were new. */
  #blocksElsewhere = 0;
  readonly #segments: SegmentValues;
  readonly #addSegment: (segment: number) => void;
  /** Of the exposure whose segments are being counted. */
  #group = 0;
  /** Of the table that is next. */
  #turn = 0;
  /** Up to where each table's slots had closed when it was last looked through. */
  readonly #closedMs = Object.fromEntries(CLOSING.map((name) => [name, Number.NEGATIVE_INFINITY])) as Record<
    (typeof CLOSING)[number],
    number
  >;

  constructor(options: ContributionOptions, state: IngestState) {
    this.#options = options;
    this.#state = state;
    this.#surfaces = new SurfaceSpend(state);
    this.#campaigns = new CampaignBlock(state);
    this.#spend = new PendingSpend(state.cells.spend);
    this.#evidence = new PendingEvidence(options.stream === 'impressions' ? state.cells.spendEvidence : state.cells.exposureEvidence);
    this.#unitCells = new LastCells(state.cells.units);
    this.#totalCells = new LastCells(options.stream === 'exposures' ? state.cells.unitsTotal : state.cells.assigned);
    this.sample = new UnitSample(options.srm.unitsSampled);
    this.#segments = new SegmentValues(options.srm, (name) => state.groups.intern(NO_ENTITY, 0, name));
    this.#addSegment = (segment) => this.#addOne('segmentUnits', this.#group, segment);
  }

  /** The state is complete: values of dimensions that were told apart before are so again. */
  owned(): void {
    const { groups } = this.#state;
    for (let group = 0; group < groups.size; group++) this.#segments.learn(group, groups.nameOf(group).variant);
  }

  /** Finds the groups of a block of impressions, and reads what is added up of them, so that it waits in the cache. The result means nothing. */
  warm(block: IngestBlock): number {
    this.#campaigns.find(block);
    return this.#spend.warm(this.#campaigns.groups, block.size);
  }

  /** Accepted impressions of the block that was warmed: the first `count` of these records. They are valid traffic. */
  impressions(block: IngestBlock, records: Uint8Array, count: number): void {
    const { columns } = block;
    const { eventTs, spendMicros } = columns;
    const spend = this.#spend;
    const left = spend.add(columns, this.#campaigns.groups, records, count);
    for (let k = 0; k < left; k++) {
      const i = spend.left[k];
      spend.addOne(this.#campaigns.group(block, i), eventTs[i], spendMicros[i]);
    }
    this.#blocksElsewhere = 2 * left > count ? this.#blocksElsewhere + 1 : 0;
    if (this.#blocksElsewhere === MOVED_AFTER) {
      this.#blocksElsewhere = 0;
      spend.moveTo(eventTs[records[count - 1]]);
    }
    this.#surfaces.add(block, records, count);
  }

  /** Puts what was added up into cells: before they are looked at. */
  settle(): void {
    this.settleNext(Number.POSITIVE_INFINITY);
  }

  /** The same for so many sums; true when none is left. */
  settleNext(most: number): boolean {
    if (!this.#spend.settleNext(most)) return false;
    this.#surfaces.settle();
    this.#evidence.settle();
    return true;
  }

  /** Record `i` of the block. */
  firstExposure(block: IngestBlock, i: number, group: number): void {
    const { units, unitsTotal } = this.#state.cells;
    const { eventTs, flags } = block.columns;
    addOneTo(units, this.#unitCells.at(group, Math.floor(eventTs[i] / CELLS.units.slotMs)));
    addOneTo(unitsTotal, this.#totalCells.at(group, 0));
    this.#timing(block, i, group);
    this.sample.add(group, block.unit(i));
    if ((flags[i] & FLAG.attributes) === 0) return;
    this.#group = group;
    this.#segments.each(block.attributes(i), this.#addSegment);
  }

  /** The first accepted assignment of a unit. */
  assigned(block: IngestBlock, i: number, group: number): void {
    const { assigned } = this.#state.cells;
    addOneTo(assigned, this.#totalCells.at(group, 0));
    this.sample.add(group, block.unit(i));
  }

  /** A unit that was seen in another variant for the first time. */
  contaminated(event: DecodedEvent): void {
    this.#addOne('contaminated', this.#state.groups.intern(event.entityId), 0);
  }

  /** By hour of event time: what the reconciler explains a difference with. Very old hours are only counted. Of good record `i` of the block, judged at that watermark. */
  evidence(kind: Evidence, block: IngestBlock, i: number, watermarkMs: number): void {
    const { stream, limits } = this.#options;
    const { totals } = this.#state;
    const { eventTs, spendMicros } = block.columns;
    if (kind === EVIDENCE.late && stream === 'exposures') this.#addOne('lateUnits', this.#groupOf(block.event(i)), 0);
    if (eventTs[i] + limits.evidenceMs <= watermarkMs) {
      totals.sums.outdatedEvidence++;
      return;
    }
    if (stream === 'impressions') {
      const hour = Math.floor(eventTs[i] / CELLS.spendEvidence.slotMs);
      this.#evidence.add({ group: this.#campaigns.group(block, i), hour, column: kind * 2 }, spendMicros[i]);
    } else if (stream === 'exposures') {
      const hour = Math.floor(eventTs[i] / CELLS.exposureEvidence.slotMs);
      this.#evidence.add({ group: this.#groupOf(block.event(i)), hour, column: kind });
    }
  }

  /**
   * Forgets cells that no record can change any more. A table is looked through when another of its slots has closed; large ones
   * one a call, in turn. Call when all changes are committed.
   */
  dropClosed(): void {
    const watermarkMs = this.#state.watermark.ms;
    let left = CELLS_AT_ONCE;
    for (let turn = 0; turn < CLOSING.length && left > 0; turn++) {
      const name = CLOSING[this.#turn];
      this.#turn = (this.#turn + 1) % CLOSING.length;
      const { slotMs } = CELLS[name];
      const closedMs = Math.floor(watermarkMs / slotMs) * slotMs;
      if (!(closedMs > this.#closedMs[name])) continue;
      this.#closedMs[name] = closedMs;
      const cells = this.#state.cells[name];
      left -= cells.size;
      cells.drop((index) => this.#isClosed(name, (cells.timeOf(index) + 1) * slotMs, watermarkMs));
    }
  }

  #isClosed(name: CellName, endMs: number, watermarkMs: number): boolean {
    const { time, limits } = this.#options;
    if (name === 'spendEvidence' || name === 'exposureEvidence') return endMs + limits.evidenceMs <= watermarkMs;
    return closedUntil(endMs, watermarkMs, time);
  }

  #timing({ columns }: IngestBlock, i: number, group: number): void {
    const assignedTs = columns.assignedTs[i];
    const eventTs = columns.eventTs[i];
    if (Number.isNaN(assignedTs)) return;
    const cells = this.#state.cells.exposureTiming;
    const index = cells.at(group, 0, 0);
    cells.add(index, 0, 1);
    if (assignedTs > eventTs) cells.add(index, 1, 1);
    else cells.add(index, 2, Math.min(eventTs - assignedTs, MAX_LAG_MS));
    cells.touch(index);
  }

  #groupOf({ entityId, allocationVersion, variantId }: DecodedEvent): number {
    return this.#state.groups.intern(entityId, allocationVersion, variantId);
  }

  #addOne(name: CellName, group: number, time: number): void {
    const cells = this.#state.cells[name];
    addOneTo(cells, cells.at(group, 0, time));
  }
}

function addOneTo(cells: CellTable, index: number): void {
  cells.add(index, 0, 1);
  cells.touch(index);
}
