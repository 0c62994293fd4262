/**
 * What is known of each unit of each experiment: (experiment index, 64-bit hash of the unit) → 16 bits of the caller's.
 * An experiment is forgotten as a whole.
 */

import { MemoryBudget } from './memory-budget.ts';
import { MAX_LOAD, MIN_CAPACITY, PART_SHIFT, PARTS, UnitTable, type UnitVisitor, visitSlots } from './unit-table.ts';

export type { UnitVisitor } from './unit-table.ts';

const GROWTH = 1.25;
/** Above this many units an experiment is split by the top bits of the hash, so that no growth takes long. */
const SPLIT_AT = 200_000;

/** Of one call of `expire`. One experiment is forgotten whole, however large. */
const EXPERIMENTS_AT_ONCE = 1000;
const UNITS_AT_ONCE = 1_000_000;

/** Where a walk over a store is. */
export class UnitWalk {
  experiment = 0;
  table = 0;
  slot = 0;
  /** What it had begun: others mean a rebuild. */
  tables: readonly unknown[] | null = null;
  hashes: Int32Array | null = null;
}

interface Experiment {
  /** One table, or PARTS of them. */
  tables: UnitTable[];
  touchedMs: number;
}

const NOBODY: Experiment = { tables: [], touchedMs: 0 };

export interface UnitStoreOptions {
  budget?: MemoryBudget;
}

export class UnitStore {
  readonly #experiments: (Experiment | undefined)[] = [];
  readonly #budget: MemoryBudget;
  #size = 0;
  /** No experiment was touched last before this, so that few calls of `expire` have anything to look at. */
  #leastTouchedMs = Number.POSITIVE_INFINITY;
  /** See `look`. */
  readonly #place = { experiment: NOBODY, hi: 0, lo: 0, slot: 0 };

  constructor({ budget = new MemoryBudget() }: UnitStoreOptions = {}) {
    this.#budget = budget;
  }

  /** Units, over all experiments. */
  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    let sum = 0;
    for (const experiment of this.#experiments) for (const table of experiment?.tables ?? []) sum += table.byteLength;
    return sum;
  }

  /** The payload, −1 when the unit is unknown. */
  get(experiment: number, hi: number, lo: number): number {
    const found = this.#experiments[experiment];
    if (found === undefined) return -1;
    const table = tableOf(found, hi);
    const slot = table.find(hi | 0, filled(hi, lo));
    return slot < 0 ? -1 : table.payloads[slot];
  }

  /** Reads where a unit would be, so that it waits in the cache; any experiment will do. The result means nothing. */
  warm(experiment: number, hi: number, lo: number): number {
    const found = this.#experiments[experiment];
    return found === undefined ? 0 : tableOf(found, hi).warm(filled(hi, lo));
  }

  /** Sets the payload (0 to 65,535). Throws `state_memory_full`, with nothing changed. */
  set(experiment: number, hi: number, lo: number, payload: number): void {
    this.look(experiment, hi, lo);
    this.put(payload);
  }

  /** The payload, −1 when the unit is unknown; `put` then is about this unit. */
  look(experiment: number, hi: number, lo: number): number {
    const place = this.#place;
    const low = filled(hi, lo);
    place.experiment = this.#experimentOf(experiment);
    place.hi = hi | 0;
    place.lo = low;
    const table = tableOf(place.experiment, hi);
    place.slot = table.find(hi | 0, low);
    return place.slot < 0 ? -1 : table.payloads[place.slot];
  }

  /** Sets the payload (0 to 65,535) of the unit that was looked up last, before anything else is. Throws `state_memory_full`, with nothing changed. */
  put(payload: number): void {
    const { experiment, hi, lo, slot } = this.#place;
    let table = tableOf(experiment, hi);
    if (slot >= 0) {
      table.payloads[slot] = payload;
      return;
    }
    let free = slot;
    if (table.used >= table.limit) {
      this.#grow(experiment, hi);
      table = tableOf(experiment, hi);
      free = table.find(hi, lo);
    }
    table.put(-1 - free, hi, lo, payload);
    this.#size++;
  }

  /** How many units each experiment has that has any. */
  eachSize(visit: (experiment: number, units: number) => void): void {
    for (const [index, experiment] of this.#experiments.entries()) {
      const units = experiment === undefined ? 0 : unitsOf(experiment);
      if (units > 0) visit(index, units);
    }
  }

