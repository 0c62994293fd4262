/** Records on their way to a topic. */
import type { Message } from 'kafkajs';
import { NO_KEY, type PackedRecords, PackedRun } from '../packed-records.ts';
import type { OutRecord } from '../types.ts';
import { partitionOf } from './murmur2.ts';

export interface Call {
  /** Items not yet acknowledged or given up; the call ends with the last. */
  left: number;
  failure: Error | null;
  resolve(): void;
  reject(error: Error): void;
}

/** A record on its way, or some out of a pack that go together, and whose they are. */
export interface Item {
  readonly record: OutRecord | PackedRun;
  /** Settled at the first attempt, and stays; that of packed ones is. */
  partition: number;
  readonly bytes: number;
  readonly call: Call;
}

/** Where packed records may go. */
interface Room {
  partitions: number;
  maxBatchBytes: number;
  /** The partition of the next record without a key. */
  placeLoose(): number;
}

/** The partition of a record before it is settled. */
export const UNSETTLED = -1;

const MAX_REQUEST_BYTES = 8 << 20;
/** Framing, offset, timestamp and lengths of a record, generously. */
const RECORD_OVERHEAD_BYTES = 40;

export const grouped = <Key, T>(items: readonly T[], keyOf: (item: T) => Key): Map<Key, T[]> => {
  const groups = new Map<Key, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
};

/** As kafkajs sends a record by itself. */
export const messageOf = ({ key, value, headers }: OutRecord, partition: number): Message => ({
  key: key && bufferOf(key),
  value: value && bufferOf(value),
  ...(partition === UNSETTLED ? {} : { partition }),
  ...(headers ? { headers } : {}),
});

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

/** The records of a pack by partition, in runs that find room in a batch. */
export function itemsOf(pack: PackedRecords, call: Call, { partitions, maxBatchBytes, placeLoose }: Room): Item[] {
  const { bytes, size } = pack;
  const items: Item[] = [];
  const open: { numbers: number[]; bytes: number }[] = [];
  const close = (partition: number): void => {
    const run = open[partition];
    if (run !== undefined) items.push({ record: new PackedRun(pack, run.numbers), partition, bytes: run.bytes, call });
  };
  for (let n = 0; n < size; n++) {
    const keyStart = pack.keyStart(n);
    const partition = keyStart === NO_KEY ? placeLoose() : partitionOf(bytes, keyStart, pack.keyEnd(n), partitions);
    const recordBytes = RECORD_OVERHEAD_BYTES + pack.end(n) - pack.start(n);
    if (open[partition] === undefined || open[partition].bytes + recordBytes > maxBatchBytes) {
      close(partition);
      open[partition] = { numbers: [], bytes: 0 };
    }
    open[partition].numbers.push(n);
    open[partition].bytes += recordBytes;
  }
  for (let partition = 0; partition < open.length; partition++) close(partition);
  return items;
}

/** An item in two; null for a single record. Its call ends with both. */
export function halvesOf({ record, partition, bytes, call }: Item): [Item, Item] | null {
  if (!(record instanceof PackedRun) || record.numbers.length === 1) return null;
  const middle = record.numbers.length >> 1;
  const half = (numbers: readonly number[]): Item => {
    const share = Math.ceil((bytes * numbers.length) / record.numbers.length);
    return { record: new PackedRun(record.pack, numbers), partition, bytes: share, call };
  };
  call.left++;
  return [half(record.numbers.slice(0, middle)), half(record.numbers.slice(middle))];
}

export const sizeOf = ({ key, value, headers }: OutRecord): number => {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  // At most 3 bytes of UTF-8 a unit.
  for (const name in headers) bytes += 10 + 3 * (name.length + headers[name].length);
  return bytes;
};

/** Cuts where a partition (records whose partition is not settled: the topic) would get a batch above the limit, or the request become too large. */
export const chunks = (items: readonly Item[], maxBatchBytes: number): Item[][] => {
  const cut: Item[][] = [];
  let chunk: Item[] = [];
  let batches = new Map<number, number>();
  let chunkBytes = 0;
  for (const item of items) {
    const { partition } = item;
    const batchBytes = item.bytes + (batches.get(partition) ?? 0);
    if (chunk.length > 0 && (batchBytes > maxBatchBytes || chunkBytes + item.bytes > MAX_REQUEST_BYTES)) {
      cut.push(chunk);
      chunk = [];
      batches = new Map();
      chunkBytes = 0;
    }
    chunk.push(item);
    batches.set(partition, chunkBytes === 0 ? item.bytes : batchBytes);
    chunkBytes += item.bytes;
  }
  if (chunk.length > 0) cut.push(chunk);
  return cut;
};
