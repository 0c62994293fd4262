/**
 * What becomes of the records of a block, in passes over columns: all ids are looked up and entered, then what is late is told, then
 * suspects are looked up. The verdicts are those of judging one record after the other: where the watermark would move what is
 * remembered in between, that is what is done.
 */
import type { TimeSettings } from '../config.ts';
import { BLOCK, FLAG } from '../operators/event-columns.ts';
import { isLate } from '../operators/window.ts';
import { PRESENT } from '../state/add-outcome.ts';
import { KeyBlock } from '../state/key-block.ts';
import type { IngestBlock } from './ingest-block.ts';
import type { IngestState } from './ingest-state.ts';

/** Indices of DISPOSITIONS. */
export const VERDICT = { accepted: 0, duplicate: 1, late: 2, invalid: 3 } as const;

export class BlockJudge {
  /** By record of the block that was judged last: its disposition. */
  readonly verdicts = new Uint8Array(BLOCK);
  /** 1 for an accepted one of which there was another with the same suspect's key. */
  readonly suspected = new Uint8Array(BLOCK);
  /** The watermark when the record was judged, an accepted one's own time included. */
  readonly watermarksMs = new Float64Array(BLOCK);
  readonly #state: IngestState;
  readonly #time: TimeSettings;
  readonly #keys = new KeyBlock();
  /** The good records of the block. */
  readonly #good = { size: 0, earliestMs: 0, latestMs: 0 };

  constructor(state: IngestState, time: TimeSettings) {
    this.#state = state;
    this.#time = time;
  }

  judge(block: IngestBlock): void {
    this.#look(block);
    if (this.#state.isCalmUntil(this.#good.latestMs)) this.#judge(block, 0, block.size);
    else for (let i = 0; i < block.size; i++) this.#judge(block, i, i + 1);
  }

  #look({ size, reasons, columns: { eventTs } }: IngestBlock): void {
    let [good, earliestMs, latestMs] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let i = 0; i < size; i++) {
      if (reasons[i] !== 0) continue;
      good++;
      if (eventTs[i] < earliestMs) earliestMs = eventTs[i];
      if (eventTs[i] > latestMs) latestMs = eventTs[i];
    }
    this.#good.size = good;
    this.#good.earliestMs = earliestMs;
    this.#good.latestMs = latestMs;
  }

  #judge(block: IngestBlock, from: number, to: number): void {
    this.#enterIds(block, from, to);
    const highestMs = this.#tellLate(block, from, to);
    // Before the watermark moves, for suspects of the block's first may be gone then.
    this.#enterSuspects(block, from, to);
    this.#state.observe(highestMs);
  }

  /** Invalid or duplicate, or accepted so far. */
  #enterIds({ size, reasons, columns: { ids, eventTs } }: IngestBlock, from: number, to: number): void {
    const { verdicts } = this;
    const keys = this.#keys;
    const { outcomes } = keys;
    if (this.#good.size === size && to - from === size) {
      keys.set(ids, eventTs, this.#good);
      this.#state.enterIds(keys);
      for (let i = 0; i < size; i++) verdicts[i] = outcomes[i] === PRESENT ? VERDICT.duplicate : VERDICT.accepted;
      return;
    }
    keys.clear();
    for (let i = from; i < to; i++) if (reasons[i] === 0) keys.push(ids.his[i], ids.los[i], eventTs[i]);
    this.#state.enterIds(keys);
    let key = 0;
    for (let i = from; i < to; i++) {
      if (reasons[i] !== 0) verdicts[i] = VERDICT.invalid;
      else verdicts[i] = outcomes[key++] === PRESENT ? VERDICT.duplicate : VERDICT.accepted;
    }
  }

  /** Of what is accepted so far. Returns the highest event time that was accepted. */
  #tellLate({ columns: { eventTs } }: IngestBlock, from: number, to: number): number {
    const { verdicts, watermarksMs } = this;
    const { watermark } = this.#state;
    let highestMs = watermark.highestEventTs;
    let watermarkMs = watermark.ms;
    for (let i = from; i < to; i++) {
      if (verdicts[i] === VERDICT.accepted) {
        if (isLate(eventTs[i], watermarkMs, this.#time)) {
          verdicts[i] = VERDICT.late;
        } else if (eventTs[i] > highestMs) {
          highestMs = eventTs[i];
          watermarkMs = watermark.after(highestMs);
        }
      }
      watermarksMs[i] = watermarkMs;
    }
    return highestMs;
  }

  #enterSuspects({ columns: { suspects, flags, eventTs } }: IngestBlock, from: number, to: number): void {
    const { verdicts, suspected } = this;
    const keys = this.#keys;
    for (let i = from; i < to; i++) suspected[i] = verdicts[i] === VERDICT.accepted && (flags[i] & FLAG.tied) !== 0 ? 1 : 0;
    keys.select(suspects, eventTs, suspected, { from, to });
    this.#state.enterSuspects(keys);
    const { outcomes } = keys;
    let key = 0;
    for (let i = from; i < to; i++) {
      const wasAsked = suspected[i];
      suspected[i] = outcomes[key] === PRESENT ? wasAsked : 0;
      key += wasAsked;
    }
  }
}
