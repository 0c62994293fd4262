/** Copies of source records on their way to `.invalid .duplicates .late .violations .unique`: bytes unchanged, source in the headers. */
import type { OutRecord, RecordView } from './types.ts';

/** Kafka's default limit is 1 MiB a message; headers need room too. */
const MAX_VALUE_BYTES = 1_000_000;
const CUT_TO_BYTES = 64 * 1024;

export class SideOutputs {
  readonly #topic: string;
  readonly #partition: string;
  #records: OutRecord[] = [];
  #byteLength = 0;

  constructor(sourceTopic: string, sourcePartition: number) {
    this.#topic = sourceTopic;
    this.#partition = String(sourcePartition);
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  get empty(): boolean {
    return this.#records.length === 0;
  }

  /** @param reason a code in snake_case; '' for `.unique`, which has none */
  copy(record: RecordView, topic: string, reason: string, more?: Record<string, string>): void {
    const headers: Record<string, string> = {
      source_topic: this.#topic,
      source_partition: this.#partition,
      source_offset: String(record.offset),
    };
    if (reason !== '') headers['reason'] = reason;
    if (more) Object.assign(headers, more);
    // Copies: views of a few records would keep whole fetches in memory until they are sent.
    let value = record.value === null ? null : record.value.slice(record.valueStart, record.valueEnd);
    if (value !== null && value.length > MAX_VALUE_BYTES) {
      headers['truncated'] = String(value.length);
      value = value.subarray(0, CUT_TO_BYTES);
    }
    const key = record.key === null ? null : record.key.slice(record.keyStart, record.keyEnd);
    this.#records.push({ topic, partition: null, key, value, headers });
    this.#byteLength += (value?.length ?? 0) + (key?.length ?? 0) + 200;
  }

  take(): OutRecord[] {
    const taken = this.#records;
    this.#records = [];
    this.#byteLength = 0;
    return taken;
  }
}
