/**
 * The first stage, one task a source partition: decode ─ dedup ─ late? ─ first exposure ─ window. Every record gets one
 * disposition; what it adds to a cell goes out as an absolute value.
 */
import type { LimitSettings, PaceSettings, SrmSettings, TimeSettings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { type Decoder, INVALID_REASONS } from '../operators/decode.ts';
import { BLOCK, FLAG } from '../operators/event-columns.ts';
import { isLate } from '../operators/window.ts';
import { TO_SEND } from '../state/cells.ts';
import type { SeededHash } from '../state/hash.ts';
import type { MemoryBudget } from '../state/memory-budget.ts';
import { Contribution, EVIDENCE } from './contribution.ts';
import { IngestBlock } from './ingest-block.ts';
import { Emitter } from './ingest-emitter.ts';
import { IngestState } from './ingest-state.ts';
import { emptyTotals, type IngestTotals, TOTALS } from './ingest-totals.ts';
import { CELL_NAMES } from './partials.ts';
import { SideOutputs } from './side-outputs.ts';
import type { FeedStatus, Stage } from './stage.ts';
import type { Commit, Now, OutRecord, RecordBatch, Stream } from './types.ts';
import { UnitCounter } from './unit-counter.ts';

const ACCEPTED = 0;
const DUPLICATE = 1;
const LATE = 2;
const INVALID = 3;

/** Side outputs are sent before their time when this much waits. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export interface IngestOptions {
  stream: Stream;
  topic: string;
  partition: number;
  /** Partitions of the source topic and of `.partials`. */
  partitions: number;
  partialsPartitions: number;
  decoder: Decoder;
  hash: SeededHash;
  budget: MemoryBudget;
  time: TimeSettings;
  pace: PaceSettings;
  limits: LimitSettings;
  srm: SrmSettings;
  /** Topic names; `unique` null when accepted records are not copied. */
  outputs: { partials: string; duplicates: string; late: string; invalid: string; violations: string; unique: string | null };
}

