/**
 * Hours of campaigns that the reconciler has settled: their total is the adjustment with the highest cut, whatever the cells
 * add up to. What comes later changes the cells only, and is judged at the next run.
 *
 * A day in a zone with quarter hours may begin within an hour, so an adjusted hour is spread over its quarter hours: in
 * proportion to what the stream has in them, evenly where it has nothing, the remainder to the last. Kept is what this adds to
 * each quarter hour's cells; so days are sums of cells and of these.
 */
import { isLaterCut, type RunCut } from '../sinks/registry.ts';
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { CellTable } from '../state/cells.ts';
import type { Adjustment } from './adjustments.ts';
import { SECTIONS, type Section } from './evaluate-sections.ts';
import { CELLS } from './partials.ts';

const HOUR_MS = 3_600_000;
const SLOTS = HOUR_MS / CELLS.spend.slotMs;

/** Gets what is to be added to a campaign's quarter hour. */
export type AddToSlot = (group: number, slot: number, spendMicros: number, impressions: number) => void;

interface AdjustedHour extends RunCut {
  total: readonly [spendMicros: number, impressions: number];
  /** Per quarter hour: what it adds to the cells' micros and impressions. */
  added: number[];
}

export class Adjustments implements Section {
  readonly id = SECTIONS.adjustments;
  /** Cells of all sources together, by quarter hour. */
  readonly #slots: CellTable;
  readonly #add: AddToSlot;
  /** By group, then hour since the epoch. */
  readonly #hours = new Map<number, Map<number, AdjustedHour>>();
  readonly #toCommit = new Map<number, Set<number>>();
  #size = 0;
  /** Since this was made: refused for a lower cut than the one that stands. */
  refused = 0;

  constructor(slots: CellTable, add: AddToSlot) {
    this.#slots = slots;
    this.#add = add;
  }

  get size(): number {
    return this.#size;
  }

  /** True when it stands now. One that is there already, or has a lower cut, changes nothing. */
  take(group: number, { hourMs, spendMicros, impressions, untilMs, bookedBeforeMs }: Adjustment): boolean {
    const hour = hourMs / HOUR_MS;
    const standing = this.#hours.get(group)?.get(hour);
    const order = standing ? untilMs - standing.untilMs || bookedBeforeMs - standing.bookedBeforeMs : 1;
    if (order < 0) this.refused++;
    if (order <= 0) return false;
    this.#set(group, hour, {
      total: [spendMicros, impressions],
      untilMs,
      bookedBeforeMs,
      added: standing?.added ?? new Array(SLOTS * 2).fill(0),
    });
    this.#touch(group, hour);
    this.#spread(group, hour);
    return true;
  }

  /** The latest cut that a campaign's adjustments are of; null where it has none. */
  cutOf(group: number): RunCut | null {
    let latest: RunCut | null = null;
    for (const hour of this.#hours.get(group)?.values() ?? []) if (latest === null || isLaterCut(hour, latest)) latest = hour;
    return latest;
  }

  /** The cells of a quarter hour have grown: the hour's total stays, its spread may not. */
  cellsGrew(group: number, slot: number): void {
    const hour = Math.floor(slot / SLOTS);
    if (this.#hours.get(group)?.has(hour)) this.#spread(group, hour);
  }

  /** Everything that is added to cells. */
  each(add: AddToSlot): void {
    for (const [group, hours] of this.#hours)
      for (const [hour, { added }] of hours) for (let i = 0; i < SLOTS; i++) add(group, hour * SLOTS + i, added[i * 2], added[i * 2 + 1]);
  }

  /** Drops hours that end at or before this and are committed. */
  forget(floorMs: number): void {
    for (const [group, hours] of this.#hours) {
      for (const hour of hours.keys()) {
        if ((hour + 1) * HOUR_MS > floorMs || this.#toCommit.get(group)?.has(hour)) continue;
        hours.delete(hour);
        this.#size--;
      }
      if (hours.size === 0) this.#hours.delete(group);
    }
  }

  /** All are to be written again. */
  touchAll(): void {
    for (const [group, hours] of this.#hours) for (const hour of hours.keys()) this.#touch(group, hour);
  }

  /** Nothing where nothing has changed. */
  write(to: ByteWriter): void {
    if (this.#toCommit.size === 0) return;
    to.varint(this.#toCommit.size);
    for (const [group, hours] of this.#toCommit) {
      to.varint(group);
      to.varint(hours.size);
      for (const hour of hours) {
        const { total, untilMs, bookedBeforeMs } = this.#hours.get(group)?.get(hour) as AdjustedHour;
        to.varint(hour);
        for (const value of [...total, untilMs, bookedBeforeMs]) to.f64(value);
      }
    }
    this.#toCommit.clear();
  }

  read(from: ByteReader): void {
    for (let groups = from.varint(); groups > 0; groups--) {
      const group = from.varint();
      for (let left = from.varint(); left > 0; left--) {
        const hour = from.varint();
        const total: [number, number] = [from.f64(), from.f64()];
        const added = this.#hours.get(group)?.get(hour)?.added ?? new Array(SLOTS * 2).fill(0);
        this.#set(group, hour, { total, untilMs: from.f64(), bookedBeforeMs: from.f64(), added });
        this.#spread(group, hour);
      }
    }
  }

  #set(group: number, hour: number, adjusted: AdjustedHour): void {
    let hours = this.#hours.get(group);
    if (hours === undefined) {
      hours = new Map();
      this.#hours.set(group, hours);
    }
    if (!hours.has(hour)) this.#size++;
    hours.set(hour, adjusted);
  }

  #touch(group: number, hour: number): void {
    const hours = this.#toCommit.get(group);
    if (hours) hours.add(hour);
    else this.#toCommit.set(group, new Set([hour]));
  }

  /** Makes each quarter hour what the adjustment says, and tells by how much it differs from before. */
  #spread(group: number, hour: number): void {
    const { total, added } = this.#hours.get(group)?.get(hour) as AdjustedHour;
    const cells = [0, 1].map((column) => Array.from({ length: SLOTS }, (_, i) => this.#cell(group, hour * SLOTS + i, column)));
    const parts = cells.map((weights, column) => spreadOver(total[column], weights));
    for (let i = 0; i < SLOTS; i++) {
      const [micros, impressions] = [parts[0][i] - cells[0][i], parts[1][i] - cells[1][i]];
      this.#add(group, hour * SLOTS + i, micros - added[i * 2], impressions - added[i * 2 + 1]);
      added[i * 2] = micros;
      added[i * 2 + 1] = impressions;
    }
  }

  #cell(group: number, slot: number, column: number): number {
    const index = this.#slots.find(group, 0, slot);
    return index === -1 ? 0 : this.#slots.get(index, column);
  }
}

/** Whole parts in proportion to the weights, evenly where all are 0; they add up: the remainder goes to the last. Exact. */
export function spreadOver(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((all, weight) => all + weight, 0);
  const shares = sum === 0 ? weights.map(() => 1) : weights;
  const whole = BigInt(sum === 0 ? weights.length : sum);
  const parts = shares.map((share) => Number((BigInt(total) * BigInt(share)) / whole));
  const others = parts.slice(0, -1).reduce((all, part) => all + part, 0);
  return [...parts.slice(0, -1), total - others];
}
