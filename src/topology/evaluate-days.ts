/**
 * Spend by local day, in the campaigns' zones: sums of quarter hours, made again after a restore and when zones change.
 *
 * A change of zone leaves behind days that hold nothing now. Those that this owner has shown stay in the table, with
 * zeros. What others have shown (the zone may have changed while nobody evaluated, or twice since the last commit) is
 * known to nobody; but no zone can have moved a quarter hour further than two days. So the days around a new one that
 * hold nothing are taken back where Redis has them: nothing about zones need be remembered.
 */
import { dayInZones } from '../operators/days.ts';
import { CellTable, TO_SEND } from '../state/cells.ts';
import type { AddToSlot } from './evaluate-adjustments.ts';
import type { GroupName } from './partials.ts';
import type { ZoneSpans } from './types.ts';

const DAY_MS = 86_400_000;
/** No zone is further ahead of UTC. */
const MAX_OFFSET_MS = 14 * 3_600_000;
/** From 12 h behind UTC to 14 h ahead are more than one day. */
const MAX_MOVED_DAYS = 2;
/** The second time is for what somebody who was further has written after the first. */
const TIMES_TAKEN_BACK = 2;

export type ZonesOf = (campaignId: string) => ZoneSpans;

/** The earliest instant that can belong to a local day, in whatever zone. */
export const earliestOf = (day: number): number => day * DAY_MS - MAX_OFFSET_MS;

/** A day that holds nothing, and that Redis may show. */
export interface EmptyDay {
  group: number;
  day: number;
  /** A write at a lower version was refused. */
  fromVersion: number;
  /** Monotonic ms. */
  dueMs: number;
  timesLeft: number;
}

/** So many new days are looked around, and four times as many empty ones looked at, in one go: a few ms. */
const NEW_AT_ONCE = 1024;
const EMPTY_AT_ONCE = 4 * NEW_AT_ONCE;

/** Groups whose zones are looked at in one go. */
const SETTLED_AT_ONCE = 8192;

