/**
 * Forgets slots and hours whose day is over by more than the retention at every source's watermark, and which Postgres has.
 *
 * An hour goes with all its cells or not at all, since a restore adds up what it finds. So it is begun right after a commit, when no
 * cell is held back as changed; which hours Postgres does not have is looked up once, at the beginning; and no snapshot takes up
 * cells while it is under way (`isUnderWay`). Then it may go in steps: none of these cells changes any more, and a restart in the
 * midst finds all of them in the log.
 */
import { CellTable, type Purpose, TO_SEND } from '../state/cells.ts';
import type { Adjustments } from './evaluate-adjustments.ts';
import type { Tables } from './evaluate-commits.ts';
import type { CampaignDays } from './evaluate-days.ts';
import type { Experiments } from './evaluate-experiments.ts';
import type { DirtyHours, HourKind } from './evaluate-hours.ts';
import { CELLS_OF_HOURS, isForgotten, keptFromMs } from './evaluate-kept.ts';
import type { Sources } from './evaluate-sources.ts';
import { CELLS, type CellName } from './partials.ts';

/** Cells that are dropped with one commit: some ms. */
const DROPPED_A_STEP = 32_768;
/** Of cells that are only looked at so many cost what one does that is dropped. */
const LOOKED_AT_FOR_ONE = 8;
const CELLS_AT_ONCE = 4096;

export interface Forgetful {
  sources: Sources;
  bySource: Tables;
  totals: Tables;
  hours: DirtyHours;
  days: CampaignDays;
  adjustments: Adjustments;
  experiments: Experiments;
}

export class Forgetting {
  /** What is over by then is forgotten: it is not taken any more, and goes bit by bit. */
  floorMs: Readonly<Record<HourKind, number>> = { spend: Number.NEGATIVE_INFINITY, exposure: Number.NEGATIVE_INFINITY };
  readonly #parts: Forgetful;
  /** Each step tells what it has cost, in cells dropped. */
  #steps: Iterator<number> | null = null;

  /** A restore has brought back what was forgotten by half, and what Postgres did not have. */
  #isLeft = false;
  /** Postgres has it by now. */
  #isLeftDue = false;

  constructor(parts: Forgetful) {
    this.#parts = parts;
  }

  get isUnderWay(): boolean {
    return this.#steps !== null;
  }

  /** What is below the floor is there again. */
  restored(): void {
    this.#isLeft = true;
  }

  /** Postgres has all hours below the floor. */
  allLanded(): void {
    this.#isLeftDue ||= this.#isLeft;
    this.#isLeft = false;
  }

  /** Right after a commit, and not while a snapshot is being written. Looks once a day of event time, and once after a restore. */
  begin(retentionMs: number): void {
    const kinds: HourKind[] = [];
    for (const kind of ['spend', 'exposure'] as const) {
      const floorMs = keptFromMs(this.#parts.sources, kind === 'spend' ? 'impressions' : 'exposures', retentionMs);
      if (floorMs !== null && floorMs > this.floorMs[kind]) this.floorMs = { ...this.floorMs, [kind]: floorMs };
      else if (!this.#isLeftDue) continue;
      kinds.push(kind);
    }
    this.#isLeftDue = false;
    if (kinds.length > 0) this.#steps = this.#forget(kinds);
  }

  /** The next cells, some ms of them; right after a commit. */
  goOn(): void {
    for (let left = DROPPED_A_STEP; left > 0 && this.#steps !== null; ) {
      const { done, value } = this.#steps.next();
      if (done) this.#steps = null;
      else left -= value;
    }
  }

  *#forget(kinds: readonly HourKind[]): Generator<number, void> {
    const { days, adjustments, experiments, sources } = this.#parts;
    days.floorMs = this.floorMs.spend;
    const missing = new Map(kinds.map((kind) => [kind, this.#missing(kind)]));
    for (const [kind, hours] of missing) for (const name of CELLS_OF_HOURS[kind]) yield* this.#drop(name, hours);
    if (missing.has('spend')) {
      // Whoever writes all days again, round and round, may be past the places that they come to.
      yield* dropping(days.table, (i) => days.isOver(days.table.timeOf(i)), TO_SEND);
      adjustments.forget(this.floorMs.spend);
    }
    if (missing.has('exposure')) experiments.endOld(sources.watermarkMs('exposures'));
  }

  /** Hours that are forgotten, but for Postgres: they stay until the next time. */
  #missing(kind: HourKind): CellTable {
    const missing = new CellTable(0);
    this.#parts.hours.each(kind, (group, hour) => {
      if ((hour + 1) * CELLS.units.slotMs <= this.floorMs[kind]) missing.at(group, 0, hour);
    });
    return missing;
  }

  *#drop(name: CellName, missing: CellTable): Generator<number, void> {
    const { bySource, totals } = this.#parts;
    const { floorMs } = this;
    const perHour = CELLS.units.slotMs / CELLS[name].slotMs;
    for (const table of [bySource[name], totals[name]]) {
      yield* dropping(table, (i) => {
        const time = table.timeOf(i);
        return isForgotten(name, time, floorMs) && missing.find(table.groupOf(i), 0, Math.floor(time / perHour)) === -1;
      });
    }
  }
}

function* dropping(table: CellTable, gone: (index: number) => boolean, movedFor: Purpose | null = null): Generator<number, void> {
  const walk = { left: table.size };
  for (;;) {
    const { size } = table;
    const { left } = walk;
    const count = Math.max(1, Math.min(CELLS_AT_ONCE, left));
    if (table.dropNext(walk, count, gone, movedFor)) return;
    // Where it has not gone on, the table was made larger.
    yield walk.left < left ? size - table.size + Math.ceil(count / LOOKED_AT_FOR_ONE) : count;
  }
}
