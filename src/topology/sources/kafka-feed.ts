import { StreamError } from '../../errors.ts';
import { breathe } from '../clock.ts';
import type { Clock, PartitionBounds, PartitionFeed, RecordBatch } from '../types.ts';
import { Bell } from './bell.ts';
import { type ColumnBatch, slicesOf } from './column-batch.ts';
import type { KafkaLogger } from './kafka-client.ts';
import type { FetchedPartition, OffsetManager } from './kafkajs-groups.ts';
import { unreadable } from './record-set.ts';

/** A fetch tells the end at least this often; a partition that is not fetched (its task is slow, its sink away) is asked about. */
const END_OLD_MS = 5000;

/** What a feed needs of the source that made it. */
export interface FeedHome {
  readonly clock: Clock;
  readonly logger: KafkaLogger;
  /** A partition with this much (decompressed) waiting in its mailbox is not fetched until its task has taken some. */
  readonly mailboxBytes: number;
  bounds(topic: string, partition: number): Promise<PartitionBounds>;
  /** The feed wants to be fetched again. */
  wake(): void;
}

/** What waits for the task. The last slice of a fetch gives its memory back. */
interface Waiting {
  batch: ColumnBatch;
  release: (() => void) | null;
}

/** One assignment of one partition: a mailbox between kafkajs's fetch loop, which never waits long, and a task that may be slow. */
export class KafkaFeed implements PartitionFeed {
  readonly topic: string;
  readonly partition: number;
  readonly #home: FeedHome;
  /** Of this assignment's generation: the broker refuses its commits when that is over (#1046). */
  readonly #offsets: OffsetManager;
  #lost = false;
  #failure: StreamError | null = null;
  #mailbox: Waiting[] = [];
  /** Of the batch handed out last, which is read until the next poll. */
  #release: (() => void) | null = null;
  #waitingBytes = 0;
  /** Where the next fetch must begin; null before the first seek. A batch from anywhere else was not asked for. */
  #fetchOffset: number | null = null;
  #paused = true;
  #contactMs = Number.NEGATIVE_INFINITY;
  #end = { offset: Number.POSITIVE_INFINITY, seenMs: 0 };
  #lastEnd: { offset: number; knownMs: number } | null = null;
  #askingEnd = false;
  readonly #bell: Bell;

  constructor(home: FeedHome, offsets: OffsetManager, place: { topic: string; partition: number }) {
    this.#home = home;
    this.#bell = new Bell(home.clock);
    this.#offsets = offsets;
    this.topic = place.topic;
    this.partition = place.partition;
  }

  get lost(): boolean {
    return this.#lost;
  }

  get fetching(): boolean {
    return this.wantedFrom !== null;
  }

  /** Where the next fetch is to begin; null when there is to be none. */
  get wantedFrom(): number | null {
    return this.#paused || this.#lost ? null : this.#fetchOffset;
  }

  get full(): boolean {
    return this.#waitingBytes >= this.#home.mailboxBytes;
  }

  async bounds(): Promise<PartitionBounds> {
    const bounds = await this.#home.bounds(this.topic, this.partition);
    this.#noteEnd(bounds.end);
    return bounds;
  }

