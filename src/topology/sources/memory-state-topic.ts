/** The state topic on a broker in memory. */
import type { StateRecord, StateTopic, StoredRecord } from '../../state/state-topic.ts';
import { type MemoryBroker, NO_STEP, type Step } from './memory-log.ts';
import { partitionOf } from './murmur2.ts';

export interface MemoryStateTopicOptions {
  /** Records that one read brings at a time. */
  fetchRecords?: number;
  step?: Step;
}

export class MemoryStateTopic implements StateTopic {
  readonly #broker: MemoryBroker;
  readonly #topic: string;
  readonly #options: Required<MemoryStateTopicOptions>;

  constructor(broker: MemoryBroker, topic: string, options: MemoryStateTopicOptions = {}) {
    this.#broker = broker;
    this.#topic = topic;
    this.#options = { fetchRecords: 100, step: NO_STEP, ...options };
  }

  partitionCount(): Promise<number> {
    return Promise.resolve(this.#broker.topic(this.#topic).length);
  }

  partitionOf(name: string, partitions: number): number {
    const key = new TextEncoder().encode(name);
    return partitionOf(key, 0, key.length, partitions);
  }

  async append(partition: number, make: () => readonly StateRecord[]): Promise<number> {
    await this.#options.step(`append ${this.#topic}/${partition} before`);
    const [first] = make().map((record) => this.#broker.append(this.#topic, partition, record));
    await this.#options.step(`append ${this.#topic}/${partition} after`);
    return first;
  }

  async *read(partition: number, from: number, to: number): AsyncGenerator<readonly StoredRecord[], void> {
    const log = this.#broker.partition(this.#topic, partition);
    for (let offset = Math.max(from, log.first); offset < Math.min(to, log.end); offset += this.#options.fetchRecords) {
      await this.#options.step(`read ${this.#topic}/${partition} before`);
      const records: StoredRecord[] = [];
      for (let at = offset; at < Math.min(to, log.end, offset + this.#options.fetchRecords); at++) {
        const record = log.at(at);
        if (record?.key) records.push({ offset: at, key: record.key, value: record.value });
      }
      yield records;
    }
  }

  end(partition: number): Promise<number> {
    return Promise.resolve(this.#broker.partition(this.#topic, partition).end);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
