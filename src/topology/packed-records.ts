/**
 * Records for one topic, one behind the other in one buffer, each as Kafka writes it from its key on
 * (https://kafka.apache.org/documentation/#record); what stands before that depends on where in a batch it goes. As objects, with views
 * and headers of their own, they cost ten times as much, and more in garbage collection.
 */
import { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { OutRecord } from './types.ts';

const FIRST_ROOM_BYTES = 4096;
/** With less than this share of it filled, so many times in a row, room is given back: between two that are full there may be small ones. */
const LEAST_FILLED = 1 / 8;
const MOST_QUIET = 8;
/** Of what is made for as many as there were, for some more. */
const SLACK = 9 / 8;
/** A number that is not negative is written as so many times itself. */
const ZIGZAG = 2;
/** Of a key or value that is null: −1. */
const NULL_LENGTH = 1;
/** Of the key of a record that has none. */
export const NO_KEY = -1;

export class PackedRecords {
  readonly topic: string;
  /** Null before the first, and after it was given back. */
  #out: ByteWriter | null = null;
  #expectedBytes = FIRST_ROOM_BYTES;
  #quiet = 0;
  #size = 0;
  /** By record; of the first `#size`. */
  readonly #keyStarts: number[] = [];
  readonly #keyEnds: number[] = [];
  readonly #ends: number[] = [];

  constructor(topic: string) {
    this.topic = topic;
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    return this.#out?.length ?? 0;
  }

  /** What is in it; valid until the next record is added. */
  get bytes(): Uint8Array {
    return this.#writer().view();
  }

  /** Begins a record. Its value follows, how many headers it has, and these. */
  addKey(bytes: Uint8Array | null, start: number, end: number): void {
    const at = this.#field(bytes, start, end);
    this.#keyStarts[this.#size] = bytes === null ? NO_KEY : at;
    this.#keyEnds[this.#size] = bytes === null ? NO_KEY : at + end - start;
  }

  addValue(bytes: Uint8Array | null, start: number, end: number): void {
    this.#field(bytes, start, end);
  }

  addHeaders(count: number): void {
    this.#writer().varint(ZIGZAG * count);
  }

  /** The name of a header, or its value. */
  addText(text: string): void {
    this.#writer().string(text, ZIGZAG);
  }

  /** The digits of a whole number that is not negative, as a name or value. */
  addDigits(number: number): void {
    this.#writer().digits(number, ZIGZAG);
  }

  /** What `packedTexts` has made of names and values. */
  addTexts(packed: Uint8Array): void {
    this.#writer().bytes(packed);
  }

  endRecord(): void {
    this.#ends[this.#size++] = this.#writer().length;
  }

  /** Where record `n` lies in `bytes`. */
  start(n: number): number {
    return n === 0 ? 0 : this.#ends[n - 1];
  }

  end(n: number): number {
    return this.#ends[n];
  }

  /** NO_KEY where it is null. */
  keyStart(n: number): number {
    return this.#keyStarts[n];
  }

  keyEnd(n: number): number {
    return this.#keyEnds[n];
  }

  /** As records with views of `bytes`, for who does not write them to Kafka. */
  unpack(): OutRecord[] {
    const from = new ByteReader(this.bytes);
    return Array.from({ length: this.#size }, () => {
      const [key, value] = [readField(from), readField(from)];
      const headers: Record<string, string> = {};
      for (let left = from.varint() / ZIGZAG; left > 0; left--) headers[readText(from)] = readText(from);
      return { topic: this.topic, partition: null, key, value, headers };
    });
  }

  /** For others: memory stays while there are about as many now and then, and what is made anew is made for as many. */
  clear(expectedBytes: number): void {
    const isQuiet = this.#out !== null && this.#out.length < LEAST_FILLED * this.#out.capacity;
    this.#quiet = isQuiet ? this.#quiet + 1 : 0;
    this.#expectedBytes = Math.max(FIRST_ROOM_BYTES, Math.ceil(SLACK * expectedBytes));
    this.#size = 0;
    this.#out?.reset();
    if (this.#quiet < MOST_QUIET) return;
    this.#out = null;
    this.#quiet = 0;
    for (const column of [this.#keyStarts, this.#keyEnds, this.#ends]) column.length = 0;
  }

  /** Returns where the bytes begin. */
  #field(bytes: Uint8Array | null, start: number, end: number): number {
    const out = this.#writer();
    out.varint(bytes === null ? NULL_LENGTH : ZIGZAG * (end - start));
    const at = out.length;
    if (bytes !== null) out.bytes(bytes, start, end);
    return at;
  }

  #writer(): ByteWriter {
    this.#out ??= new ByteWriter(this.#expectedBytes);
    return this.#out;
  }
}

/** What is produced at once: records one by one, or many for one topic, each placed by its key. */
export type Outgoing = OutRecord | PackedRecords;

/** Some of the records of a pack, which go to one partition. */
export class PackedRun {
  readonly pack: PackedRecords;
  /** In their order. */
  readonly numbers: readonly number[];

  constructor(pack: PackedRecords, numbers: readonly number[]) {
    this.pack = pack;
    this.numbers = numbers;
  }
}

/** Names and values of headers as they stand in a record. */
export function packedTexts(texts: readonly string[]): Uint8Array {
  const out = new ByteWriter(64);
  for (const text of texts) out.string(text, ZIGZAG);
  return out.take();
}

/** All of them one by one. */
export const unpacked = (records: readonly Outgoing[]): OutRecord[] =>
  records.flatMap((record) => (record instanceof PackedRecords ? record.unpack() : record));

function readField(from: ByteReader): Uint8Array | null {
  const length = from.varint();
  return length === NULL_LENGTH ? null : from.bytes(length / ZIGZAG);
}

function readText(from: ByteReader): string {
  const { buffer, byteOffset, length } = from.bytes(from.varint() / ZIGZAG);
  return Buffer.from(buffer, byteOffset, length).toString();
}
