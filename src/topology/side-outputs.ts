/** Copies of source records on their way to `.invalid .duplicates .late .violations .unique`: bytes unchanged, source in the headers. */
import { copyBytes } from '../state/bytes.ts';
import type { OutRecord, RecordView } from './types.ts';

/** Kafka's default limit is 1 MiB a message; headers need room too. */
const MAX_VALUE_BYTES = 1_000_000;
const CUT_TO_BYTES = 64 * 1024;
const FIRST_ROOM_BYTES = 4096;
const NO_ROOM = new Uint8Array(0);
/** With less than this share of it filled, room is given back. */
const LEAST_FILLED = 1 / 8;
/** Of a key or value that is null. */
const NULL_BYTES = -1;

/**
 * What is waiting lies in columns and in one buffer: an object a record, with bytes of its own, would be copied by every collection
 * until it is sent. There are two such buffers, in turn: what was taken is sent before it is taken again.
 */
export class SideOutputs {
  readonly #topic: string;
  readonly #partition: string;
  #bytes = NO_ROOM;
  /** Holds the records that were taken last. */
  #taken = NO_ROOM;
  #filled = 0;
  /** As much as was taken last, which may be nothing: a buffer that grows to it is made several times over. */
  #expectedBytes = FIRST_ROOM_BYTES;
  #byteLength = 0;
  #size = 0;
  /** Of the first `#size` copies, as are the others; what is behind was sent. */
  readonly #topics: string[] = [];
  readonly #offsets: number[] = [];
  readonly #keyBytes: number[] = [];
  /** As they were, also of those that are cut. */
  readonly #valueBytes: number[] = [];
  readonly #reasons: string[] = [];
  readonly #more: (Readonly<Record<string, string>> | undefined)[] = [];

  constructor(sourceTopic: string, sourcePartition: number) {
    this.#topic = sourceTopic;
    this.#partition = String(sourcePartition);
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  get empty(): boolean {
    return this.#size === 0;
  }

  /** @param reason a code in snake_case; '' for `.unique`, which has none */
  copy(record: RecordView, topic: string, reason: string, more?: Readonly<Record<string, string>>): void {
    const keyBytes = this.#add(record.key, record.keyStart, record.keyEnd);
    const whole = record.valueEnd - record.valueStart;
    const kept = whole > MAX_VALUE_BYTES ? CUT_TO_BYTES : whole;
    const valueBytes = this.#add(record.value, record.valueStart, record.valueStart + kept);
    const at = this.#size++;
    this.#topics[at] = topic;
    this.#offsets[at] = record.offset;
    this.#keyBytes[at] = keyBytes;
    this.#valueBytes[at] = valueBytes === NULL_BYTES ? NULL_BYTES : whole;
    this.#reasons[at] = reason;
    this.#more[at] = more;
    this.#byteLength += Math.max(0, keyBytes) + Math.max(0, valueBytes) + 200;
  }

  /** Their bytes are valid until the second `take` after this. */
  take(): OutRecord[] {
    const records: OutRecord[] = [];
    let at = 0;
    for (let i = 0; i < this.#size; i++) {
      const key = this.#view(at, this.#keyBytes[i]);
      at += key?.length ?? 0;
      const whole = this.#valueBytes[i];
      const value = this.#view(at, whole > MAX_VALUE_BYTES ? CUT_TO_BYTES : whole);
      at += value?.length ?? 0;
      records.push({ topic: this.#topics[i], partition: null, key, value, headers: this.#headers(i) });
    }
    this.#forget();
    return records;
  }

  #headers(i: number): Record<string, string> {
    const headers: Record<string, string> = {
      source_topic: this.#topic,
      source_partition: this.#partition,
      source_offset: String(this.#offsets[i]),
    };
    if (this.#reasons[i] !== '') headers['reason'] = this.#reasons[i];
    Object.assign(headers, this.#more[i]);
    if (this.#valueBytes[i] > MAX_VALUE_BYTES) headers['truncated'] = String(this.#valueBytes[i]);
    return headers;
  }

  #view(at: number, bytes: number): Uint8Array | null {
    return bytes === NULL_BYTES ? null : this.#bytes.subarray(at, at + bytes);
  }

  /** Returns how many bytes these are, and `NULL_BYTES` for null. */
  #add(from: Uint8Array | null, start: number, end: number): number {
    if (from === null) return NULL_BYTES;
    const needed = this.#filled + end - start;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#expectedBytes, needed, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, this.#filled));
      this.#bytes = grown;
    }
    // A copy: views of a few records would keep whole fetches in memory until they are sent.
    copyBytes(from, start, end, this.#bytes, this.#filled);
    this.#filled = needed;
    return end - start;
  }

  #forget(): void {
    this.#expectedBytes = Math.max(FIRST_ROOM_BYTES, this.#filled);
    const isQuiet = this.#filled < LEAST_FILLED * this.#bytes.length;
    const next = this.#taken;
    this.#taken = isQuiet ? NO_ROOM : this.#bytes;
    this.#bytes = next;
    this.#filled = 0;
    this.#byteLength = 0;
    this.#size = 0;
    if (!isQuiet) return;
    for (const column of [this.#topics, this.#offsets, this.#keyBytes, this.#valueBytes, this.#reasons, this.#more]) column.length = 0;
  }
}