  /**
   * Makes room for so many units of an experiment that has none. In order of the hash, as a walk gives them, they would crowd in one
   * place of a table that is too small for all. Throws `state_memory_full`, with nothing changed.
   */
  reserve(experiment: number, units: number): void {
    const target = this.#experimentOf(experiment);
    if (unitsOf(target) > 0) return;
    const parts = units >= SPLIT_AT ? PARTS : 1;
    const tables: UnitTable[] = [];
    // Some more than fall into each on average, lest all grow at once.
    for (let i = 0; i < parts; i++) tables.push(new UnitTable(((units / parts) * (1.1 + i / parts / 10)) / MAX_LOAD, this.#budget));
    for (const table of target.tables) table.release();
    target.tables = tables;
  }

  /** Notes an accepted exposure; the latest event time counts. An experiment never touched expires first. */
  touch(experiment: number, eventTs: number): void {
    const target = this.#experimentOf(experiment);
    if (eventTs > target.touchedMs) target.touchedMs = eventTs;
  }

  /** −Infinity for an experiment that is unknown or was never touched. */
  lastTouched(experiment: number): number {
    return this.#experiments[experiment]?.touchedMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Forgets experiments last touched before the cutoff, some ms' worth of them; the next calls go on. Returns their indices, rising. */
  expire(cutoffMs: number): number[] {
    if (!(this.#leastTouchedMs < cutoffMs)) return [];
    const gone: number[] = [];
    let units = 0;
    let leastMs = Number.POSITIVE_INFINITY;
    for (const [index, experiment] of this.#experiments.entries()) {
      if (experiment === undefined) continue;
      const isGone = experiment.touchedMs < cutoffMs && gone.length < EXPERIMENTS_AT_ONCE && units < UNITS_AT_ONCE;
      if (!isGone) {
        if (experiment.touchedMs < leastMs) leastMs = experiment.touchedMs;
        continue;
      }
      gone.push(index);
      units += unitsOf(experiment);
    }
    for (const index of gone) this.forget(index);
    this.#leastTouchedMs = leastMs;
    return gone;
  }

  forget(experiment: number): void {
    const forgotten = this.#experiments[experiment];
    if (forgotten === undefined) return;
    for (const table of forgotten.tables) {
      this.#size -= table.used;
      table.release();
    }
    this.#experiments[experiment] = undefined;
  }

  clear(): void {
    for (const index of this.#experiments.keys()) this.forget(index);
  }

  /** Visits every unit. Nothing may be set meanwhile. */
  forEach(visit: UnitVisitor): void {
    for (const [index, experiment] of this.#experiments.entries()) {
      for (const table of experiment?.tables ?? []) visitSlots(index, table, 0, table.payloads.length, visit);
    }
  }

  /** As FingerprintStore.walk: goes on for about `count` slots, true at the end. An experiment whose tables were rebuilt is begun anew. */
  walk(place: UnitWalk, count: number, visit: UnitVisitor): boolean {
    for (let left = count; left > 0 && place.experiment < this.#experiments.length; ) {
      const tables = this.#experiments[place.experiment]?.tables ?? [];
      if (place.tables !== tables) Object.assign(place, { tables, table: 0, slot: 0, hashes: null });
      const table = tables[place.table];
      if (table === undefined) {
        Object.assign(place, { experiment: place.experiment + 1, tables: null });
        left--;
        continue;
      }
      if (place.hashes !== table.hashes) Object.assign(place, { hashes: table.hashes, slot: 0 });
      const end = Math.min(table.payloads.length, place.slot + left);
      left -= end - place.slot + 1;
      visitSlots(place.experiment, table, place.slot, end, visit);
      place.slot = end;
      if (end === table.payloads.length) Object.assign(place, { table: place.table + 1, hashes: null });
    }
    return place.experiment >= this.#experiments.length;
  }

  #experimentOf(index: number): Experiment {
    const known = this.#experiments[index];
    if (known !== undefined) return known;
    const fresh = { tables: [new UnitTable(MIN_CAPACITY, this.#budget)], touchedMs: Number.NEGATIVE_INFINITY };
    // No holes: a sparse array would be a slow one.
    while (this.#experiments.length < index) this.#experiments.push(undefined);
    this.#experiments[index] = fresh;
    this.#leastTouchedMs = Number.NEGATIVE_INFINITY;
    return fresh;
  }

  /** Makes the table of that hash larger, or splits it into parts, which differ in size so as not to grow all at once. */
  #grow(experiment: Experiment, hi: number): void {
    const { tables } = experiment;
    const split = tables.length === 1 && tables[0].used >= SPLIT_AT;
    const number = tables.length === 1 ? 0 : hi >>> PART_SHIFT;
    const old = tables[number];
    const roomFor = (units: number, step: number): UnitTable => new UnitTable((units * GROWTH ** step) / MAX_LOAD, this.#budget);
    if (split) {
      const parts: UnitTable[] = [];
      for (const [i, units] of old.countParts().entries()) parts.push(roomFor(units, 1 + i / PARTS));
      old.copyTo(parts);
      experiment.tables = parts;
    } else {
      const larger = roomFor(old.used, 1);
      larger.takeAll(old);
      tables[number] = larger;
    }
    old.release();
  }
}

const unitsOf = ({ tables }: Experiment): number => tables.reduce((sum, { used }) => sum + used, 0);

const tableOf = (experiment: Experiment, hi: number): UnitTable =>
  experiment.tables.length === 1 ? experiment.tables[0] : experiment.tables[hi >>> PART_SHIFT];

/** The one hash that would read as an empty slot is its neighbour's, as any two hashes may be. */
const filled = (hi: number, lo: number): number => ((hi | lo) === 0 ? 1 : lo | 0);
