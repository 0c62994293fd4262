import { type BatchPlace, ColumnBatch } from './column-batch.ts';
import { RecordColumns } from './record-columns.ts';

export interface ListedRecord {
  offset: number;
  /** Epoch ms, NaN when there is none. */
  timestampMs: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
}

/** A batch of records that already are objects, copied one behind the other as they lie in a fetch. */
export class ListedBatch extends ColumnBatch {
  constructor(place: BatchPlace, records: readonly ListedRecord[]) {
    super(place, packed(records).columns);
  }
}

/** Their columns, and the bytes that they lie in. */
export function packed(records: readonly ListedRecord[]): { columns: RecordColumns; bytes: Uint8Array } {
  const bytes = new Uint8Array(bytesOf(records));
  const columns = new RecordColumns(records.length);
  pack(records, columns, { bytes, at: 0 });
  return { columns, bytes };
}

/** Copies records one behind the other, and adds them to columns. */
export function pack(records: readonly ListedRecord[], columns: RecordColumns, to: { bytes: Uint8Array; at: number }): void {
  let { at } = to;
  const put = (from: Uint8Array): number => {
    to.bytes.set(from, at);
    at += from.length;
    return at - from.length;
  };
  columns.lieIn(to.bytes);
  for (const { offset, timestampMs, key, value } of records) {
    columns.add(offset, timestampMs);
    if (key !== null) columns.key(put(key), at);
    if (value !== null) columns.value(put(value), at);
  }
}

export const bytesOf = (records: readonly ListedRecord[]): number =>
  records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0);