export class IngestStage implements Stage<OutRecord[], void> {
  readonly #options: IngestOptions;
  readonly #state: IngestState;
  readonly #side: SideOutputs;
  readonly #emitter: Emitter;
  readonly #contribution: Contribution;
  readonly #block: IngestBlock;
  readonly #units: UnitCounter;
  /** Of the block: the first `#spending` are accepted impressions, to be counted together. */
  readonly #spent = new Uint8Array(BLOCK);
  #spending = 0;
  readonly #impressions: boolean;
  #committedTotals = emptyTotals(INVALID_REASONS.length);

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#impressions = options.stream === 'impressions';
    const { time, limits, hash, budget } = options;
    this.#state = new IngestState({ time, limits, hash, budget, reasons: INVALID_REASONS.length });
    this.#block = new IngestBlock(options.stream, options.decoder, hash);
    this.#side = new SideOutputs(options.topic, options.partition);
    this.#contribution = new Contribution(options, this.#state);
    this.#units = new UnitCounter(options, { state: this.#state, contribution: this.#contribution, side: this.#side });
    this.#emitter = new Emitter(options, this.#state, this.#contribution.sample);
  }

  get stream(): Stream {
    return this.#options.stream;
  }

  get position(): number {
    return this.#state.position;
  }

  get uncommitted(): boolean {
    return this.#state.uncommitted;
  }

  /** What the last commit covers: what metrics show. */
  get committedTotals(): IngestTotals {
    return this.#committedTotals;
  }

  get watermarkMs(): number {
    return this.#state.watermark.ms;
  }

  get lastRecordMs(): number {
    return this.#state.lastRecordMs;
  }

  get lossy(): boolean {
    return this.#state.lossy;
  }

  get state(): IngestState {
    return this.#state;
  }

  begin(position: number, lossy = false): void {
    this.#state.begin(position);
    this.#state.lossy = lossy;
  }

  *restore(commit: Commit): Generator<void> {
    yield* this.#state.restore(commit);
    this.#copyTotals();
  }

  skipTo(position: number): void {
    this.#state.position = position;
    this.#state.lossy = true;
  }

  newEpoch(): void {
    for (const name of CELL_NAMES) {
      const cells = this.#state.cells[name];
      for (let i = 0; i < cells.size; i++) cells.touchFor(i, TO_SEND);
    }
  }

  owned(claim: number, now: Now): void {
    this.#contribution.owned();
    this.#emitter.owned(claim, now);
  }

  process(batch: RecordBatch, now: Now): void {
    const block = this.#block;
    const judged = { records: 0, oldestMs: Number.POSITIVE_INFINITY };
    while (block.fill(batch)) {
      block.warm(this.#state);
      if (this.#impressions) this.#contribution.warm(block);
      else this.#units.warm(block);
      this.#spending = 0;
      for (let i = 0; i < block.size; i++) this.#judge(i);
      this.#contribution.impressions(block, this.#spent, this.#spending);
      this.#state.totals.sums.consumed += block.size;
      this.#state.lastRecordMs = block.lastMs;
      judged.records += block.size;
      judged.oldestMs = Math.min(judged.oldestMs, block.oldestMs);
    }
    this.#state.position = batch.nextOffset;
    this.#emitter.processed(judged, batch.endOffset - batch.nextOffset, now);
  }

  emit(now: Now, feed: FeedStatus, force: boolean): OutRecord[] | null {
    const early = force || this.#side.byteLength > MAX_WAITING_BYTES;
    const partials = this.#emitter.emit(now, feed, early, !this.#side.empty);
    if (partials === null) return null;
    const copies = this.#side.take();
    return copies.length === 0 ? partials : [...copies, ...partials];
  }

  // biome-ignore lint/suspicious/noConfusingVoidType: a writer of records answers with nothing
  delivered(_outcome: void, now: Now): void {
    this.#emitter.acknowledged(now);
  }

  dueMs(): number {
    return this.#side.byteLength > MAX_WAITING_BYTES ? Number.NEGATIVE_INFINITY : this.#emitter.dueMs();
  }

  get byteLength(): number {
    return this.#state.byteLength;
  }

  beginSnapshot(): void {
    this.#state.beginSnapshot();
  }

  snapshotSlice(count: number): boolean {
    return this.#state.snapshotSlice(count);
  }

  dispose(): void {
    this.#state.dispose();
  }

  takeCommit(): Commit {
    const { dispositions, sums } = this.#state.totals;
    const judged = dispositions.reduce((sum, count) => sum + count, 0);
    if (judged !== sums.consumed) {
      throw new StreamError(
        'counts_mismatch',
        `${this.#options.topic}/${this.#options.partition}: ${sums.consumed} records consumed, ${judged} judged`,
      );
    }
    this.#state.forgetExperiments(this.#state.watermark.ms - this.#options.time.unitTtlMs);
    const commit = this.#state.takeCommit();
    this.#copyTotals();
    this.#contribution.dropClosed();
    return commit;
  }

  /** Record number `i` of the block. */
  #judge(i: number): void {
    const { columns, reasons } = this.#block;
    const state = this.#state;
    const { dispositions } = state.totals;
    if (reasons[i] !== 0) {
      dispositions[INVALID]++;
      state.totals.reasons[reasons[i]]++;
      this.#side.copy(this.#block.record(i), this.#options.outputs.invalid, INVALID_REASONS[reasons[i]]);
      return;
    }
    const eventTs = columns.eventTs[i];
    // As signed words: others would be boxed on the way.
    if (state.seenBefore(columns.ids.his[i] | 0, columns.ids.los[i] | 0, eventTs)) {
      this.#duplicate(i);
    } else if (isLate(eventTs, state.watermark.ms, this.#options.time)) {
      this.#late(i);
    } else {
      dispositions[ACCEPTED]++;
      state.observe(eventTs);
      this.#accept(i);
    }
  }

  #duplicate(i: number): void {
    const { columns } = this.#block;
    this.#state.totals.dispositions[DUPLICATE]++;
    this.#state.addMoney('duplicateMicros', columns.spendMicros[i]);
    this.#contribution.evidence(EVIDENCE.duplicate, this.#block, i);
    this.#side.copy(this.#block.record(i), this.#options.outputs.duplicates, 'duplicate_event_id');
  }

  #late(i: number): void {
    const { columns } = this.#block;
    this.#state.totals.dispositions[LATE]++;
    this.#state.addMoney('lateMicros', columns.spendMicros[i]);
    this.#contribution.evidence(EVIDENCE.late, this.#block, i);
    const watermarkMs = String(this.#state.watermark.ms);
    this.#side.copy(this.#block.record(i), this.#options.outputs.late, 'window_closed', { watermark_ms: watermarkMs });
  }

  #accept(i: number): void {
    const { outputs } = this.#options;
    const { suspects, flags, eventTs } = this.#block.columns;
    if (outputs.unique !== null) this.#side.copy(this.#block.record(i), outputs.unique, '');
    const isTied = (flags[i] & FLAG.tied) !== 0;
    if (isTied && this.#state.suspectedBefore(suspects.his[i] | 0, suspects.los[i] | 0, eventTs[i])) this.#suspect(i);
    if (!this.#impressions) this.#units.count(this.#block, i);
    else if ((flags[i] & FLAG.valid) !== 0) this.#spent[this.#spending++] = i;
    else this.#contribution.invalidTraffic(this.#block, i);
  }

  #suspect(i: number): void {
    const { columns } = this.#block;
    this.#state.totals.sums.suspected++;
    this.#state.addMoney('suspectedMicros', columns.spendMicros[i]);
    this.#contribution.evidence(EVIDENCE.suspected, this.#block, i);
    this.#side.copy(this.#block.record(i), this.#options.outputs.duplicates, 'suspected_duplicate', { suspected: 'true' });
  }

  #copyTotals(): void {
    const { dispositions, reasons, sums } = this.#state.totals;
    this.#committedTotals.dispositions.set(dispositions);
    this.#committedTotals.reasons.set(reasons);
    for (const name of TOTALS) this.#committedTotals.sums[name] = sums[name];
  }
}