  seek(offset: number): void {
    if (this.#lost) return;
    this.#mailbox = [];
    this.#waitingBytes = 0;
    this.#failure = null;
    this.#fetchOffset = offset;
    this.#resume();
  }

  async poll(waitMs: number): Promise<RecordBatch | null> {
    if (this.#fetchOffset === null && !this.#lost) throw new Error(`${this.topic}/${this.partition}: seek before the first poll`);
    this.#release?.();
    this.#release = null;
    let batch = this.#take();
    if (batch === null && waitMs > 0) {
      await this.#bell.sleep(waitMs);
      batch = this.#take();
    }
    if (batch === null) return null;
    // Taking makes room for a fetch, which is to be on its way before the task is at work. One that finds batch after batch would keep
    // the process from everything else, and so would several, woken by one fetch.
    await breathe();
    this.#throwIfLost();
    return batch;
  }

  /** A commit that fails otherwise is only logged: it is for dashboards, and the next one makes up for it. */
  async commit(offset: number): Promise<void> {
    if (this.#lost) return;
    const { topic, partition } = this;
    try {
      await this.#offsets.commitOffsets({ topics: [{ topic, partitions: [{ partition, offset: String(offset) }] }] });
    } catch (err) {
      this.#home.logger.debug({ err, topic, partition, offset }, 'the offset was not committed');
    }
  }

  contactMs(): number {
    return this.#contactMs;
  }

  endReachedMs(position: number): number | null {
    return position >= this.#end.offset ? this.#end.seenMs : null;
  }

  endOffset(): number | null {
    const knownMs = this.#lastEnd?.knownMs ?? Number.NEGATIVE_INFINITY;
    if (!this.#lost && !this.#askingEnd && this.#home.clock.now().monotonicMs - knownMs > END_OLD_MS) void this.#askEnd();
    return this.#lastEnd?.offset ?? null;
  }

  lose(): void {
    this.#lost = true;
    this.#mailbox = [];
    this.#waitingBytes = 0;
    this.#bell.close();
  }

  /** Takes what a fetch brought, if it is what comes next. */
  deliver(fetched: FetchedPartition, sentMs: number): void {
    if (this.#lost || fetched.fetchOffset !== this.#fetchOffset) {
      fetched.release();
      return;
    }
    this.#contactMs = this.#home.clock.now().monotonicMs;
    const { topic, partition, nextOffset, lastStableOffset, byteLength, fault } = fetched;
    this.#noteEnd(lastStableOffset);
    if (nextOffset >= lastStableOffset) this.#end = { offset: nextOffset, seenMs: sentMs };
    if (fault) this.#fail(unreadable(topic, partition, fault));
    if (nextOffset === fetched.fetchOffset) {
      fetched.release();
      return;
    }
    this.#fetchOffset = nextOffset;
    const slices = slicesOf({ topic, partition, nextOffset, endOffset: lastStableOffset, byteLength }, fetched.records);
    for (const [i, batch] of slices.entries()) this.#mailbox.push({ batch, release: i === slices.length - 1 ? fetched.release : null });
    this.#waitingBytes += byteLength;
    this.#bell.ring();
  }

  /** Not fetched until its task has made room. */
  pauseIfFull(): void {
    if (this.full) this.#pause();
  }

  /** The broker does not hold the offset asked for: the task is told which side it fell off. */
  async outOfRange(): Promise<void> {
    this.#pause();
    const asked = this.#fetchOffset;
    if (asked === null) return;
    try {
      const { first, end } = await this.bounds();
      if (this.#fetchOffset !== asked) return;
      if (asked >= first && asked <= end) return this.#resume();
      const code = asked < first ? 'position_before_log' : 'position_beyond_log';
      this.#fail(new StreamError(code, `${this.topic}/${this.partition} holds offsets ${first} to ${end}, ${asked} was asked for.`));
    } catch (err) {
      this.#home.logger.warn(
        { err, topic: this.topic, partition: this.partition },
        'the bounds of a partition are not known, asking again',
      );
      this.#resume();
    }
  }

  /** What is in the mailbox is still handed out. */
  #fail(failure: StreamError): void {
    this.#failure = failure;
    this.#pause();
    this.#bell.ring();
  }

  #noteEnd(offset: number): void {
    if (offset >= 0) this.#lastEnd = { offset, knownMs: this.#home.clock.now().monotonicMs };
  }

  async #askEnd(): Promise<void> {
    this.#askingEnd = true;
    await this.bounds().catch((err: unknown) => {
      this.#home.logger.debug({ err, topic: this.topic, partition: this.partition }, 'the end of a partition is not known');
    });
    this.#askingEnd = false;
  }

  #take(): RecordBatch | null {
    this.#throwIfLost();
    const next = this.#mailbox.shift();
    if (!next) {
      if (this.#failure) throw this.#failure;
      return null;
    }
    const { batch, release } = next;
    this.#release = release;
    this.#waitingBytes -= batch.byteLength;
    if (!this.full && !this.#failure) this.#resume();
    return batch;
  }

  #throwIfLost(): void {
    if (this.#lost) throw new StreamError('partition_lost', `${this.topic}/${this.partition} was assigned elsewhere.`);
  }

  #pause(): void {
    this.#paused = true;
  }

  #resume(): void {
    if (this.#lost) return;
    this.#paused = false;
    this.#home.wake();
  }
}
