/**
 * The second stage, one task a partition of `.partials`: merge ─ count ─ write absolute values. It owns each of its
 * entities alone; the version of all it writes is its position in that partition.
 */
import type { LimitSettings, PaceSettings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { dayText } from '../operators/days.ts';
import type { HourlyBatch } from '../sinks/totals.ts';
import { ByteReader } from '../state/bytes.ts';
import { TO_SEND } from '../state/cells.ts';
import { EvaluateState } from './evaluate-state.ts';
import { hourlyRow } from './hourly-row.ts';
import { type CellVisitor, readCells, readHeader } from './partials.ts';
import type { FeedStatus, Stage } from './stage.ts';
import {
  type Commit,
  type CounterOutcome,
  type CounterWrite,
  type CounterWriter,
  type Now,
  type RecordBatch,
  RecordView,
} from './types.ts';

const DAY_MS = 86_400_000;
const SPEND_EXPIRY_MS = 8 * DAY_MS;
const EXPOSED_EXPIRY_MS = 90 * DAY_MS;

/** Nothing is written for the sake of time alone when the broker was last heard of longer ago. */
const MAX_SILENCE_MS = 5000;
/** The marker key is written at least this often. */
const MARKER_MS = 1000;
/** Changes are gathered this long, so that a hot key is written once for many records. */
const GATHER_MS = 25;

export interface CounterBatch {
  writer: CounterWriter;
  writes: CounterWrite[];
}

export interface EvaluateOptions {
  partition: number;
  pace: PaceSettings;
  limits: LimitSettings;
}

/** What evaluate needs of a registry. */
export interface Zones {
  version: number;
  epoch: number;
  zoneOf(campaignId: string): string;
}

export class EvaluateStage implements Stage<CounterBatch, CounterOutcome> {
  readonly #options: EvaluateOptions;
  readonly #state = new EvaluateState();
  readonly #view = new RecordView();
  #epoch = 0;
  #registryVersion = -1;
  #writtenMs = Number.NEGATIVE_INFINITY;
  #pending = false;
  #cursor = 0;
  #lag = 0;
  #sliceMs = Number.NEGATIVE_INFINITY;
  /** Kafka times of records whose effect is not in Redis yet; for end_to_end_seconds. */
  #unseenRecordMs: number[] = [];

  constructor(options: EvaluateOptions) {
    this.#options = options;
  }

  get position(): number {
    return this.#state.position;
  }

  get uncommitted(): boolean {
    return this.#state.uncommitted;
  }

  /** Records to the end of the log, as the last fetch knew it. */
  get lag(): number {
    return this.#lag;
  }

  get lossy(): boolean {
    return this.#state.lossy;
  }

  get state(): EvaluateState {
    return this.#state;
  }

  /** Takes what is registered now. Nothing is written before the first one. */
  register(zones: Zones): void {
    this.#epoch = zones.epoch;
    if (zones.version === this.#registryVersion) return;
    this.#registryVersion = zones.version;
    this.#state.useZones((id) => zones.zoneOf(id));
    this.#pending = true;
  }

  /** Cells before `position` that come no more are missing, also where the group knows of no state before. */
  begin(position: number, lossy = false): void {
    this.#state.begin(position);
    this.#state.lossy = lossy || position > 0;
  }

  restore(commit: Commit): void {
    this.#state.restore(commit);
  }

  skipTo(position: number): void {
    this.#state.position = position;
    this.#state.lossy = true;
  }

  newEpoch(): void {
    this.#state.position = 0;
  }

  owned(): void {
    this.#state.touchAll();
    this.#pending = true;
  }

  process(batch: RecordBatch): void {
    const view = this.#view;
    while (batch.next(view)) this.#take(view);
    this.#state.position = batch.nextOffset;
    this.#lag = batch.endOffset - batch.nextOffset;
  }

  emit(now: Now, feed: FeedStatus, force: boolean): CounterBatch | null {
    if (!this.#state.registered) return null;
    const silent = now.monotonicMs - feed.contactMs() > MAX_SILENCE_MS;
    const due = now.monotonicMs >= this.dueMs();
    if (!this.#pending && (silent || !due)) {
      if (due) this.#writtenMs = now.monotonicMs;
      return null;
    }
    if (!due && !force) return null;
    const writes = this.#changedCounters();
    if (!silent) this.#rewriteSlice(now, writes);
    if (this.lossy) for (const write of writes) write.keepLarger = true;
    this.#pending = false;
    this.#writtenMs = now.monotonicMs;
    return { writer: { partition: this.#options.partition, epoch: this.#epoch, version: this.#state.position }, writes };
  }

  delivered(outcome: CounterOutcome): void {
    if (!outcome.dataLost) return;
    this.#state.touchAll();
    this.#pending = true;
  }

  dueMs(): number {
    if (!this.#state.registered) return Number.POSITIVE_INFINITY;
    return this.#writtenMs + (this.#pending ? GATHER_MS : MARKER_MS);
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

  dispose(): void {}

  takeCommit(): Commit {
    const commit = this.#state.takeCommit();
    this.#state.forgetOld(this.#options.limits.slotRetentionMs);
    return commit;
  }

  /** Kafka times whose records became visible with the last write; each is given once. */
  takeVisible(): number[] {
    const visible = this.#unseenRecordMs;
    this.#unseenRecordMs = [];
    return visible;
  }

  /** Hours that Postgres does not have, at most `limit` of them, or null. `hoursLanded` says how it went. */
  takeHours(limit: number): HourlyBatch | null {
    const hours = this.#state.hours.take(limit);
    if (hours.length === 0) return null;
    const positions = this.#state.sources.all().filter((source) => source.origin >= 0);
    return {
      partialsPartition: this.#options.partition,
      epoch: this.#epoch,
      version: this.#state.position,
      keepLarger: this.lossy,
      rows: hours.map((hour) => hourlyRow(this.#state, hour)),
      positions: positions.map((source) => ({ ...source, countedUntilMs: null })),
    };
  }

  hoursLanded(written: boolean): void {
    this.#state.hours.landed(written);
  }

  #take(view: RecordView): void {
    try {
      this.#takePartial(view);
    } catch (cause) {
      // What the readers throw when bytes end early, or are no text.
      if (!(cause instanceof RangeError) && !(cause instanceof TypeError)) throw cause;
      const where = `.partials/${this.#options.partition} at ${view.offset}`;
      throw new StreamError('partial_format', `the record in ${where} is no partial: find who else writes there`, { cause });
    }
  }

  #takePartial(view: RecordView): void {
    if (view.value === null) throw new TypeError('a partial has a value');
    const from = new ByteReader(view.value, view.valueStart, view.valueEnd);
    const header = readHeader(from);
    const state = this.#state;
    const source = state.sources.of(header);
    const visitor: CellVisitor = {
      group: (name) => state.groupOf(name),
      cell: (name, group, time, values) => {
        state.take(name, { group, source, time }, values);
        this.#pending = true;
      },
    };
    readCells(from, visitor);
    if (state.sources.arrived(source, header, view.timestampMs) && header.lastRecordMs !== null)
      this.#unseenRecordMs.push(header.lastRecordMs);
  }

  #changedCounters(): CounterWrite[] {
    const writes: CounterWrite[] = [];
    const { days, experiments, dirtyExperiments } = this.#state;
    days.takeChanged(TO_SEND, (index) => writes.push(this.#spendWrite(index)));
    for (const id of dirtyExperiments) {
      const counts = experiments.get(id);
      if (counts) writes.push(this.#exposedWrite(id));
    }
    dirtyExperiments.clear();
    return writes;
  }

  /** The next few living keys, so that all of them are written again within `rewriteMs`. */
  #rewriteSlice(now: Now, writes: CounterWrite[]): void {
    const elapsedMs = now.monotonicMs - this.#sliceMs;
    if (elapsedMs < MARKER_MS) return;
    this.#sliceMs = now.monotonicMs;
    const { days, experiments } = this.#state;
    const living = days.size + experiments.size;
    const share = Math.min(1, (Number.isFinite(elapsedMs) ? elapsedMs : MARKER_MS) / this.#options.pace.rewriteMs);
    const ids = [...experiments.keys()];
    for (let left = Math.min(living, Math.ceil(living * share)); left > 0; left--) {
      this.#cursor = this.#cursor % living;
      writes.push(this.#cursor < days.size ? this.#spendWrite(this.#cursor) : this.#exposedWrite(ids[this.#cursor - days.size]));
      this.#cursor++;
    }
  }

  #spendWrite(index: number): CounterWrite {
    const { days, groups, sources } = this.#state;
    return {
      key: `spend:{${groups[days.groupOf(index)].entity}}:${dayText(days.timeOf(index))}`,
      fields: {
        spend_micros: String(days.get(index, 0)),
        impressions: String(days.get(index, 1)),
        watermark_ms: String(Math.max(0, sources.watermarkMs('impressions') ?? 0)),
      },
      expiryMs: SPEND_EXPIRY_MS,
    };
  }

  #exposedWrite(experimentId: string): CounterWrite {
    const counts = this.#state.experiments.get(experimentId);
    const fields: Record<string, string> = { contaminated: String(counts?.contaminated ?? 0) };
    for (const [variant, units] of counts?.units ?? []) fields[`units:${variant}`] = String(units);
    fields['watermark_ms'] = String(Math.max(0, this.#state.sources.watermarkMs('exposures') ?? 0));
    return { key: `exposed:{${experimentId}}`, fields, expiryMs: EXPOSED_EXPIRY_MS };
  }
}
