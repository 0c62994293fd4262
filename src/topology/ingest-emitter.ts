/** When and what ingest sends to `.partials`: to each partition a mark, and the changed cells whose entities hash there. */
import type { PaceSettings, TimeSettings } from '../config.ts';
import { ROW, ROWS, TO_SEND } from '../state/cells.ts';
import type { IngestState } from './ingest-state.ts';
import { GroupNumbers, PartialBody, type WriteName } from './partial-body.ts';
import { CELL_NAMES, CELLS, type CellName, type Mark } from './partials.ts';
import { partitionOf } from './sources/murmur2.ts';
import type { FeedStatus } from './stage.ts';
import type { Now, OutRecord, Stream } from './types.ts';
import type { UnitSample } from './unit-sample.ts';

/** A mark goes out at least this often, changes or none. */
const MARK_MS = 1000;
/** More records than this before the end of the log: catching up. */
const CATCHING_UP_RECORDS = 5000;
/** Well under the smallest usual message limit (1 MiB). */
const MAX_RECORD_BYTES = 128 * 1024;

/** So many cells are written in some 5 ms, where none of them is in the cache. */
const CELLS_AT_ONCE = 16_384;

export interface EmitterOptions {
  stream: Stream;
  topic: string;
  partition: number;
  partitions: number;
  partialsPartitions: number;
  time: TimeSettings;
  pace: PaceSettings;
  outputs: { partials: string };
}

/** What has been counted besides the cells. */
interface Counted {
  readonly sample: UnitSample;
  /** Puts what was added up into cells. */
  settle(): void;
  /** The same for so many sums; true when none is left. */
  settleNext(most: number): boolean;
}

interface Begun {
  mark: Mark;
  /** By partition and part. */
  bodies: PartialBody[][];
}

export class Emitter {
  readonly #options: EmitterOptions;
  readonly #state: IngestState;
  readonly #counted: Counted;
  readonly #partitionOfGroup: number[] = [];
  /** Groups of the cells that are written next. */
  readonly #groups = new Int32Array(ROWS);
  /** By partition and part. */
  readonly #bodies: PartialBody[][] = [];
  readonly #numbers = new GroupNumbers();
  readonly #writeName: WriteName = (group, to) => this.#state.groups.writeName(group, to);
  /** An emission of which not all cells are written yet. */
  #begun: Begun | null = null;
  #claim = 0;
  #emission = 0;
  /** When the last emission under this claim was acknowledged; null before. */
  #acknowledgedMs: number | null = null;
  #sentMs = Number.NEGATIVE_INFINITY;
  #lag = 0;
  #lastRecordMonotonicMs = Number.NEGATIVE_INFINITY;
  #unsent = false;
  /** Kafka time of the oldest record that is not yet sent; Infinity without one. */
  #oldestRecordMs = Number.POSITIVE_INFINITY;

  constructor(options: EmitterOptions, state: IngestState, counted: Counted) {
    this.#options = options;
    this.#state = state;
    this.#counted = counted;
  }

