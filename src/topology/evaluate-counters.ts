/** What evaluate writes to Redis: counters that have changed, and a share of all living ones, so that none grows old. */
import { dayText } from '../operators/days.ts';
import { TO_SEND } from '../state/cells.ts';
import { type EmptyDay, earliestOf } from './evaluate-days.ts';
import { EXPOSED_EXPIRY_MS, type ExperimentCounts } from './evaluate-experiments.ts';
import type { EvaluateState } from './evaluate-state.ts';
import type { CounterOutcome, CounterWrite, Stream } from './types.ts';

export const SPEND_EXPIRY_MS = 8 * 86_400_000;
const SLICE_MS = 1000;
/** Days that are taken in one go. */
const DAYS_AT_ONCE = 16_384;

export class CounterWrites {
  readonly #state: EvaluateState;
  readonly #rewriteMs: number;
  /** Not all that was changed was taken the last time, not all days are settled, or not all new ones are looked around. */
  hasMore = false;
  #cursor = 0;
  /** So many keys lived when the round began: it goes no slower when fewer do in its midst. */
  #ofRound = 0;
  #slicedMs = Number.NEGATIVE_INFINITY;
  #empty: EmptyDay[] = [];
  /** New days are being looked around for empty ones: all that there are, about once a second. */
  #looksAround = false;
  /** By key: what has been handed over to be taken back. */
  #takingBack = new Map<string, EmptyDay>();

  /** Each living key is written again within `rewriteMs`. */
  constructor(state: EvaluateState, rewriteMs: number) {
    this.#state = state;
    this.#rewriteMs = rewriteMs;
  }

  /** Lists the next few living keys as changed, about once a second. */
  renew(monotonicMs: number): void {
    const elapsedMs = monotonicMs - this.#slicedMs;
    if (elapsedMs < SLICE_MS) return;
    this.#slicedMs = monotonicMs;
    const { days, experiments, position } = this.#state;
    const { table } = days;
    this.#empty = days.takeEmpty({ monotonicMs, version: position, againMs: this.#rewriteMs });
    this.#looksAround = true;
    const living = table.size + experiments.living.length;
    const share = Math.min(1, (Number.isFinite(elapsedMs) ? elapsedMs : SLICE_MS) / this.#rewriteMs);
    for (let left = Math.min(living, Math.ceil(Math.max(living, this.#ofRound) * share)); left > 0; left--) {
      if (this.#cursor >= living) [this.#cursor, this.#ofRound] = [0, living];
      if (this.#cursor < table.size) table.touchFor(this.#cursor, TO_SEND);
      else experiments.touch(experiments.living[this.#cursor - table.size]);
      this.#cursor++;
    }
  }

  /** What is listed as changed, each key once; of many days some ms' worth. */
  take(monotonicMs: number): CounterWrite[] {
    const { days, experiments } = this.#state;
    const writes: CounterWrite[] = [];
    days.settleNext();
    const spendWatermark = this.#watermarkText('impressions');
    for (const index of days.table.takeChanged(TO_SEND, DAYS_AT_ONCE)) writes.push(this.#spend(index, spendWatermark));
    if (this.#looksAround) this.#empty.push(...days.takeSuspected({ monotonicMs, againMs: this.#rewriteMs }));
    this.#looksAround = this.#looksAround && days.hasNew;
    this.hasMore = days.table.changed(TO_SEND) > 0 || !days.isSettled || this.#looksAround;
    this.#takeBack(writes, spendWatermark);
    const watermark = this.#watermarkText('exposures');
    experiments.takeDirty((counts) => writes.push(this.#exposed(counts, watermark)));
    return writes;
  }

  /** What was refused is taken back when the version that stands there has been passed. */
  delivered({ refused }: Pick<CounterOutcome, 'refused'>): void {
    for (const { key, version } of this.#takingBack.size > 0 ? refused : []) {
      const empty = this.#takingBack.get(key);
      if (empty) this.#state.days.refused(empty, version);
    }
    this.#takingBack.clear();
  }

  /** Days that may be known only in part are left as they are. */
  #takeBack(writes: CounterWrite[], watermark: string): void {
    const { groups, loss, days } = this.#state;
    for (const empty of this.#empty) {
      const { group, day } = empty;
      if (loss.reaches(earliestOf(day)) || days.table.find(group, 0, day) !== -1) continue;
      const key = `spend:{${groups[group].entity}}:${dayText(day)}`;
      const fields = { spend_micros: '0', impressions: '0', watermark_ms: watermark };
      writes.push({ key, fields, expiryMs: SPEND_EXPIRY_MS, onlyExisting: true });
      this.#takingBack.set(key, empty);
    }
    this.#empty = [];
  }

  #spend(index: number, watermark: string): CounterWrite {
    const { days, groups, loss } = this.#state;
    const { table } = days;
    const day = table.timeOf(index);
    // Billing may take back more than it has booked in a day; a counter does not go below 0.
    const [micros, impressions] = [Math.max(0, table.get(index, 0)), Math.max(0, table.get(index, 1))];
    const write: CounterWrite = {
      key: `spend:{${groups[table.groupOf(index)].entity}}:${dayText(day)}`,
      fields: { spend_micros: String(micros), impressions: String(impressions), watermark_ms: watermark },
      expiryMs: SPEND_EXPIRY_MS,
    };
    // Nothing is left of a day only when a change of zone has moved it all.
    if (impressions > 0 && loss.reaches(earliestOf(day))) write.keepLarger = true;
    return write;
  }

  #exposed(counts: ExperimentCounts, watermark: string): CounterWrite {
    const fields = counts.fields();
    fields['watermark_ms'] = watermark;
    const write: CounterWrite = { key: `exposed:{${counts.entity.id}}`, fields, expiryMs: EXPOSED_EXPIRY_MS };
    if (this.#state.loss.happened) write.keepLarger = true;
    return write;
  }

  #watermarkText(stream: Stream): string {
    return String(Math.max(0, this.#state.sources.watermarkMs(stream) ?? 0));
  }
}
