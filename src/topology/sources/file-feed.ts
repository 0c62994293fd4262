import { StreamError } from '../../errors.ts';
import type { Clock, PartitionBounds, PartitionFeed, RecordBatch, RecordView } from '../types.ts';
import type { Span } from './file-line.ts';

const NULL_AT = -1;
const OWN_AT = -2;

/** The records that one chunk of the file holds for one partition: stretches of the chunk, or bytes of their own where they had escapes. */
export class FileBatch implements RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly firstOffset: number;
  /** What is known of the end is what was read so far. */
  endOffset = 0;
  byteLength = 0;
  readonly #chunk: Uint8Array;
  readonly #timesMs: number[] = [];
  /** Four a record: key start and end, value start and end. */
  readonly #spans: number[] = [];
  readonly #own = new Map<number, Uint8Array>();
  #at = 0;

  constructor(topic: string, partition: number, firstOffset: number, chunk: Uint8Array) {
    this.topic = topic;
    this.partition = partition;
    this.firstOffset = firstOffset;
    this.#chunk = chunk;
  }

  get nextOffset(): number {
    return this.firstOffset + this.#timesMs.length;
  }

  add(timestampMs: number, key: Span, value: Span, lineBytes: number): void {
    this.#timesMs.push(timestampMs);
    this.#addSpan(key);
    this.#addSpan(value);
    this.byteLength += lineBytes;
  }

  /** Leaves out what lies before an offset. */
  skipTo(offset: number): void {
    this.#at = Math.max(0, offset - this.firstOffset);
  }

  next(view: RecordView): boolean {
    const at = this.#at;
    if (at >= this.#timesMs.length) return false;
    this.#at++;
    view.offset = this.firstOffset + at;
    view.timestampMs = this.#timesMs[at];
    const spans = this.#spans;
    const keyStart = spans[4 * at];
    view.key = keyStart >= 0 ? this.#chunk : (this.#own.get(4 * at) ?? null);
    view.keyStart = Math.max(0, keyStart);
    view.keyEnd = spans[4 * at + 1];
    const valueStart = spans[4 * at + 2];
    view.value = valueStart >= 0 ? this.#chunk : (this.#own.get(4 * at + 2) ?? null);
    view.valueStart = Math.max(0, valueStart);
    view.valueEnd = spans[4 * at + 3];
    return true;
  }

  #addSpan(span: Span): void {
    if (span.isNull) {
      this.#spans.push(NULL_AT, 0);
    } else if (span.own) {
      this.#own.set(this.#spans.length, span.own);
      this.#spans.push(OWN_AT, span.own.length);
    } else {
      this.#spans.push(span.start, span.end);
    }
  }
}

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