const nameOf = (group: number, day: number): string => `${group}/${day}`;
const sameSpans = (one: ZoneSpans, other: ZoneSpans): boolean =>
  one === other ||
  (one.length === other.length && one.every(({ fromMs, zone }, i) => fromMs === other[i].fromMs && zone === other[i].zone));

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
  #zonesOf: ZonesOf | null = null;
  /** All quarter hours that are to be there are there. */
  #complete = true;
  /** The table holds what the quarter hours add up to. */
  #made = false;
  /** By group: the zones that its days are made with; undefined where none were made yet. */
  readonly #spans: (ZoneSpans | undefined)[] = [];
  /** So many groups behind the cursor, round and round, have not been held against the zones in force. */
  #unsettled = 0;
  #cursor = 0;
  readonly #empty = new Map<string, EmptyDay>();
  /** Goes round and round. */
  #walk = this.#empty.entries();
  /** Group and day of those that are new: for empty ones around them nobody has looked yet. */
  readonly #new: number[] = [];

  /** @param adjustments what is to be added to quarter hours */
  constructor(groups: readonly GroupName[], slots: CellTable, adjustments: { each(add: AddToSlot): void }) {
    this.#groups = groups;
    this.#slots = slots;
    this.#adjustments = adjustments;
  }

  /** Whether zones are known: after the first registry. */
  get registered(): boolean {
    return this.#zonesOf !== null;
  }

  /** Takes the zones in force. Days of a campaign whose zones are others now are made again, the old ones shown as 0: bit by bit (`settleNext`). */
  useZones(zonesOf: ZonesOf): void {
    this.#zonesOf = zonesOf;
    if (this.#made) this.#unsettled = this.#spans.length;
    else this.#make();
  }

  /** Days are those of the zones in force. */
  get isSettled(): boolean {
    return this.#unsettled === 0;
  }

  /** Goes on to that. */
  settleNext(): void {
    const groups: number[] = [];
    while (groups.length < Math.min(SETTLED_AT_ONCE, this.#unsettled)) {
      this.#cursor = this.#cursor < this.#spans.length - 1 ? this.#cursor + 1 : 0;
      groups.push(this.#cursor);
    }
    this.settle(groups);
    this.#unsettled -= groups.length;
  }

  /** Makes the days of these groups again where they are to be. Until then a campaign's are all those of one set of zones. */
  settle(groups: readonly number[]): void {
    if (this.isSettled) return;
    const moved = new Set<number>();
    for (const group of groups) {
      const before = this.#spans[group];
      if (before === undefined) continue;
      const spans = (this.#zonesOf as ZonesOf)(this.#groups[group].entity);
      if (sameSpans(spans, before)) continue;
      this.#spans[group] = spans;
      moved.add(group);
    }
    if (moved.size > 0) this.#makeAgain(moved);
  }

  /** A restore has begun: quarter hours are coming, days are made when it is over. */
  restoring(): void {
    this.#complete = false;
    this.#made = false;
  }

  restored(): void {
    this.#complete = true;
    if (!this.#made) this.#make();
  }

  /** A quarter hour has grown, or is another one after an adjustment: then amounts may be negative. Returns its day; null while days are not made. */
  grew(group: number, slot: number, spendMicros: number, impressions: number): number | null {
    return this.#made ? this.#add(group, slot, spendMicros, impressions) : null;
  }

  /** Of a day, as the counters show it: 0 where there is nothing, or less than nothing after adjustments. */
  spendMicros(group: number, day: number): number {
    const index = this.table.find(group, 0, day);
    return index === -1 ? 0 : Math.max(0, this.table.get(index, 0));
  }

  /** Reads the day that a campaign's spend will most likely go to, so that it waits in the cache. The result means nothing. */
  warm(group: number): number {
    return this.table.warm(this.#lastCells[group] ?? -1);
  }

  touchAll(): void {
    for (let i = 0; i < this.table.size; i++) this.table.touchFor(i, TO_SEND);
  }

  /** There are new days around which nobody has looked for empty ones yet. */
  get hasNew(): boolean {
    return this.#new.length > 0;
  }

  /** Days around the next new ones that are to be taken back now; each comes once more after `againMs`, with `takeEmpty`. */
  takeSuspected(at: { monotonicMs: number; againMs: number }): EmptyDay[] {
    const taken: EmptyDay[] = [];
    const next = this.#new.splice(0, 2 * NEW_AT_ONCE);
    for (let i = 0; i < next.length; i += 2) this.#suspectAround(next[i], next[i + 1], at.monotonicMs + at.againMs, taken);
    return taken;
  }

  /** Those whose time has come, of some of them, round and round. */
  takeEmpty(at: { monotonicMs: number; version: number; againMs: number }): EmptyDay[] {
    const taken: EmptyDay[] = [];
    for (let left = Math.min(EMPTY_AT_ONCE, this.#empty.size); left > 0; left--) {
      const [name, empty] = this.#nextEmpty();
      const { group, day } = empty;
      if (empty.timesLeft === 0 || this.table.find(group, 0, day) !== -1 || this.isOver(day)) this.#empty.delete(name);
      else if (empty.dueMs <= at.monotonicMs && empty.fromVersion <= at.version) {
        empty.timesLeft--;
        empty.dueMs = at.monotonicMs + at.againMs;
        taken.push(empty);
      }
    }
    return taken;
  }

  /** Somebody has written this day at a higher version: it is taken back when that has been passed. */
  refused({ group, day }: EmptyDay, version: number): void {
    this.#empty.set(nameOf(group, day), { group, day, fromVersion: version, dueMs: Number.NEGATIVE_INFINITY, timesLeft: TIMES_TAKEN_BACK });
  }

  /** Days end whole, before the first of their quarter hours may be forgotten: what is shown is never part of a day. */
  isOver(day: number): boolean {
    return earliestOf(day) < this.floorMs;
  }

  #make(): void {
    if (this.#zonesOf === null || !this.#complete) return;
    this.#unsettled = 0;
    this.table = new CellTable(2);
    this.#spans.length = 0;
    this.#empty.clear();
    this.#new.length = 0;
    this.#made = true;
    this.#addAll(() => true);
  }

  #makeAgain(moved: ReadonlySet<number>): void {
    const { table } = this;
    for (let i = 0; i < table.size; i++) {
      if (!moved.has(table.groupOf(i)) || this.isOver(table.timeOf(i))) continue;
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

  #add(group: number, slot: number, spendMicros: number, impressions: number): number {
    const day = dayInZones(slot, this.#spansOf(group));
    if (this.isOver(day)) return day;
    const { size } = this.table;
    const index = this.#cellOf(group, day);
    this.table.add(index, 0, spendMicros);
    this.table.add(index, 1, impressions);
    this.table.touchFor(index, TO_SEND);
    if (index === size) this.#new.push(group, day);
    return day;
  }

  /** Of those that there are. */
  #nextEmpty(): [string, EmptyDay] {
    let next = this.#walk.next();
    if (next.done) {
      this.#walk = this.#empty.entries();
      next = this.#walk.next();
    }
    return next.value as [string, EmptyDay];
  }

  #suspectAround(group: number, day: number, againAtMs: number, taken: EmptyDay[]): void {
    for (let other = day - MAX_MOVED_DAYS; other <= day + MAX_MOVED_DAYS; other++) {
      const name = nameOf(group, other);
      if (this.#empty.has(name) || this.isOver(other) || this.table.find(group, 0, other) !== -1) continue;
      const empty = { group, day: other, fromVersion: 0, dueMs: againAtMs, timesLeft: TIMES_TAKEN_BACK - 1 };
      this.#empty.set(name, empty);
      taken.push(empty);
    }
  }

  #spansOf(group: number): ZoneSpans {
    // No holes: sparse arrays would be slow ones.
    while (this.#spans.length <= group) {
      this.#spans.push(undefined);
      // It takes a turn of the others.
      if (this.#unsettled > 0) this.#unsettled++;
    }
    this.#spans[group] ??= (this.#zonesOf as ZonesOf)(this.#groups[group].entity);
    return this.#spans[group];
  }
}
