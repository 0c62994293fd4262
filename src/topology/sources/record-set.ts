/**
 * Record sets as they lie in a fetch (format: https://kafka.apache.org/documentation/#recordbatch): checked and unpacked batch
 * by batch, so that one that cannot be read is told with its offset, and read in place: what comes out are places of bytes.
 */
import { crc32c } from '@node-rs/crc32';
import { asError, type ErrorCode, StreamError } from '../../errors.ts';
import { DecoderMemory } from '../../operators/decoder-memory.ts';
import { freeNow } from '../../state/memory-budget.ts';
import { CODECS, MAX_BATCH_BYTES } from './codecs.ts';
import { RecordColumns } from './record-columns.ts';
import { LEAST_RECORD_BYTES, RecordReader } from './record-reader.ts';
import { UnpackedBytes } from './unpacked-bytes.ts';

export const HEADER_BYTES = 61;
/** Of the header, what its length field does not count. */
export const UNCOUNTED_BYTES = 12;
export const LENGTH_AT = 8;
const MAGIC_AT = 16;
export const CRC_AT = 17;
export const ATTRIBUTES_AT = 21;
const LAST_DELTA_AT = 23;
const BASE_TIME_AT = 27;
const MAX_TIME_AT = 35;
const PRODUCER_AT = 43;
const COUNT_AT = 57;

export const CODEC_MASK = 7;
const LOG_APPEND_TIME = 8;
const TRANSACTIONAL = 16;
const CONTROL = 32;

/** The columns of so many take as much as a batch may unpack to. */
const MAX_BATCH_RECORDS = MAX_BATCH_BYTES / 32;

/** Once a set has unpacked to this much, the rest of it is left for the next fetch. */
const ENOUGH_BYTES = 2 << 20;

/** A batch that cannot be read. */
export interface Fault {
  /** Where it begins. */
  offset: number;
  code: Extract<ErrorCode, 'batch_unreadable' | 'batch_old_format'>;
  cause: Error;
}

/** A batch whose checksum holds, uncompressed. */
export interface OpenBatch {
  /** As fetched; its records may be compressed. */
  fetched: Buffer;
  /** The records lie in these bytes from `start` to `end`. Uncompressed ones share them with all else that was fetched together. */
  bytes: Uint8Array;
  start: number;
  end: number;
  baseOffset: number;
  lastOffset: number;
  baseTimeMs: number;
  /** The time of all its records; NaN where each has its own. */
  appendTimeMs: number;
  count: number;
  isControl: boolean;
  /** Of a transactional batch, as the list of aborted transactions has it; null for others. */
  transaction: string | null;
}

export interface OpenSet {
  batches: OpenBatch[];
  /** After the last whole batch; -1 when there was none. */
  nextOffset: number;
  /** Decompressed. */
  byteLength: number;
  /** After the batches; null when all could be read. */
  fault: Fault | null;
}

export const NO_SET: OpenSet = { batches: [], nextOffset: -1, byteLength: 0, fault: null };

class OldFormat extends Error {}

/** The fault by its name, for whoever reads that partition. */
export const unreadable = (topic: string, partition: number, { offset, code, cause }: Fault): StreamError => {
  const why = code === 'batch_old_format' ? '' : ': it is damaged, or compressed in a way this program does not know';
  return new StreamError(code, `${topic}/${partition}: the batch at offset ${offset} cannot be read (${cause.message})${why}.`, { cause });
};

export const faultAt = (offset: number, error: unknown): Fault => ({
  offset,
  code: error instanceof OldFormat ? 'batch_old_format' : 'batch_unreadable',
  cause: asError(error),
});

/** Checks and unpacks what a fetch brought, up to a batch that cannot be read or that was cut off by the fetch's limit. */
export async function openRecordSet(bytes: Buffer): Promise<OpenSet> {
  const set: OpenSet = { batches: [], nextOffset: -1, byteLength: 0, fault: null };
  if (bytes.length > 0 && bytes.length <= MAGIC_AT) {
    set.fault = faultAt(bytes.length < LENGTH_AT ? -1 : int64(bytes, 0), new Error(`only ${bytes.length} bytes of it were fetched`));
  }
  const unpacked = new UnpackedBytes(bytes.length, ENOUGH_BYTES);
  for (let at = 0; bytes.length - at > MAGIC_AT && set.byteLength < ENOUGH_BYTES; ) {
    const end = at + UNCOUNTED_BYTES + bytes.readInt32BE(at + LENGTH_AT);
    // It comes whole with the next fetch. The first always does (KIP-74): one that does not would be fetched like this for ever.
    if (at > 0 && end > bytes.length && end - at < MAX_BATCH_BYTES) break;
    const first = int64(bytes, at);
    try {
      // Without a wait where nothing is to be unpacked.
      const opened = openBatch(bytes.subarray(at, end), end - at, unpacked);
      const batch = opened instanceof Promise ? await opened : opened;
      if (first < set.nextOffset) throw new Error(`it begins before offset ${set.nextOffset}, where the one before it ends`);
      set.batches.push(batch);
      set.byteLength += HEADER_BYTES + batch.end - batch.start;
      set.nextOffset = batch.lastOffset + 1;
    } catch (error) {
      set.fault = faultAt(first, error);
      break;
    }
    at = end;
  }
  return set;
}

/** One for all batches of a response: who reads in it looks at its bytes once. */
const wholes = new WeakMap<ArrayBufferLike, Uint8Array>();

/** A plain array: bytes are read by code that has never seen a Buffer. */
function wholeOf(memory: ArrayBufferLike): Uint8Array {
  const known = DecoderMemory.of(memory)?.bytes ?? wholes.get(memory);
  if (known !== undefined) return known;
  const whole = new Uint8Array(memory);
  wholes.set(memory, whole);
  return whole;
}

