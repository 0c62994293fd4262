/**
 * The nouns. Read this first, then ingest.ts (the pipeline), then task.ts (the loop that drives one record).
 *
 * Everything below is either a value that flows, or a port: a promise that a fake in memory and the real thing both keep
 * (test/conformance runs one suite on each).
 */
import type { Outgoing } from './packed-records.ts';

/** The three inputs. The index is the stream's number in binary formats. */
export const STREAMS = ['exposures', 'assignments', 'impressions'] as const;
export type Stream = (typeof STREAMS)[number];

/** What became of a record. Precedence: invalid > duplicate > late > accepted. The index is its number in binary formats. */
export const DISPOSITIONS = ['accepted', 'duplicate', 'late', 'invalid'] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

/** A stretch of bytes inside a buffer that somebody else owns; valid until the next record is read. */
export interface ByteRef {
  bytes: Uint8Array;
  start: number;
  /** Exclusive. */
  end: number;
}

/** Records one after the other that lie in the same bytes: from `from` on in these columns. */
export interface RecordRun {
  bytes: Uint8Array;
  from: number;
  size: number;
  offsets: Float64Array;
  /** Kafka's timestamps, epoch ms; NaN of a record that has none (then there is no skew check). */
  timesMs: Float64Array;
  /** Two a record: start and end (exclusive) in the bytes; the start of null is -1. */
  keys: Int32Array;
  values: Int32Array;
}

/** One record as it lies in a fetched buffer. One view is reused: nothing may keep it, and what must outlive the record is copied. */
export class RecordView {
  offset = 0;
  /** Kafka's timestamp, epoch ms; NaN when the record has none. */
  timestampMs = Number.NaN;
  /** Null of a null key; a null value likewise. */
  key: Uint8Array | null = null;
  keyStart = 0;
  keyEnd = 0;
  value: Uint8Array | null = null;
  valueStart = 0;
  valueEnd = 0;

  /** The record at `at` in the columns of a run. */
  read({ bytes, offsets, timesMs, keys, values }: RecordRun, at: number): void {
    this.offset = offsets[at];
    this.timestampMs = timesMs[at];
    this.keyStart = keys[2 * at];
    this.keyEnd = keys[2 * at + 1];
    this.key = this.keyStart < 0 ? null : bytes;
    this.valueStart = values[2 * at];
    this.valueEnd = values[2 * at + 1];
    this.value = this.valueStart < 0 ? null : bytes;
  }
}

/** What one fetch brought of one partition, in offset order. May hold no records at all (control records only). */
export interface RecordBatch {
  readonly topic: string;
  readonly partition: number;
  /** The offset to go on at: after the last thing in the batch, control records and filtered ones included. */
  readonly nextOffset: number;
  /** The end of the log (last stable offset) as known when this batch was fetched. */
  readonly endOffset: number;
  /** For memory accounting. */
  readonly byteLength: number;
  /** Fills `view` with the next record; false after the last. */
  next(view: RecordView): boolean;
  /** The next records, at most `most` and at least one, valid until the next call; null after the last. */
  take(most: number): RecordRun | null;
}

export interface PartitionBounds {
  /** The first retained offset. */
  first: number;
  /** The end of the log: the offset the next record will get, as a reader of committed records sees it. */
  end: number;
  /** The group's committed offset; null when it has none. For dashboards and for noticing lost state, never for starting. */
  committed: number | null;
}

/**
 * One assigned partition. Created on assignment; after the partition has gone elsewhere `lost` is true for ever, `poll`
 * rejects with code `partition_lost`, and `commit` does nothing.
 */
export interface PartitionFeed {
  readonly topic: string;
  readonly partition: number;
  readonly lost: boolean;
  bounds(): Promise<PartitionBounds>;
  /** Where the next poll reads on. Must be called once before the first poll; anything fetched before is dropped. */
  seek(offset: number): void;
  /** The next batch in order, or null when `waitMs` passed without one. Never two at a time: the one before, and its bytes, end with the call. */
  poll(waitMs: number): Promise<RecordBatch | null>;
  /** Commits the group's offset under the generation of this assignment; refused silently when that is over. */
  commit(offset: number): Promise<void>;
  /** Monotonic ms of the last answer from the broker about this partition, data or none; -Infinity before the first. */
  contactMs(): number;
  /** Monotonic ms of the last fetch that found nothing after the given offset, or null when that is not known. */
  endReachedMs(position: number): number | null;
  /**
   * The last known end of the log (as `PartitionBounds.end`), null before the first. Asked for again in the background when it is
   * old, so that it goes on while nobody polls.
   */
  endOffset(): number | null;
}

/** Membership in a consumer group. */
export interface Source {
  /** Joins. `assigned` is called with the whole new set on every change, also with an empty one when membership was lost. */
  start(listener: AssignmentListener): Promise<void>;
  /** Leaves the group, so that others take over at once. */
  stop(): Promise<void>;
  /** Number of partitions by topic, for all topics this source reads. */
  partitionCounts(): Promise<ReadonlyMap<string, number>>;
}

export interface AssignmentListener {
  /** The group is rebalancing: every feed so far is lost, and `assigned` follows. */
  revoked(): void;
  /** Only enqueues: the runner's one loop acts on it. */
  assigned(feeds: PartitionFeed[]): void;
  /** Membership ended for good (retries included). */
  failed(error: Error): void;
}

/** A record to be produced. */
export interface OutRecord {
  topic: string;
  /** Null: murmur2 of the key, as Kafka's own clients do; a null key goes anywhere. */
  partition: number | null;
  key: Uint8Array | null;
  value: Uint8Array | null;
  /** Header values are UTF-8 text. */
  headers?: Record<string, string>;
}

