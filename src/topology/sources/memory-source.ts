import { StreamError } from '../../errors.ts';
import type { AssignmentListener, PartitionBounds, PartitionFeed, RecordBatch, Source } from '../types.ts';
import { ListedBatch, type ListedRecord } from './listed-batch.ts';
import { type MemoryBroker, type MemoryPartition, NO_STEP, type Step } from './memory-log.ts';

export interface MemorySourceOptions {
  group: string;
  topics: readonly string[];
  maxBatchRecords?: number;
  step?: Step;
}

export interface AssignedPartition {
  topic: string;
  partition: number;
}

/** One member of a group that nobody coordinates: it holds every partition, or what `reassign` last said. */
export class MemorySource implements Source {
  readonly broker: MemoryBroker;
  readonly options: Required<MemorySourceOptions>;
  #listener: AssignmentListener | null = null;
  #feeds: MemoryFeed[] = [];

  constructor(broker: MemoryBroker, options: MemorySourceOptions) {
    this.broker = broker;
    this.options = { maxBatchRecords: 1000, step: NO_STEP, ...options };
  }

  async start(listener: AssignmentListener): Promise<void> {
    await this.options.step('start before');
    this.#listener = listener;
    this.reassign(this.everything());
    await this.options.step('start after');
  }

  async stop(): Promise<void> {
    await this.options.step('stop before');
    this.#lose();
    this.#listener = null;
    await this.options.step('stop after');
  }

  partitionCounts(): Promise<ReadonlyMap<string, number>> {
    return Promise.resolve(new Map(this.options.topics.map((topic) => [topic, this.broker.topic(topic).length])));
  }

  /** Replaces the assignment, as a rebalance does: every feed so far is lost, also of partitions that stay. */
  reassign(partitions: readonly AssignedPartition[]): void {
    this.#lose();
    this.#feeds = partitions.map(({ topic, partition }) => new MemoryFeed(this, topic, partition));
    this.#listener?.assigned([...this.#feeds]);
  }

  everything(): AssignedPartition[] {
    return this.options.topics.flatMap((topic) => this.broker.topic(topic).map((_, partition) => ({ topic, partition })));
  }

  #lose(): void {
    for (const feed of this.#feeds) feed.lose();
    this.#feeds = [];
  }
}

class MemoryFeed implements PartitionFeed {
  readonly topic: string;
  readonly partition: number;
  readonly #source: MemorySource;
  readonly #log: MemoryPartition;
  readonly #gone = new AbortController();
  #position: number | null = null;
  #contactMs = Number.NEGATIVE_INFINITY;
  #end = { offset: Number.POSITIVE_INFINITY, seenMs: 0 };

  constructor(source: MemorySource, topic: string, partition: number) {
    this.#source = source;
    this.topic = topic;
    this.partition = partition;
    this.#log = source.broker.partition(topic, partition);
  }

  get lost(): boolean {
    return this.#gone.signal.aborted;
  }

  lose(): void {
    this.#gone.abort();
  }

  async bounds(): Promise<PartitionBounds> {
    await this.#step('bounds before');
    const bounds = this.#source.broker.bounds(this.#source.options.group, this.topic, this.partition);
    await this.#step('bounds after');
    return bounds;
  }

  seek(offset: number): void {
    this.#position = offset;
  }

  async poll(waitMs: number): Promise<RecordBatch | null> {
    await this.#step('poll before');
    let batch = this.#read();
    if (batch === null && waitMs > 0) {
      await this.#appended(waitMs);
      batch = this.#read();
    }
    await this.#step('poll after');
    this.#refuseLost();
    return batch;
  }

  async commit(offset: number): Promise<void> {
    await this.#step('commit before');
    if (!this.lost) this.#source.broker.commit(this.#source.options.group, this.topic, this.partition, offset);
    await this.#step('commit after');
  }

  contactMs(): number {
    return this.#contactMs;
  }

  endReachedMs(position: number): number | null {
    return position >= this.#end.offset ? this.#end.seenMs : null;
  }

  endOffset(): number {
    return this.#log.end;
  }

  #read(): RecordBatch | null {
    this.#refuseLost();
    const from = this.#position;
    if (from === null) throw new Error(`${this.topic}/${this.partition}: seek before the first poll`);
    const { first, end } = this.#log;
    const says = `${this.topic}/${this.partition} holds offsets ${first} to ${end}, ${from} was asked for.`;
    if (from < first) throw new StreamError('position_before_log', says);
    if (from > end) throw new StreamError('position_beyond_log', says);
    this.#contactMs = this.#source.broker.clock.now().monotonicMs;
    const to = Math.min(end, from + this.#source.options.maxBatchRecords);
    if (to === end) this.#end = { offset: end, seenMs: this.#contactMs };
    if (to === from) return null;
    this.#position = to;
    return this.#batch(from, to);
  }

  #batch(from: number, to: number): RecordBatch {
    const records: ListedRecord[] = [];
    let byteLength = 0;
    for (let offset = from; offset < to; offset++) {
      const record = this.#log.at(offset);
      if (record === null) continue;
      records.push(record);
      byteLength += (record.key?.length ?? 0) + (record.value?.length ?? 0);
    }
    const { topic, partition } = this;
    return new ListedBatch({ topic, partition, nextOffset: to, endOffset: this.#log.end, byteLength }, records);
  }

  /** Resolves on an append, when the feed is lost, or after `waitMs`. */
  async #appended(waitMs: number): Promise<void> {
    const wake = new AbortController();
    const forget = this.#log.onAppend(() => wake.abort('appended'));
    await this.#source.broker.clock.sleep(waitMs, AbortSignal.any([wake.signal, this.#gone.signal]));
    forget();
  }

  #refuseLost(): void {
    if (this.lost) throw new StreamError('partition_lost', `${this.topic}/${this.partition} was assigned elsewhere.`);
  }

  #step(call: string): Promise<void> {
    const [port, when] = call.split(' ');
    return this.#source.options.step(`${port} ${this.topic}/${this.partition} ${when}`);
  }
}
