/** A state topic whose appends are answered late, twice or not at all, and that is compacted in any order. */
import type { StateRecord, StateTopic, StoredRecord } from '../../src/state/state-topic.ts';
import type { MemoryBroker } from '../../src/topology/sources/memory-log.ts';
import { MemoryStateTopic } from '../../src/topology/sources/memory-state-topic.ts';
import { TOPIC } from '../conformance/topic-bench.ts';

/** `twice`: the first answer was lost. `late`: so was it, and the broker works it off after the next append. */
export type Trouble = 'none' | 'twice' | 'late';

export class FlakyTopic implements StateTopic {
  readonly #inner: MemoryStateTopic;
  readonly #trouble: () => Trouble;
  #held: { partition: number; records: readonly StateRecord[] } | null = null;

  constructor(broker: MemoryBroker, trouble: () => Trouble) {
    this.#inner = new MemoryStateTopic(broker, TOPIC, { fetchRecords: 7 });
    this.#trouble = trouble;
  }

  partitionCount(): Promise<number> {
    return this.#inner.partitionCount();
  }

  partitionOf(name: string, partitions: number): number {
    return this.#inner.partitionOf(name, partitions);
  }

  async append(partition: number, make: () => readonly StateRecord[]): Promise<number> {
    const trouble = this.#trouble();
    const late = this.#held;
    this.#held = null;
    if (trouble === 'twice') await this.#inner.append(partition, make);
    if (trouble === 'late') this.#held = { partition, records: make() };
    const offset = await this.#inner.append(partition, make);
    if (late) await this.#inner.append(late.partition, () => late.records);
    return offset;
  }

  read(partition: number, from: number, to: number): AsyncIterable<readonly StoredRecord[]> {
    return this.#inner.read(partition, from, to);
  }

  end(partition: number): Promise<number> {
    return this.#inner.end(partition);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const nameOf = (key: Uint8Array): string => Buffer.from(key).toString('latin1');

/** Removes some of what Kafka may remove: records whose key comes again later, and tombstones. */
export function compact(broker: MemoryBroker, removes: () => boolean): void {
  for (const log of broker.topic(TOPIC)) {
    const last = new Map(log.records().map(({ key, offset }) => [nameOf(key as Uint8Array), offset]));
    for (const { key, offset, value } of log.records()) {
      const replaced = last.get(nameOf(key as Uint8Array)) !== offset;
      const alone =
        value === null &&
        !log.records().some((other) => nameOf(other.key as Uint8Array) === nameOf(key as Uint8Array) && other.offset < offset);
      if ((replaced || alone) && removes()) log.forget(offset);
    }
  }
}