  owned(claim: number, now: Now): void {
    this.#claim = claim;
    this.#emission = 0;
    this.#acknowledgedMs = null;
    // Silence is what this owner has waited through itself: a restart at the log's end is not idle at once.
    if (this.#lastRecordMonotonicMs === Number.NEGATIVE_INFINITY) this.#lastRecordMonotonicMs = now.monotonicMs;
  }

  processed(judged: { records: number; oldestMs: number }, lag: number, now: Now): void {
    this.#lag = lag;
    this.#unsent = true;
    if (judged.records > 0) this.#lastRecordMonotonicMs = now.monotonicMs;
    if (judged.oldestMs < this.#oldestRecordMs) this.#oldestRecordMs = judged.oldestMs;
  }

  /** What `emit` last gave has been acknowledged. */
  acknowledged(now: Now): void {
    this.#acknowledgedMs = now.monotonicMs;
  }

  dueMs(): number {
    if (!this.#unsent) return this.#sentMs + MARK_MS;
    const { emitMs, emitCatchingUpMs } = this.#options.pace;
    return this.#sentMs + (this.#lag > CATCHING_UP_RECORDS ? emitCatchingUpMs : emitMs);
  }

  /** Does a part of an emission that is due or begun; true while more of it is to be done before `emit`. `waiting`: side outputs are waiting too. */
  prepare(now: Now, feed: FeedStatus, force: boolean, waiting: boolean): boolean {
    if (!this.#isDue(now, force, waiting)) return false;
    if (this.#begun !== null) this.#write(this.#begun, CELLS_AT_ONCE);
    else if (this.#counted.settleNext(CELLS_AT_ONCE)) this.#begun = this.#begin(now, feed);
    else return true;
    return CELL_NAMES.reduce((sum, name) => sum + this.#state.cells[name].changed(TO_SEND), 0) > CELLS_AT_ONCE;
  }

  /** The records to send, or null when it is not time, and it is when `prepare` has begun: what that has left is done here. */
  emit(now: Now, feed: FeedStatus, force: boolean, waiting: boolean): OutRecord[] | null {
    if (!this.#isDue(now, force, waiting)) return null;
    const begun = this.#begun ?? this.#begin(now, feed);
    this.#write(begun, Number.POSITIVE_INFINITY);
    const records = this.#records(begun);
    this.#begun = null;
    this.#sentMs = now.monotonicMs;
    this.#unsent = false;
    this.#oldestRecordMs = Number.POSITIVE_INFINITY;
    return records;
  }

  #isDue(now: Now, force: boolean, waiting: boolean): boolean {
    return this.#begun !== null || now.monotonicMs >= this.dueMs() || (force && (this.#unsent || waiting));
  }

  #begin(now: Now, feed: FeedStatus): Begun {
    this.#counted.settle();
    for (const name of CELL_NAMES) this.#state.cells[name].arrangeChanged(TO_SEND);
    const bodies = Array.from({ length: this.#options.partialsPartitions }, (_, partition) => [this.#body(partition, 0)]);
    return { mark: this.#mark(now, feed), bodies };
  }

  #mark(now: Now, feed: FeedStatus): Mark {
    const { stream, topic, partition, partitions, time } = this.#options;
    const { position, origin, watermark, lastRecordMs } = this.#state;
    const endMs = feed.endReachedMs(position);
    const silentMs = now.monotonicMs - this.#lastRecordMonotonicMs;
    return {
      stream,
      topic,
      partition,
      partitions,
      origin,
      position,
      watermarkMs: Number.isFinite(watermark.ms) ? watermark.ms : null,
      idle: endMs !== null && silentMs >= time.idleAfterMs,
      endAgeMs: endMs === null || this.#acknowledgedMs === null ? null : this.#acknowledgedMs - endMs,
      lastRecordMs: Number.isFinite(lastRecordMs) ? lastRecordMs : null,
      oldestRecordMs: Number.isFinite(this.#oldestRecordMs) ? this.#oldestRecordMs : null,
      claim: this.#claim,
      emission: this.#emission++,
    };
  }

  /** Writes changed cells, so many at most. */
  #write({ bodies }: Begun, most: number): void {
    let left = most;
    for (const name of CELL_NAMES) {
      const indices = this.#state.cells[name].takeChanged(TO_SEND, left);
      if (indices.length > 0) this.#writeCells(bodies, name, indices);
      left -= indices.length;
    }
  }

  #writeCells(bodies: PartialBody[][], name: CellName, indices: Int32Array): void {
    const cells = this.#state.cells[name];
    const { kind } = CELLS[name];
    const width = ROW.columns + cells.columns;
    for (let from = 0; from < indices.length; from += ROWS) {
      const some = indices.subarray(from, from + ROWS);
      const rows = cells.rows(some);
      for (let i = 0; i < some.length; i++) this.#groups[i] = rows[i * width + ROW.group];
      this.#warm(some.length);
      for (let i = 0, at = 0; i < some.length; i++, at += width) {
        const body = this.#bodyOf(bodies, this.#groups[i]);
        rows[at + ROW.time] = body.time(name, rows[at + ROW.time], this.#writeName);
        body.cell(kind, this.#groups[i], this.#writeName).varints(rows, at + ROW.time, at + width);
      }
    }
  }

  /** What is written of a group next. */
  #bodyOf(bodies: PartialBody[][], group: number): PartialBody {
    const partition = this.#partitionOf(group);
    const parts = bodies[partition];
    const last = parts[parts.length - 1];
    if (last.byteLength <= MAX_RECORD_BYTES) return last;
    const next = this.#body(partition, parts.length);
    parts.push(next);
    return next;
  }

  /** Reads what is asked about the first of the groups, so that it waits in the cache: of all of them at once, so that their misses overlap. The result means nothing. */
  #warm(count: number): number {
    const groups = this.#groups;
    let read = 0;
    for (let i = 0; i < count; i++) read += this.#partitionOf(groups[i]) + this.#numbers.warm(groups[i]);
    return read + this.#state.groups.warm(groups, count);
  }

  #records({ mark, bodies }: Begun): OutRecord[] {
    const { sample } = this.#counted;
    sample.groups.forEach((group, i) => {
      bodies[this.#partitionOf(group)].at(-1)?.unit(group, sample.unitIds[i], this.#writeName);
    });
    sample.clear();
    const topic = this.#options.outputs.partials;
    const measured = mark.emission % bodies.length;
    return bodies.flatMap((parts, partition) => {
      const oldestRecordMs = partition === measured ? mark.oldestRecordMs : null;
      const header = { ...mark, oldestRecordMs, parts: parts.length };
      return parts.map((body, part) => ({ topic, partition, key: null, value: body.take({ ...header, part }) }));
    });
  }

  #body(partition: number, part: number): PartialBody {
    while (this.#bodies.length <= partition) this.#bodies.push([]);
    const bodies = this.#bodies[partition];
    if (bodies.length === part) bodies.push(new PartialBody(this.#numbers));
    return bodies[part];
  }

  #partitionOf(group: number): number {
    // Groups are numbered from 0 without a gap, so this leaves none either.
    for (let next = this.#partitionOfGroup.length; next <= group; next++) {
      const entity = this.#state.groups.entityOf(next);
      this.#partitionOfGroup.push(partitionOf(entity, 0, entity.length, this.#options.partialsPartitions));
    }
    return this.#partitionOfGroup[group];
  }
}
