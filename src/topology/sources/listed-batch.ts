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

/** Records in one piece of memory, and their columns. */
export function packed(records: readonly ListedRecord[]): { columns: RecordColumns; bytes: Uint8Array } {
  const bytes = new Uint8Array(records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0));
  const columns = new RecordColumns(records.length);
  columns.lieIn(bytes);
  let at = 0;
  const put = (from: Uint8Array): number => {
    bytes.set(from, at);
    at += from.length;
    return at - from.length;
  };
  for (const { offset, timestampMs, key, value } of records) {
    columns.add(offset, timestampMs);
    if (key !== null) columns.key(put(key), at);
    if (value !== null) columns.value(put(value), at);
  }
  return { columns, bytes };
}