function openBatch(fetched: Buffer, length: number, unpacked: UnpackedBytes): OpenBatch | Promise<OpenBatch> {
  const magic = fetched[MAGIC_AT];
  if (magic < 2) throw new OldFormat(`its message format is ${magic}, from before Kafka 0.11, and 2 is the oldest that is read here`);
  if (magic > 2) throw new Error(`its format is ${magic}`);
  if (length < HEADER_BYTES || length > fetched.length) throw new Error(`it says that it is ${length} bytes long`);
  const sum = crc32c(fetched.subarray(ATTRIBUTES_AT));
  if (sum !== fetched.readUInt32BE(CRC_AT)) throw new Error('its checksum does not match');
  const attributes = fetched.readInt16BE(ATTRIBUTES_AT);
  const baseOffset = int64(fetched, 0);
  const batch: OpenBatch = {
    fetched,
    bytes: wholeOf(fetched.buffer),
    start: fetched.byteOffset + HEADER_BYTES,
    end: fetched.byteOffset + fetched.length,
    baseOffset,
    lastOffset: baseOffset + fetched.readInt32BE(LAST_DELTA_AT),
    baseTimeMs: int64(fetched, BASE_TIME_AT),
    appendTimeMs: (attributes & LOG_APPEND_TIME) === 0 ? Number.NaN : int64(fetched, MAX_TIME_AT),
    count: fetched.readInt32BE(COUNT_AT),
    isControl: (attributes & CONTROL) !== 0,
    transaction: (attributes & TRANSACTIONAL) === 0 ? null : String(fetched.readBigInt64BE(PRODUCER_AT)),
  };
  checkCount(batch);
  const codec = attributes & CODEC_MASK;
  return codec === 0 ? batch : unpack(batch, codec, unpacked);
}

/** The header is under the checksum, and yet only what its producer made of it. Each record has an offset of its own. */
function checkCount({ baseOffset, lastOffset, count }: OpenBatch): void {
  if (lastOffset < baseOffset) throw new Error(`it says that it ends at offset ${lastOffset}`);
  if (count < 0 || count > lastOffset - baseOffset + 1)
    throw new Error(`it says that it holds ${count} records up to offset ${lastOffset}`);
  if (count > MAX_BATCH_RECORDS) throw new Error(`it holds ${count} records`);
}

async function unpack(batch: OpenBatch, codec: number, unpacked: UnpackedBytes): Promise<OpenBatch> {
  const known = CODECS[codec];
  if (known === undefined) throw new Error(`its compression is ${codec}`);
  const records = batch.count === 0 ? Buffer.alloc(0) : await known.decompress(batch.fetched.subarray(HEADER_BYTES));
  if (records.length > MAX_BATCH_BYTES) throw new Error(`it unpacks to ${records.length} bytes`);
  const { buffer, byteOffset, length } = unpacked.put(records, batch.fetched.length);
  // They lie elsewhere now, and would wait for a garbage collection, or bring one about.
  if (buffer !== records.buffer && records.byteOffset === 0) freeNow(records);
  return { ...batch, bytes: wholeOf(buffer), start: byteOffset, end: byteOffset + length };
}

/** All that somebody reads in who reads in these. */
export const memoriesOf = (batches: readonly OpenBatch[]): Set<ArrayBufferLike> =>
  new Set(batches.flatMap(({ fetched, bytes }) => [fetched.buffer, bytes.buffer]));

/** How many records it says to hold, as far as they would find room in it. */
export const recordsIn = ({ start, end, count }: OpenBatch): number =>
  Math.max(0, Math.min(count, Math.floor((end - start) / LEAST_RECORD_BYTES)));

/** Adds the records from an offset on to the columns; returns what is wrong with a batch, having added none of its records. */
export function readRecords(batches: readonly OpenBatch[], fromOffset: number, into: RecordColumns): Fault | null {
  for (const batch of batches) {
    const { size } = into;
    try {
      into.lieIn(batch.bytes);
      if (!into.find(batch, fromOffset)) addRecords(batch, fromOffset, into);
    } catch (error) {
      into.cutTo(size);
      return faultAt(batch.baseOffset, error);
    }
  }
  return null;
}

/** @throws Error when its records cannot be read */
export const checkRecords = (batch: OpenBatch): void => addRecords(batch, Number.POSITIVE_INFINITY, new RecordColumns(0));

function addRecords(batch: OpenBatch, fromOffset: number, into: RecordColumns): void {
  const { baseOffset, baseTimeMs, appendTimeMs } = batch;
  const hasOwnTimes = Number.isNaN(appendTimeMs);
  const reader = new RecordReader(batch);
  let before = baseOffset - 1;
  while (reader.next()) {
    const offset = baseOffset + reader.offsetDelta;
    if (offset <= before || offset > batch.lastOffset) throw new Error(`a record in it has offset ${offset}, after ${before}`);
    before = offset;
    if (offset < fromOffset) continue;
    const timeMs = hasOwnTimes ? baseTimeMs + reader.timeDeltaMs : appendTimeMs;
    into.add(offset, timeMs === -1 ? Number.NaN : timeMs);
    if (reader.keyStart >= 0) into.key(reader.keyStart, reader.keyEnd);
    if (reader.valueStart >= 0) into.value(reader.valueStart, reader.valueEnd);
  }
}

const int64 = (bytes: Buffer, at: number): number => bytes.readInt32BE(at) * 4294967296 + bytes.readUInt32BE(at + 4);
