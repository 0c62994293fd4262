/**
 * The second stage, one task a partition of `.partials`: merge ─ count ─ write absolute values. It owns each of its
 * entities alone; the version of all it writes is its position in that partition.
 */
import { StreamError } from '../errors.ts';
import type { HourlyBatch } from '../sinks/totals.ts';
import { ByteReader } from '../state/bytes.ts';
import { ADJUSTMENTS_MAGIC, readAdjustments } from './adjustments.ts';
import { CounterWrites } from './evaluate-counters.ts';
import type { EvaluateOptions, EvaluateOut } from './evaluate-options.ts';
import { Pacing } from './evaluate-pacing.ts';
import type { EvaluatePart } from './evaluate-part.ts';
import type { Registered } from './evaluate-registered.ts';
import { EvaluateState } from './evaluate-state.ts';
import { FLEET_MAGIC, type FleetSection, FleetTeller } from './fleet.ts';
import { HourlyBatches } from './hourly-batches.ts';
import { pacingParts } from './pacing-alerts.ts';
import { type CellVisitor, readCells, readHeader } from './partials.ts';
import type { FeedStatus, Stage } from './stage.ts';
import { type Commit, type CounterOutcome, type CounterWriter, type Now, type RecordBatch, RecordView } from './types.ts';

export type { CounterBatch, EvaluateOptions, EvaluateOut } from './evaluate-options.ts';
export type { Registered } from './evaluate-registered.ts';

/** Nothing is written for the sake of time alone when the broker has been silent for longer. */
const MAX_SILENCE_MS = 5000;
/** The marker key is written at least this often. */
const MARKER_MS = 1000;
/** Cells that are taken in one go: some 15 ms. A record more may be begun. */
const CELLS_AT_ONCE = 16_384;
/** Changes are gathered this long, so that a hot key is written once for many records. */
const GATHER_MS = 25;

export class EvaluateStage implements Stage<EvaluateOut, CounterOutcome> {
  readonly #options: EvaluateOptions;
  readonly #state: EvaluateState;
  readonly #counters: CounterWrites;
  readonly #hourly: HourlyBatches;
  readonly #parts: readonly EvaluatePart[];
  readonly #fleetSections: readonly FleetSection[];
  readonly #teller: FleetTeller;
  readonly #pacing: Pacing;
  readonly #view = new RecordView();
  #epoch = 0;
  /** Kafka time of the newest look. */
  #lookedMs = 0;
  #registryVersion = -1;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #pending = false;
  /** Cells since `process` was called. */
  #taken = 0;
  #unfinished = false;
  /** Kafka times of records whose effect is not in Redis yet; for end_to_end_seconds. */
  #unseenRecordMs: number[] = [];

