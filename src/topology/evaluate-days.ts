/** Spend by local day, in the campaigns' zones: sums of quarter hours, made again after a restore and when a zone changes. */
import { dayOfSlot } from '../operators/days.ts';
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import { CellTable, TO_SEND } from '../state/cells.ts';
import type { AddToSlot } from './evaluate-adjustments.ts';
import type { GroupName } from './partials.ts';

const DAY_MS = 86_400_000;
/** No zone is further ahead of UTC. */
const MAX_OFFSET_MS = 14 * 3_600_000;

export type ZoneOf = (campaignId: string) => string;

/** The earliest instant that can belong to a local day, in whatever zone. */
export const earliestOf = (day: number): number => day * DAY_MS - MAX_OFFSET_MS;

export class CampaignDays {
  /** (campaign's group, local day) → spendMicros, impressions. Negative days exist, so it is never written out. */
  table = new CellTable(2);
  /** By group: the cell last found. A guess. */
  readonly #lastCells: number[] = [];
  /** Quarter hours before this may be forgotten: days that may need them are over and no longer shown. */
  floorMs = Number.NEGATIVE_INFINITY;
  readonly #groups: readonly GroupName[];
  /** Quarter hours of all sources together. */
  readonly #slots: CellTable;
  readonly #adjustments: { each(add: AddToSlot): void };
  #zoneOf: ZoneOf | null = null;
  /** All quarter hours that are to be there are there. */
  #complete = true;
  /** The table holds what the quarter hours add up to. */
  #made = false;
  readonly #zones = new Map<number, string>();
  /** The zones of the days that Redis shows: what a restart must know, to take back what a change of zone has left there. */
  readonly #shown = new Map<number, string>();
  #moved = new Map<number, string>();
  #sending = new Map<number, string>();
  readonly #toCommit = new Set<number>();

  /** @param adjustments what is to be added to quarter hours */
  constructor(groups: readonly GroupName[], slots: CellTable, adjustments: { each(add: AddToSlot): void }) {
    this.#groups = groups;
    this.#slots = slots;
    this.#adjustments = adjustments;
  }

  /** Whether zones are known: after the first registry. */
  get registered(): boolean {
    return this.#zoneOf !== null;
  }

  /** Takes the zones in force. Days of a campaign whose zone is another one now are made again, the old ones shown as 0. */
  useZones(zoneOf: ZoneOf): void {
    this.#zoneOf = zoneOf;
    this.#settle();
  }

  /** A restore has begun: quarter hours are coming, days are made when it is over. */
  restoring(): void {
    this.#complete = false;
    this.#made = false;
  }

  restored(): void {
    this.#complete = true;
    this.#settle();
  }

  /** A quarter hour has grown, or is another one after an adjustment: then amounts may be negative. */
  grew(group: number, slot: number, spendMicros: number, impressions: number): void {
    if (this.#made) this.#add(group, slot, spendMicros, impressions);
  }

  /** Reads the day that a campaign's spend will most likely go to, so that it waits in the cache. The result means nothing. */
  warm(group: number): number {
    return this.table.warm(this.#lastCells[group] ?? -1);
  }

  touchAll(): void {
    for (let i = 0; i < this.table.size; i++) this.table.touchFor(i, TO_SEND);
  }

  /** All changed days have been handed over to be written; `delivered` follows when they are. */
  sending(): void {
    this.#sending = this.#moved;
    this.#moved = new Map();
  }

  /** `refused`: a higher version stood somewhere; until this one has passed it, what moved is sent again. */
  delivered(refused: boolean): void {
    if (refused && this.#sending.size > 0) {
      this.#moved = new Map([...this.#sending, ...this.#moved]);
      for (let i = 0; i < this.table.size; i++) if (this.#sending.has(this.table.groupOf(i))) this.table.touchFor(i, TO_SEND);
    } else for (const [group, zone] of this.#sending) this.#show(group, zone);
    this.#sending = new Map();
  }

  /** Days end whole, before the first of their quarter hours may be forgotten: what is shown is never part of a day. */
  forget(): number {
    return this.table.drop((i) => this.#isOver(this.table.timeOf(i)));
  }

  /** All zones are to be written again. */
  touchZones(): void {
    for (const group of this.#shown.keys()) this.#toCommit.add(group);
  }

  writeChangedZones(to: ByteWriter): void {
    to.varint(this.#toCommit.size);
    for (const group of this.#toCommit) {
      to.varint(group);
      to.string(this.#shown.get(group) ?? 'UTC');
    }
    this.#toCommit.clear();
  }

  readZones(from: ByteReader): void {
    for (let left = from.varint(); left > 0; left--) {
      const group = from.varint();
      const zone = from.string();
      this.#zones.set(group, zone);
      this.#shown.set(group, zone);
    }
  }

  #settle(): void {
    if (this.#zoneOf === null || !this.#complete) return;
    if (!this.#made) this.#make();
    const moved = new Set<number>();
    for (const [group, before] of this.#zones) {
      const zone = this.#zoneOf(this.#groups[group].entity);
      if (zone === before) continue;
      this.#zones.set(group, zone);
      this.#moved.set(group, zone);
      moved.add(group);
    }
    if (moved.size > 0) this.#makeAgain(moved);
  }

  #make(): void {
    this.table = new CellTable(2);
    this.#made = true;
    this.#addAll(() => true);
  }

  #makeAgain(moved: ReadonlySet<number>): void {
    const { table } = this;
    for (let i = 0; i < table.size; i++) {
      if (!moved.has(table.groupOf(i)) || this.#isOver(table.timeOf(i))) continue;
      table.reset(i);
      table.touchFor(i, TO_SEND);
    }
    this.#addAll((group) => moved.has(group));
  }

  #addAll(wanted: (group: number) => boolean): void {
    const slots = this.#slots;
    for (let i = 0; i < slots.size; i++) {
      const group = slots.groupOf(i);
      if (wanted(group)) this.#add(group, slots.timeOf(i), slots.get(i, 0), slots.get(i, 1));
    }
    this.#adjustments.each((group, slot, micros, impressions) => {
      if (wanted(group)) this.#add(group, slot, micros, impressions);
    });
  }

  #cellOf(group: number, day: number): number {
    while (this.#lastCells.length <= group) this.#lastCells.push(-1);
    if (!this.table.isAt(this.#lastCells[group], group, day)) this.#lastCells[group] = this.table.at(group, 0, day);
    return this.#lastCells[group];
  }

  #add(group: number, slot: number, spendMicros: number, impressions: number): void {
    const day = dayOfSlot(slot, this.#zone(group));
    if (this.#isOver(day)) return;
    const index = this.#cellOf(group, day);
    this.table.add(index, 0, spendMicros);
    this.table.add(index, 1, impressions);
    this.table.touchFor(index, TO_SEND);
  }

  /** Its first zone moves nothing. */
  #zone(group: number): string {
    let zone = this.#zones.get(group);
    if (zone === undefined) {
      zone = this.#zoneOf?.(this.#groups[group].entity) ?? 'UTC';
      this.#zones.set(group, zone);
      this.#show(group, zone);
    }
    return zone;
  }

  #show(group: number, zone: string): void {
    this.#shown.set(group, zone);
    this.#toCommit.add(group);
  }

  #isOver(day: number): boolean {
    return earliestOf(day) < this.floorMs;
  }
}
