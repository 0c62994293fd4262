/** Record batches of any shape, as a broker keeps them: what no client's producer can be made to write. */
import { crc32c } from '@node-rs/crc32';
import { CODECS } from '../../src/topology/sources/codecs.ts';

export interface GivenRecord {
  key: Uint8Array | null;
  value: Uint8Array | null;
  offsetDelta: number;
  timeDeltaMs: number;
  headers: [string, Uint8Array | null][];
}

export interface BatchShape {
  baseOffset: number;
  /** Highest of the records when not given: compaction leaves it higher. */
  lastOffsetDelta?: number;
  baseTimeMs: number;
  maxTimeMs?: number;
  /** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
  codec?: number;
  isAppendTime?: boolean;
  isControl?: boolean;
  /** Given for a transactional batch. */
  producerId?: number;
  /** Told in place of the number of records. */
  count?: number;
}

export const HEADER_BYTES = 61;

export const encodeBatch = async (records: readonly GivenRecord[], shape: BatchShape): Promise<Buffer> => {
  const plain = Buffer.concat(records.map(encodeRecord));
  const codec = shape.codec ?? 0;
  const body = codec === 0 ? plain : await CODECS[codec].compress(plain);
  return withHeader(body, records, shape);
};

/** The same, at once; no codec. */
export const encodePlainBatch = (records: readonly GivenRecord[], shape: BatchShape): Buffer =>
  withHeader(Buffer.concat(records.map(encodeRecord)), records, shape);

/** Sets the checksum to what it should be. */
export const sealed = (batch: Buffer): Buffer => {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
};

/** Records of these values under one key, a millisecond apart. */
export const recordsOf = (values: readonly (string | Uint8Array)[], key = 'k'): GivenRecord[] =>
  values.map((value, i) => ({ key: Buffer.from(key), value: Buffer.from(value), offsetDelta: i, timeDeltaMs: i, headers: [] }));

const withHeader = (body: Buffer, records: readonly GivenRecord[], shape: BatchShape): Buffer => {
  const header = Buffer.alloc(HEADER_BYTES);
  const times = records.map(({ timeDeltaMs }) => timeDeltaMs);
  header.writeBigInt64BE(BigInt(shape.baseOffset), 0);
  header.writeInt32BE(HEADER_BYTES - 12 + body.length, 8);
  header.writeInt32BE(-1, 12);
  header.writeInt8(2, 16);
  const isTransactional = shape.producerId !== undefined;
  header.writeInt16BE((shape.codec ?? 0) | (shape.isAppendTime ? 8 : 0) | (isTransactional ? 16 : 0) | (shape.isControl ? 32 : 0), 21);
  header.writeInt32BE(shape.lastOffsetDelta ?? records.at(-1)?.offsetDelta ?? 0, 23);
  header.writeBigInt64BE(BigInt(shape.baseTimeMs), 27);
  header.writeBigInt64BE(BigInt(shape.maxTimeMs ?? shape.baseTimeMs + times.reduce((a, b) => Math.max(a, b), 0)), 35);
  header.writeBigInt64BE(BigInt(shape.producerId ?? -1), 43);
  header.writeInt16BE(isTransactional ? 0 : -1, 51);
  header.writeInt32BE(isTransactional ? 0 : -1, 53);
  header.writeInt32BE(shape.count ?? records.length, 57);
  return sealed(Buffer.concat([header, body]));
};

const encodeRecord = ({ key, value, offsetDelta, timeDeltaMs, headers }: GivenRecord): Buffer => {
  const body = [Buffer.from([0]), varint(timeDeltaMs), varint(offsetDelta), field(key), field(value), varint(headers.length)];
  for (const [name, content] of headers) body.push(field(Buffer.from(name)), field(content));
  const bytes = Buffer.concat(body);
  return Buffer.concat([varint(bytes.length), bytes]);
};

const field = (bytes: Uint8Array | null): Buffer => (bytes === null ? varint(-1) : Buffer.concat([varint(bytes.length), bytes]));

/** Zigzag, seven bits a byte, lowest first. */
const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
};