/** Appends to topics. */
export interface LogWriter {
  /**
   * Resolves when every record is acknowledged by all replicas. Records of one partition keep their order. Retries by itself while the
   * broker is away; a rejected call may have written any part of its records. Once it has ended, their bytes are not read any more.
   */
  send(records: readonly Outgoing[]): Promise<void>;
  close(): Promise<void>;
}

/** One atomic step of a task: state changes that lead from one log position to another. */
export interface Commit {
  from: number;
  to: number;
  changes: Uint8Array;
}

/** What must agree between a state and the process that opens it (design §3 must 10, §5). */
export interface StateHeader {
  formatVersion: number;
  /** Identifies the hash seed without revealing it. */
  hashSeedId: string;
  /** Partition counts of the topics that decide what belongs to this task, e.g. `{"impressions": 8, "exposure-stream.partials": 8}`. */
  partitionCounts: Record<string, number>;
  epoch: number;
  /** Fingerprint of the configuration; a difference is logged, not refused. */
  configuration: string;
}

export interface Claim {
  /** Number of this claim, growing by owner. */
  readonly id: number;
  /** True when nobody else has claimed since this log object's last claim: what is in memory still stands. */
  readonly current: boolean;
  /** Header of the newest earlier claim whose commits count, null when there is none: a refused process locks nobody out. */
  readonly previous: StateHeader | null;
  /** Every commit that counts, oldest first, from the latest complete snapshot on. Iterate it at most once, and before the first append. */
  commits(): AsyncIterable<Commit>;
}

/** How far a log was read to find out what of it counts. */
export interface LogRead {
  /** Of what lies there, others' records included. */
  bytes: number;
  /** From 0 to 1. */
  share: number;
}

/**
 * The durable state of one task (design §3 must 2). An owner claims, reads the commits up to its claim, then appends.
 * A commit counts iff its claim is the latest before it and its `from` is the position then; all else is as if never written.
 */
export interface CommitLog {
  /** `told` is called while it is read what counts, where that takes long; what it throws ends the claim. */
  claim(header: StateHeader, told?: (read: LogRead) => void): Promise<Claim>;
  /** Durable when it resolves. Rejects with code `claim_lost` when a later claim is seen. */
  append(commit: Commit): Promise<void>;
  /**
   * Begins a new segment under a new claim of the same owner. The commits that follow carry, besides their own changes,
   * everything a restore needs; nothing before them goes yet. Rejects with `claim_lost`.
   */
  beginSnapshot(): Promise<void>;
  /**
   * The commits since `beginSnapshot` are enough to restore from: they are read back, and when they are all there and no
   * later claim is, the segment is marked complete and what came before it is deleted. Rejects with `claim_lost` or
   * `state_corrupt`; then nothing was deleted.
   */
  endSnapshot(): Promise<void>;
  /** Bytes that a restore would read. */
  sizeBytes(): number;
  close(): Promise<void>;
}

/** Names the task whose log it is. */
export interface TaskId {
  stage: 'ingest' | 'evaluate';
  topic: string;
  partition: number;
}

export interface StateStore {
  open(task: TaskId): CommitLog;
  /** The seed of all fingerprints of this deployment: 8 bytes, drawn and kept on first use. */
  hashSeed(): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** One key to be compared and set in Redis. All amounts are decimal text. */
export interface CounterWrite {
  key: string;
  fields: Record<string, string>;
  expiryMs: number;
  /** The writer has lost state (design §3 must 9): of each amount (`isAmount`) the larger of stored and new is kept. */
  keepLarger?: boolean;
  /** Also set `updated_ms` to the store's own time (Redis TIME) at this write. */
  stamped?: boolean;
  /** Written only where the key exists: takes a value back without making a key for nothing. */
  onlyExisting?: boolean;
}

/** Fields that count upwards: what `keepLarger` compares, as decimal text. All others are set as given. */
export const isAmount = (field: string): boolean =>
  field === 'spend_micros' || field === 'impressions' || field === 'contaminated' || field.startsWith('units:');

/** Spend is summed by the quarter hour: no zone's day begins or ends within one. */
export const SLOT_MS = 900_000;

/** A zone in force from then on, until the next one. */
export interface ZoneSpan {
  fromMs: number;
  /** IANA name. */
  zone: string;
}

/** In order of time; the first holds since ever. */
export type ZoneSpans = readonly ZoneSpan[];
export const UTC_ALWAYS: ZoneSpans = [{ fromMs: Number.NEGATIVE_INFINITY, zone: 'UTC' }];

export interface CounterOutcome {
  /** Keys whose stored (epoch, version) is higher, with what is stored there. */
  refused: { key: string; epoch: number; version: number }[];
  /** The marker key was missing or older than what this writer last wrote: Redis lost data, rewrite everything. */
  dataLost: boolean;
  /** The store's own time after the writes (Redis TIME), epoch ms: what days roll by. */
  timeMs: number;
  /** Where `keepLarger` kept a larger `spend_micros` than was written. */
  kept: { key: string; spendMicros: number }[];
}

/** Writes counters, each fenced by (epoch, version). */
export interface CounterSink {
  /** Also writes this writer's marker key. An equal version may overwrite, a lower one changes nothing. */
  write(writer: CounterWriter, writes: readonly CounterWrite[]): Promise<CounterOutcome>;
  close(): Promise<void>;
}

export interface CounterWriter {
  /** Partition of `.partials` whose owner writes; names the marker key. */
  partition: number;
  epoch: number;
  version: number;
}

/** Time as an argument (design §3 must 3). */
export interface Now {
  /** Never goes back; for intervals and ages. */
  monotonicMs: number;
  /** Epoch ms UTC of this machine: for logs and metrics, never for a decision about a record. */
  wallMs: number;
}

export interface Clock {
  now(): Now;
  /** Resolves after that long, or at once when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
