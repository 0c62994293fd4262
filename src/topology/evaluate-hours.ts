/** Hours whose totals Postgres does not have yet. Taken in portions, kept until the flush is confirmed. */
import { CELL_BLOCK, CellTable, TO_COMMIT, TO_SEND } from '../state/cells.ts';
import type { CellBlock } from './partials.ts';

export type HourKind = 'spend' | 'exposure';
const MEMBER: Record<HourKind, number> = { spend: 0, exposure: 1 };

/** Below this a table is not worth it. */
const LEAST_CLEANED = 4096;
const CLEANED_AT_ONCE = 32_768;

export interface Hour {
  kind: HourKind;
  group: number;
  /** Count of hours since the epoch. */
  hour: number;
}

/** In the table below, "to send" means dirty and "to commit" means in flight. */
export class DirtyHours {
  readonly #table = new CellTable(0);
  readonly #cleaning = { left: 0 };
  /** What is in flight is all that there was. */
  #takesAll = false;
  readonly #warmed = new Float64Array(CELL_BLOCK);

  get size(): number {
    return this.#table.changed(TO_SEND) + this.#table.changed(TO_COMMIT);
  }

  /** Dirty ones that are not in flight. */
  get waiting(): number {
    return this.#table.changed(TO_SEND);
  }

  mark(kind: HourKind, group: number, hour: number): void {
    this.#table.touchFor(this.#table.at(group, MEMBER[kind], hour), TO_SEND);
  }

  /** Reads what marking the hours of these slots will, so that it waits in the cache. The result means nothing. */
  warm(kind: HourKind, { size, groups, times }: Pick<CellBlock, 'size' | 'groups' | 'times'>, slotsPerHour: number): number {
    for (let i = 0; i < size; i++) this.#warmed[i] = Math.floor(times[i] / slotsPerHour);
    return this.#table.warmAll(groups, MEMBER[kind], this.#warmed, size);
  }

  /** Calls with all of a kind, in flight or not. */
  each(kind: HourKind, visit: (group: number, hour: number) => void): void {
    const table = this.#table;
    for (let i = 0; i < table.size; i++) {
      if (table.isTouched(i) && table.memberOf(i) === MEMBER[kind]) visit(table.groupOf(i), table.timeOf(i));
    }
  }

  /** Up to `limit` dirty hours, now in flight. */
  take(limit: number): Hour[] {
    const taken = this.#table.takeChanged(TO_SEND, limit);
    for (const index of taken) this.#table.touchFor(index, TO_COMMIT);
    this.#takesAll = this.waiting === 0;
    return Array.from(taken, (index) => this.#hour(index));
  }

  /** What was in flight is written, or is dirty again. True when Postgres has all that was there when it was taken. */
  landed(written: boolean): boolean {
    const again = this.#table.takeChanged(TO_COMMIT);
    if (!written) for (const index of again) this.#table.touchFor(index, TO_SEND);
    else this.#clean();
    return written && this.#takesAll;
  }

  /** Drops what Postgres has once it is most of the table, some ms of it at a time. */
  #clean(): void {
    const { size } = this.#table;
    if (this.#cleaning.left === 0 && size > LEAST_CLEANED && size > 8 * this.size) this.#cleaning.left = size;
    if (this.#cleaning.left > 0) this.#table.dropNext(this.#cleaning, CLEANED_AT_ONCE, () => true);
  }

  #hour(index: number): Hour {
    return {
      kind: this.#table.memberOf(index) === 0 ? 'spend' : 'exposure',
      group: this.#table.groupOf(index),
      hour: this.#table.timeOf(index),
    };
  }
}
