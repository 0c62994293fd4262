/** Topics in memory: what `demo`, `replay` and the tests run on instead of Kafka. Nothing survives the process. */
import { StreamError } from '../../errors.ts';
import { type Outgoing, unpacked } from '../packed-records.ts';
import type { Clock, LogWriter, OutRecord, PartitionBounds } from '../types.ts';
import type { ListedRecord } from './listed-batch.ts';
import { partitionOf } from './murmur2.ts';

/**
 * Awaited before and after the effect of every port call, with a label such as `poll impressions/0 before`. A simulator decides
 * there what happens next: it resolves in the order it likes, never resolves (a crash) or rejects (a failure, with or without effect).
 */
export type Step = (label: string) => Promise<void>;

export const NO_STEP: Step = () => Promise.resolve();

export interface MemoryRecord extends ListedRecord {
  headers: Record<string, string>;
}

export interface AppendedRecord {
  key: Uint8Array | string | null;
  value: Uint8Array | string | null;
  /** Epoch ms; without it the broker's clock (LogAppendTime). NaN: none. */
  timestampMs?: number;
  headers?: Record<string, string>;
}

const copyOf = (bytes: Uint8Array | string | null): Uint8Array | null =>
  bytes === null ? null : typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes.slice();

/** One partition. A slot that is null is a control record: it takes an offset and is never seen. */
export class MemoryPartition {
  first = 0;
  readonly #slots: (MemoryRecord | null)[] = [];
  readonly #waiting = new Set<() => void>();

  get end(): number {
    return this.first + this.#slots.length;
  }

  append(record: Omit<MemoryRecord, 'offset'> | null): number {
    const offset = this.end;
    this.#slots.push(record === null ? null : { ...record, offset });
    for (const wake of [...this.#waiting]) wake();
    return offset;
  }

  /** The slot at an offset inside `[first, end)`. */
  at(offset: number): MemoryRecord | null {
    return this.#slots[offset - this.first];
  }

  records(): MemoryRecord[] {
    return this.#slots.filter((slot) => slot !== null);
  }

  /** Forgets everything before `first`, as retention does. */
  truncate(first: number): void {
    this.#slots.splice(0, first - this.first);
    this.first = first;
  }

  /** Forgets one record, as compaction does. */
  forget(offset: number): void {
    this.#slots[offset - this.first] = null;
  }

  /** Calls `wake` on every append until the returned function is called. */
  onAppend(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }
}

export class MemoryBroker {
  readonly clock: Clock;
  readonly #topics = new Map<string, MemoryPartition[]>();
  readonly #committed = new Map<string, number>();

  /** `topics`: number of partitions by name. */
  constructor(clock: Clock, topics: Record<string, number> = {}) {
    this.clock = clock;
    for (const [topic, partitions] of Object.entries(topics)) this.createTopic(topic, partitions);
  }

  createTopic(topic: string, partitions: number): void {
    this.#topics.set(
      topic,
      Array.from({ length: partitions }, () => new MemoryPartition()),
    );
  }

  /** Throws `topic_missing`. */
  topic(topic: string): readonly MemoryPartition[] {
    const partitions = this.#topics.get(topic);
    if (!partitions) throw new StreamError('topic_missing', `There is no topic ${topic}.`);
    return partitions;
  }

  partition(topic: string, partition: number): MemoryPartition {
    const log = this.topic(topic)[partition];
    if (!log) throw new StreamError('topic_missing', `There is no partition ${topic}/${partition}.`);
    return log;
  }

  /** Returns the record's offset. */
  append(topic: string, partition: number, record: AppendedRecord): number {
    return this.partition(topic, partition).append({
      timestampMs: record.timestampMs ?? this.clock.now().wallMs,
      key: copyOf(record.key),
      value: copyOf(record.value),
      headers: { ...record.headers },
    });
  }

  /** An offset without a record, as the end of a transaction leaves it. */
  appendControl(topic: string, partition: number): number {
    return this.partition(topic, partition).append(null);
  }

  bounds(group: string, topic: string, partition: number): PartitionBounds {
    const log = this.partition(topic, partition);
    return { first: log.first, end: log.end, committed: this.#committed.get(`${group} ${topic} ${partition}`) ?? null };
  }

  commit(group: string, topic: string, partition: number, offset: number): void {
    this.#committed.set(`${group} ${topic} ${partition}`, offset);
  }
}

export class MemoryWriter implements LogWriter {
  readonly #broker: MemoryBroker;
  readonly #step: Step;
  #withoutKey = 0;

  constructor(broker: MemoryBroker, step: Step = NO_STEP) {
    this.#broker = broker;
    this.#step = step;
  }

  /** The step after each record is labelled `send <topic>/<partition> part`, so that a batch can be torn anywhere. */
  async send(records: readonly Outgoing[]): Promise<void> {
    await this.#step('send before');
    for (const record of unpacked(records)) {
      const partition = this.#partitionFor(record);
      this.#broker.append(record.topic, partition, { key: record.key, value: record.value, headers: record.headers ?? {} });
      await this.#step(`send ${record.topic}/${partition} part`);
    }
    await this.#step('send after');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #partitionFor(record: OutRecord): number {
    if (record.partition !== null) return record.partition;
    const partitions = this.#broker.topic(record.topic).length;
    return record.key === null ? this.#withoutKey++ % partitions : partitionOf(record.key, 0, record.key.length, partitions);
  }
}
