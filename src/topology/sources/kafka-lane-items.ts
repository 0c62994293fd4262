/** Records on their way to a topic. */
import type { Message } from 'kafkajs';
import type { OutRecord } from '../types.ts';

export interface Call {
  /** Records not yet acknowledged or given up; the call ends with the last. */
  left: number;
  failure: Error | null;
  resolve(): void;
  reject(error: Error): void;
}

/** A record on its way, and whose it is. */
export interface Item {
  readonly record: OutRecord;
  /** Settled at the first attempt, and stays. */
  partition: number;
  readonly bytes: number;
  readonly call: Call;
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
export const messageOf = ({ record: { key, value, headers }, partition }: Item): Message => ({
  key: key && bufferOf(key),
  value: value && bufferOf(value),
  ...(partition === UNSETTLED ? {} : { partition }),
  ...(headers ? { headers } : {}),
});

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

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
