/** Hours whose totals Postgres does not have yet. Taken in portions, kept until the flush is confirmed. */
import { CellTable, TO_COMMIT, TO_SEND } from '../state/cells.ts';

export type HourKind = 'spend' | 'exposure';
const MEMBER: Record<HourKind, number> = { spend: 0, exposure: 1 };

export interface Hour {
  kind: HourKind;
  group: number;
  /** Count of hours since the epoch. */
  hour: number;
}

/** In the table below, "to send" means dirty and "to commit" means in flight. */
export class DirtyHours {
  readonly #table = new CellTable(0);

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

  isDirty(kind: HourKind, group: number, hour: number): boolean {
    const index = this.#table.find(group, MEMBER[kind], hour);
    return index !== -1 && this.#table.isTouched(index);
  }

  /** Up to `limit` dirty hours, now in flight. */
  take(limit: number): Hour[] {
    const taken: Hour[] = [];
    const left: number[] = [];
    this.#table.takeChanged(TO_SEND, (index) => {
      if (taken.length >= limit) left.push(index);
      else taken.push(this.#hour(index));
    });
    for (const hour of taken) this.#table.touchFor(this.#table.at(hour.group, MEMBER[hour.kind], hour.hour), TO_COMMIT);
    for (const index of left) this.#table.touchFor(index, TO_SEND);
    return taken;
  }

  /** What was in flight is written, or is dirty again. */
  landed(written: boolean): void {
    const again: number[] = [];
    this.#table.takeChanged(TO_COMMIT, (index) => again.push(index));
    if (!written) for (const index of again) this.#table.touchFor(index, TO_SEND);
    else if (this.#table.size > 4096 && this.#table.size > 8 * this.size) this.#table.drop(() => true);
  }

  #hour(index: number): Hour {
    return {
      kind: this.#table.memberOf(index) === 0 ? 'spend' : 'exposure',
      group: this.#table.groupOf(index),
      hour: this.#table.timeOf(index),
    };
  }
}
