/**
 * The first stage, one task a source partition: decode ─ dedup ─ late? ─ first exposure ─ window. Every record gets one
 * disposition; what it adds to a cell goes out as an absolute value.
 */
import type { LimitSettings, PaceSettings, SrmSettings, TimeSettings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { type Decoder, INVALID_REASONS } from '../operators/decode.ts';
import { BLOCK, FLAG } from '../operators/event-columns.ts';
import { TO_SEND } from '../state/cells.ts';
import type { SeededHash } from '../state/hash.ts';
import type { MemoryBudget } from '../state/memory-budget.ts';
import { BlockJudge, VERDICT } from './block-judge.ts';
import { Contribution, EVIDENCE, type Evidence } from './contribution.ts';
import { IngestBlock } from './ingest-block.ts';
import { Emitter } from './ingest-emitter.ts';
import { IngestState } from './ingest-state.ts';
import { emptyTotals, type IngestTotals, TOTALS } from './ingest-totals.ts';
import type { Outgoing } from './packed-records.ts';
import { CELL_NAMES } from './partials.ts';
import { SideOutputs } from './side-outputs.ts';
import type { FeedStatus, Stage } from './stage.ts';
import type { Commit, Now, RecordBatch, Stream } from './types.ts';
import { UnitCounter } from './unit-counter.ts';

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

export class IngestStage implements Stage<Outgoing[], void> {
  readonly #options: IngestOptions;
  readonly #state: IngestState;
  readonly #side: SideOutputs;
  readonly #emitter: Emitter;
  readonly #contribution: Contribution;
  readonly #block: IngestBlock;
  readonly #judge: BlockJudge;
  readonly #units: UnitCounter;
  /** Of the block: accepted impressions that are valid, to be counted together, and how many they are. */
  readonly #spent = new Uint8Array(BLOCK);
  #spending = 0;
  /** The records that are looked at one by one. */
  readonly #left = new Uint8Array(BLOCK);
  readonly #impressions: boolean;
  /** What `emit` gave last was an emission, not copies alone. */
  #emitted = false;
  #committedTotals = emptyTotals(INVALID_REASONS.length);

  constructor(options: IngestOptions) {
    this.#options = options;
    this.#impressions = options.stream === 'impressions';
    const { time, limits, hash, budget } = options;
    this.#state = new IngestState({ time, limits, hash, budget, reasons: INVALID_REASONS.length });
    this.#block = new IngestBlock(options.stream, options.decoder, hash);
    this.#judge = new BlockJudge(this.#state, time);
    this.#side = new SideOutputs(options.topic, options.partition);
    this.#contribution = new Contribution(options, this.#state);
    this.#units = new UnitCounter(options, { state: this.#state, contribution: this.#contribution, side: this.#side });
    this.#emitter = new Emitter(options, this.#state, this.#contribution);
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
      if (this.#impressions) this.#contribution.warm(block);
      else this.#units.warm(block);
      this.#judge.judge(block);
      this.#count(block);
      this.#state.totals.sums.consumed += block.size;
      this.#state.lastRecordMs = block.lastMs;
      judged.records += block.size;
      judged.oldestMs = Math.min(judged.oldestMs, block.oldestMs);
    }
    this.#state.position = batch.nextOffset;
    this.#emitter.processed(judged, batch.endOffset - batch.nextOffset, now);
  }

  prepare(now: Now, feed: FeedStatus, force: boolean): boolean {
    return this.#emitter.prepare(now, feed, force, !this.#side.empty);
  }

  emit(now: Now, feed: FeedStatus, force: boolean): Outgoing[] | null {
    const partials = this.#emitter.emit(now, feed, force, !this.#side.empty);
    this.#emitted = partials !== null;
    // Copies that are many go alone: with each emission all cells that have changed would.
    if (partials === null && !this.#hasManyCopies) return null;
    const copies = this.#side.take();
    return copies.length === 0 ? partials : [...copies, ...(partials ?? [])];
  }

  // biome-ignore lint/suspicious/noConfusingVoidType: a writer of records answers with nothing
  delivered(_outcome: void, now: Now): void {
    if (this.#emitted) this.#emitter.acknowledged(now);
  }

  dueMs(): number {
    return this.#hasManyCopies ? Number.NEGATIVE_INFINITY : this.#emitter.dueMs();
  }

  get #hasManyCopies(): boolean {
    return this.#side.byteLength > MAX_WAITING_BYTES;
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
    this.#contribution.settle();
    const commit = this.#state.takeCommit();
    this.#copyTotals();
    this.#contribution.dropClosed();
    return commit;
  }

  /** What the records of the block that was judged add to, and where they are copied to. */
  #count(block: IngestBlock): void {
    const { verdicts } = this.#judge;
    const { dispositions } = this.#state.totals;
    const left = this.#sort(block);
    dispositions[VERDICT.accepted] += block.size - left;
    for (let k = 0; k < left; k++) {
      const i = this.#left[k];
      dispositions[verdicts[i]]++;
      if (verdicts[i] === VERDICT.accepted) this.#accept(i);
      else if (verdicts[i] === VERDICT.invalid) this.#invalid(i);
      else if (verdicts[i] === VERDICT.duplicate) this.#duplicate(i);
      else this.#late(i);
    }
    this.#contribution.impressions(block, this.#spent, this.#spending);
  }

  /** Finds those that spend, and those of which something else is to be done: few, mostly. Returns how many the latter are. */
  #sort({ size, columns: { flags } }: IngestBlock): number {
    const { verdicts, suspected } = this.#judge;
    const [spent, left] = [this.#spent, this.#left];
    const isOnlySpent = this.#impressions && this.#options.outputs.unique === null;
    let [spending, leftCount] = [0, 0];
    for (let i = 0; i < size; i++) {
      const spends = verdicts[i] === VERDICT.accepted && (flags[i] & FLAG.valid) !== 0;
      if (spends) spent[spending++] = i;
      if (!spends || suspected[i] === 1 || !isOnlySpent) left[leftCount++] = i;
    }
    this.#spending = this.#impressions ? spending : 0;
    return leftCount;
  }

  #accept(i: number): void {
    const { suspected, watermarksMs } = this.#judge;
    const { unique } = this.#options.outputs;
    if (unique !== null) this.#side.copy(this.#block.record(i), unique, '');
    if (suspected[i] === 1) this.#suspect(i);
    if (!this.#impressions) this.#units.count(this.#block, i, watermarksMs[i]);
    else if ((this.#block.columns.flags[i] & FLAG.valid) === 0) this.#invalidTraffic(i);
  }

  #invalid(i: number): void {
    const { reasons } = this.#block;
    this.#state.totals.reasons[reasons[i]]++;
    this.#side.copy(this.#block.record(i), this.#options.outputs.invalid, INVALID_REASONS[reasons[i]]);
  }

  #duplicate(i: number): void {
    const { columns } = this.#block;
    this.#state.addMoney('duplicateMicros', columns.spendMicros[i]);
    this.#evidence(EVIDENCE.duplicate, i);
    this.#side.copy(this.#block.record(i), this.#options.outputs.duplicates, 'duplicate_event_id');
  }

  #late(i: number): void {
    const { columns } = this.#block;
    this.#state.addMoney('lateMicros', columns.spendMicros[i]);
    this.#evidence(EVIDENCE.late, i);
    const watermarkMs = String(this.#judge.watermarksMs[i]);
    this.#side.copy(this.#block.record(i), this.#options.outputs.late, 'window_closed', { watermark_ms: watermarkMs });
  }

  #suspect(i: number): void {
    const { columns } = this.#block;
    this.#state.totals.sums.suspected++;
    this.#state.addMoney('suspectedMicros', columns.spendMicros[i]);
    this.#evidence(EVIDENCE.suspected, i);
    this.#side.copy(this.#block.record(i), this.#options.outputs.duplicates, 'suspected_duplicate', { suspected: 'true' });
  }

  /** An accepted impression that spends nothing. */
  #invalidTraffic(i: number): void {
    this.#state.addMoney('invalidTrafficMicros', this.#block.columns.spendMicros[i]);
    this.#evidence(EVIDENCE.invalidTraffic, i);
  }

  #evidence(kind: Evidence, i: number): void {
    this.#contribution.evidence(kind, this.#block, i, this.#judge.watermarksMs[i]);
  }

  #copyTotals(): void {
    const { dispositions, reasons, sums } = this.#state.totals;
    this.#committedTotals.dispositions.set(dispositions);
    this.#committedTotals.reasons.set(reasons);
    for (const name of TOTALS) this.#committedTotals.sums[name] = sums[name];
  }
}