  constructor(options: EvaluateOptions) {
    this.#options = options;
    this.#state = new EvaluateState(options.hash, options.limits.maxIds);
    this.#counters = new CounterWrites(this.#state, options.pace.rewriteMs);
    this.#hourly = new HourlyBatches(this.#state);
    this.#pacing = new Pacing(this.#state, options);
    const { partition, srm, maxOutOfOrdernessMs = 30_000 } = options;
    const place = { state: this.#state, alerts: this.#state.alerts, partition, settings: { srm }, maxOutOfOrdernessMs };
    const ours = pacingParts({ ...place, pacing: this.#pacing, settings: options.pacing });
    this.#parts = [...options.parts.map((make) => make(place)), ...ours];
    for (const part of this.#parts) {
      if (part.section) this.#state.keep(part.section);
      if (part.grew) this.#state.growing.push((name, place, growth, isPart) => part.grew?.(name, place, growth, isPart));
    }
    this.#fleetSections = this.#parts.flatMap(({ fleet }) => (fleet ? [fleet] : []));
    this.#teller = new FleetTeller(options.topic);
  }

  get position(): number {
    return this.#state.position;
  }

  get uncommitted(): boolean {
    return this.#state.uncommitted;
  }

  /** Names what it writes now. */
  get writer(): CounterWriter {
    return { partition: this.#options.partition, epoch: this.#epoch, version: this.#state.position };
  }

  get lossy(): boolean {
    return this.#state.loss.happened;
  }

  get state(): EvaluateState {
    return this.#state;
  }

  get parts(): readonly EvaluatePart[] {
    return this.#parts;
  }

  get pacing(): Pacing {
    return this.#pacing;
  }

  /** Takes what is registered now. Nothing is written before the first one. */
  register(registered: Registered): void {
    this.#epoch = registered.epoch;
    this.#pacing.register(registered);
    if (registered.version === this.#registryVersion) return;
    const { experiments, variants, allocations } = registered;
    if (experiments && variants && allocations) for (const part of this.#parts) part.registered?.({ experiments, variants, allocations });
    this.#registryVersion = registered.version;
    this.#state.days.useZones((id) => registered.zonesOf(id));
    this.#pending = true;
  }

  /** Cells before `position` that come no more are missing, also where the group knows of no state before. */
  begin(position: number, lossy = false): void {
    this.#state.begin(position);
    if (lossy || position > 0) this.#state.loss.begin();
  }

  restore(commit: Commit): Iterable<void> {
    return this.#state.restore(commit);
  }

  skipTo(position: number): void {
    this.#state.position = position;
    this.#state.loss.begin();
  }

  newEpoch(): void {
    this.#state.position = 0;
  }

  owned(): void {
    this.#state.owned();
    for (const part of this.#parts) part.owned?.();
    this.#pacing.owned();
    this.#pending = true;
  }

  get unfinished(): boolean {
    return this.#unfinished;
  }

  process(batch: RecordBatch): void {
    const view = this.#view;
    this.#taken = 0;
    this.#unfinished = true;
    while (batch.next(view)) {
      this.#take(view);
      if (this.#taken >= CELLS_AT_ONCE) return;
    }
    this.#unfinished = false;
    this.#state.position = batch.nextOffset;
    this.#pacing.read(batch.endOffset);
  }

  emit(now: Now, feed: FeedStatus, force: boolean): EvaluateOut | null {
    // The commit before this step, if there was one, has been written.
    this.#state.alerts.settle();
    if (!this.#state.days.registered) return null;
    const [silent, due] = [now.monotonicMs - feed.contactMs() > MAX_SILENCE_MS, now.monotonicMs >= this.dueMs()];
    if (!this.#pending && (silent || !due)) {
      if (due) this.#writtenMs = now.monotonicMs;
      return null;
    }
    if (!due && !force) return null;
    if (!silent) {
      this.#counters.renew(now.monotonicMs);
      for (const part of this.#parts) part.ticked?.(now, feed);
    }
    const { writer } = this;
    const records = silent ? [] : this.#teller.tell(now, writer, this.#fleetSections);
    const writes = this.#counters.take(now.monotonicMs);
    if (!silent) for (const part of this.#parts) if (part.writes) writes.push(...part.writes(now));
    if (!silent) this.#pacing.take(now, feed, writes);
    this.#pending = this.hasMore;
    this.#writtenMs = now.monotonicMs;
    return { writer, writes, records };
  }

  get hasMore(): boolean {
    return this.#counters.hasMore;
  }

  delivered(outcome: CounterOutcome, now: Now): void {
    this.#counters.delivered(outcome);
    this.#pending = this.#pacing.delivered(outcome, now) || this.#pending;
    if (!outcome.dataLost) return;
    this.#state.touchAll();
    for (const part of this.#parts) part.renew?.();
    this.#pacing.touchAll();
    this.#pending = true;
  }

  dueMs(): number {
    if (!this.#state.days.registered) return Number.POSITIVE_INFINITY;
    return this.#writtenMs + (this.hasMore ? 0 : Math.min(this.#pending ? GATHER_MS : MARKER_MS, this.#pacing.waitMs));
  }

  get byteLength(): number {
    return this.#state.byteLength;
  }

  get canSnapshot(): boolean {
    return !this.#state.isForgetting;
  }

  beginSnapshot(): void {
    this.#state.beginSnapshot();
  }

  snapshotSlice(count: number): boolean {
    return this.#state.snapshotSlice(count);
  }

  dispose(): void {}

  takeCommit(): Commit {
    const commit = this.#state.takeCommit();
    this.#state.forgetOld(this.#options.limits.slotRetentionMs);
    return commit;
  }

  /** Kafka times whose records became visible with the last write; each is given once. None before all portions are written. */
  takeVisible(): number[] {
    if (this.hasMore) return [];
    const visible = this.#unseenRecordMs;
    this.#unseenRecordMs = [];
    return visible;
  }

  /** See `HourlyBatches`. */
  takeHours(limit: number): HourlyBatch | null {
    return this.#hourly.take(limit, this.writer);
  }

  hoursLanded(written: boolean): void {
    this.#hourly.landed(written);
  }

  #take(view: RecordView): void {
    try {
      this.#takeRecord(view);
    } catch (cause) {
      if (!(cause instanceof RangeError) && !(cause instanceof TypeError)) throw cause;
      const where = `.partials/${this.#options.partition} at ${view.offset}`;
      throw new StreamError('partial_format', `the record in ${where} is no partial: find who else writes there`, { cause });
    }
  }

  #takeRecord(view: RecordView): void {
    if (view.value === null) throw new TypeError('a record of .partials has a value');
    const from = new ByteReader(view.value, view.valueStart, view.valueEnd);
    const magic = view.value[view.valueStart];
    if (magic === FLEET_MAGIC) this.#state.fleet.take(from);
    else if (magic === ADJUSTMENTS_MAGIC) this.#pending = readAdjustments(from, (one) => this.#state.adjust(one)) || this.#pending;
    else this.#takePartial(from, view.timestampMs);
  }

  #takePartial(from: ByteReader, recordMs: number): void {
    const header = readHeader(from);
    const state = this.#state;
    const source = state.sources.of(header);
    // Of a repeat, units were seen before.
    const isNew = header.position > state.sources.all()[source].position;
    state.isPart = header.parts > 1;
    const visitor: CellVisitor = {
      groups: (names) => state.groupsOf(names),
      cells: (block) => {
        state.take(source, block);
        this.#taken += block.size;
        this.#pending = true;
      },
      unit: (group, unitId) => {
        if (isNew) for (const part of this.#parts) part.sampled?.(state.groups[group], unitId);
      },
    };
    this.#pacing.within(state.sources.all()[source].countedUntilMs, header.lastRecordMs);
    readCells(from, visitor);
    state.loss.hear(source, header, recordMs);
    const advanced = state.sources.arrived(source, header, recordMs);
    if (advanced === null) return;
    if (advanced && header.oldestRecordMs !== null) this.#unseenRecordMs.push(header.oldestRecordMs);
    if (recordMs > this.#lookedMs) this.#lookedMs = recordMs;
    for (const part of this.#parts) part.looked?.({ source, mark: header, advanced, atMs: this.#lookedMs });
  }
}
