/**
 * A record batch for a Produce request (format: https://kafka.apache.org/documentation/#recordbatch): about a microsecond a record,
 * where kafkajs takes nine, and time that grows with the square of how many go to one partition.
 */
import { crc32c } from '@node-rs/crc32';
import { ByteWriter } from '../../state/bytes.ts';
import { PackedRun } from '../packed-records.ts';
import { CODECS } from './codecs.ts';
import { ATTRIBUTES_AT, CRC_AT, HEADER_BYTES, UNCOUNTED_BYTES } from './record-set.ts';

export interface BatchRecord {
  key: Uint8Array | null;
  value: Uint8Array | null;
  headers?: Record<string, string>;
}

export interface BatchForm {
  /** Of all its records, epoch ms. */
  timestampMs: number;
  /** Kafka's number of a codec, 0 for none. */
  codec: number;
}

const MAGIC = 2;
const NONE = -1;
/** A number that is not negative is written as so many times itself. */
const ZIGZAG = 2;
/** In front of a record's offset. */
const ATTRIBUTES_AND_TIME_BYTES = 2;

/** Records come with the same headers one after the other, most of them with the same value. */
interface Header {
  /** As it is written, with its length; so is `written`. */
  name: Uint8Array;
  /** Of the record before, and of it what was written, once it came again. */
  value: string;
  written: Uint8Array | null;
}

const headersKnown = new Map<string, Header>();
const MOST_HEADERS = 64;
const body = new ByteWriter(4096);
const short = new ByteWriter(64);
const out = new ByteWriter(64 * 1024);

/** @param room gives memory for so many bytes, whatever is in it */
export async function writeRecordBatch(
  records: readonly (BatchRecord | PackedRun)[],
  { timestampMs, codec }: BatchForm,
  room: (bytes: number) => Buffer = Buffer.allocUnsafe,
): Promise<Buffer> {
  out.reset();
  let count = 0;
  for (const record of records) {
    if (record instanceof PackedRun) count = writeRun(record, count);
    else writeRecord(record, count++);
  }
  const packed = codec === 0 ? out.view() : await CODECS[codec].compress(Buffer.from(out.take().buffer));
  const batch = room(HEADER_BYTES + packed.length);
  batch.set(packed, HEADER_BYTES);
  writeBatchHeader(batch, { records: count, timestampMs, codec });
  return batch;
}

function writeBatchHeader(batch: Buffer, { records, timestampMs, codec }: BatchForm & { records: number }): void {
  const time = BigInt(Math.floor(timestampMs));
  let at = batch.writeBigInt64BE(0n, 0);
  at = batch.writeInt32BE(batch.length - UNCOUNTED_BYTES, at);
  at = batch.writeInt32BE(NONE, at); // Epoch of the leader: the broker's to say.
  at = batch.writeInt8(MAGIC, at);
  at = batch.writeInt16BE(codec, at + Uint32Array.BYTES_PER_ELEMENT);
  at = batch.writeInt32BE(records - 1, at);
  at = batch.writeBigInt64BE(time, at);
  at = batch.writeBigInt64BE(time, at);
  at = batch.writeBigInt64BE(BigInt(NONE), at); // Neither idempotent nor in a transaction.
  at = batch.writeInt16BE(NONE, at);
  at = batch.writeInt32BE(NONE, at);
  batch.writeInt32BE(records, at);
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT);
}

/** Returns how many there are then. */
function writeRun({ pack, numbers }: PackedRun, count: number): number {
  const { bytes } = pack;
  let delta = count;
  for (const n of numbers) {
    const start = pack.start(n);
    const end = pack.end(n);
    zigzag(out, ATTRIBUTES_AND_TIME_BYTES + widthOf(ZIGZAG * delta) + end - start);
    out.u8(0);
    zigzag(out, 0);
    zigzag(out, delta++);
    out.bytes(bytes, start, end);
  }
  return delta;
}

/** Bytes of a varint below 2^31. */
const widthOf = (value: number): number => {
  let width = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) width++;
  return width;
};

function writeRecord({ key, value, headers }: BatchRecord, offsetDelta: number): void {
  body.reset();
  body.u8(0);
  zigzag(body, 0);
  zigzag(body, offsetDelta);
  field(key);
  field(value);
  let count = 0;
  for (const _ in headers) count++;
  zigzag(body, count);
  for (const name in headers) writeHeader(name, headers[name]);
  zigzag(out, body.length);
  out.written(body);
}

function writeHeader(name: string, value: string): void {
  const header = headersKnown.get(name) ?? headerOf(name);
  body.bytes(header.name);
  if (header.value === value) {
    header.written ??= written(value);
    body.bytes(header.written);
    return;
  }
  header.value = value;
  header.written = null;
  body.string(value, ZIGZAG);
}

function headerOf(name: string): Header {
  if (headersKnown.size === MOST_HEADERS) headersKnown.clear();
  const header: Header = { name: written(name), value: '', written: null };
  headersKnown.set(name, header);
  return header;
}

function written(text: string): Uint8Array {
  short.reset();
  short.string(text, ZIGZAG);
  return short.take();
}

/** Of a number that is not negative. */
const zigzag = (to: ByteWriter, value: number): void => to.varint(ZIGZAG * value);

function field(bytes: Uint8Array | null): void {
  if (bytes === null) {
    body.varint(1); // -1
    return;
  }
  zigzag(body, bytes.length);
  body.bytes(bytes);
}
