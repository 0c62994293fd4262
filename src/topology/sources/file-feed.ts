import { StreamError } from '../../errors.ts';
import type { Clock, PartitionBounds, PartitionFeed, RecordBatch, RecordRun, RecordView } from '../types.ts';
import { ColumnReader } from './column-batch.ts';
import type { Span } from './file-line.ts';
import { RecordColumns } from './record-columns.ts';

/** The records that one chunk of the file holds for one partition: stretches of the chunk, or bytes of their own where they had escapes. */
export class FileBatch implements RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly firstOffset: number;
  /** What is known of the end is what was read so far. */
  endOffset = 0;
  byteLength = 0;
  readonly #chunk: Uint8Array;
  readonly #records = new RecordColumns();
  #from = 0;
  #reader: ColumnReader | null = null;

  constructor(topic: string, partition: number, firstOffset: number, chunk: Uint8Array) {
    this.topic = topic;
    this.partition = partition;
    this.firstOffset = firstOffset;
    this.#chunk = chunk;
  }

  get nextOffset(): number {
    return this.firstOffset + this.#records.size;
  }

  add(timestampMs: number, key: Span, value: Span, lineBytes: number): void {
    const records = this.#records;
    const isOwn = key.own !== null || value.own !== null;
    const bytes = isOwn ? Buffer.concat([bytesOf(key, this.#chunk), bytesOf(value, this.#chunk)]) : this.#chunk;
    const keyAt = isOwn ? 0 : key.start;
    const valueAt = isOwn ? lengthOf(key) : value.start;
    records.lieIn(bytes);
    records.add(this.nextOffset, timestampMs);
    if (!key.isNull) records.key(keyAt, keyAt + lengthOf(key));
    if (!value.isNull) records.value(valueAt, valueAt + lengthOf(value));
    this.byteLength += lineBytes;
  }

  /** Leaves out what lies before an offset. */
  skipTo(offset: number): void {
    this.#from = Math.max(0, offset - this.firstOffset);
  }

  next(view: RecordView): boolean {
    return this.#read().next(view);
  }

  take(most: number): RecordRun | null {
    return this.#read().take(most);
  }

  #read(): ColumnReader {
    this.#reader ??= new ColumnReader(this.#records, { from: this.#from, to: this.#records.size });
    return this.#reader;
  }
}

const lengthOf = ({ isNull, own, start, end }: Span): number => {
  if (isNull) return 0;
  return own === null ? end - start : own.length;
};

const bytesOf = (span: Span, chunk: Uint8Array): Uint8Array => span.own ?? chunk.subarray(span.start, span.start + lengthOf(span));

/** What a feed needs of the source that made it. */
export interface FileHome {
  readonly clock: Clock;
  /** Reads on for all feeds; false when nothing more comes, or nothing for now. */
  readOn(): Promise<boolean>;
  ended(): boolean;
}

/** The share of a file that belongs to one partition. Reads forwards only. */
export class FileFeed implements PartitionFeed {
  readonly topic: string;
  readonly partition: number;
  /** Offset of the next record that the file brings. */
  #end = 0;
  waitingBytes = 0;
  readonly #home: FileHome;
  readonly #gone = new AbortController();
  readonly #waiting: FileBatch[] = [];
  #position: number | null = null;
  #contactMs = Number.NEGATIVE_INFINITY;
  #endSeenMs: number | null = null;

  constructor(home: FileHome, topic: string, partition: number) {
    this.#home = home;
    this.topic = topic;
    this.partition = partition;
  }

  get lost(): boolean {
    return this.#gone.signal.aborted;
  }

  lose(): void {
    this.#gone.abort();
    this.#waiting.length = 0;
  }

  deliver(batch: FileBatch): void {
    this.#end = batch.nextOffset;
    if (this.lost) return;
    this.waitingBytes += batch.byteLength;
    this.#waiting.push(batch);
  }

  bounds(): Promise<PartitionBounds> {
    return Promise.resolve({ first: 0, end: this.#home.ended() ? this.#end : Number.POSITIVE_INFINITY, committed: null });
  }

  /** Back to what was polled already is refused with `position_before_log`: begin again with a new source. */
  seek(offset: number): void {
    if (this.#position !== null && offset < this.#position) {
      throw new StreamError('position_before_log', `${this.topic}/${this.partition}: a file is read once, forwards; ${offset} has passed.`);
    }
    this.#position = offset;
  }

  async poll(waitMs: number): Promise<RecordBatch | null> {
    if (this.#position === null) throw new Error(`${this.topic}/${this.partition}: seek before the first poll`);
    const { clock } = this.#home;
    const deadlineMs = clock.now().monotonicMs + waitMs;
    for (;;) {
      const batch = this.#take();
      if (batch) return batch;
      if (await this.#home.readOn()) continue;
      this.#noteEnd();
      const leftMs = deadlineMs - clock.now().monotonicMs;
      if (leftMs <= 0) return null;
      // Others may make room meanwhile; after the end there is nothing to look for.
      await clock.sleep(this.#home.ended() ? leftMs : Math.min(leftMs, 5), this.#gone.signal);
    }
  }

  /** A file has no group. */
  commit(): Promise<void> {
    return Promise.resolve();
  }

  contactMs(): number {
    return this.#contactMs;
  }

  endReachedMs(position: number): number | null {
    return this.#home.ended() && position >= this.#end ? (this.#endSeenMs ?? this.#noteEnd()) : null;
  }

  /** What was read so far. */
  endOffset(): number {
    return this.#end;
  }

  #take(): RecordBatch | null {
    if (this.lost) throw new StreamError('partition_lost', `${this.topic}/${this.partition}: reading has stopped.`);
    const position = this.#position ?? 0;
    this.#contactMs = this.#home.clock.now().monotonicMs;
    for (let batch = this.#waiting.shift(); batch; batch = this.#waiting.shift()) {
      this.waitingBytes -= batch.byteLength;
      if (batch.nextOffset <= position) continue;
      batch.skipTo(position);
      batch.endOffset = this.#end;
      this.#position = batch.nextOffset;
      return batch;
    }
    return null;
  }

  #noteEnd(): number {
    const nowMs = this.#home.clock.now().monotonicMs;
    this.#contactMs = nowMs;
    if (this.#home.ended()) this.#endSeenMs = nowMs;
    return nowMs;
  }
}
