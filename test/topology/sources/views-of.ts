import { ColumnBatch } from '../../../src/topology/sources/column-batch.ts';
import type { RecordColumns } from '../../../src/topology/sources/record-columns.ts';
import { RecordView } from '../../../src/topology/types.ts';

/** What is to be said of each record that these columns hold. The view is the same one each time. */
export function viewsOf<Said>(columns: RecordColumns, say: (view: RecordView) => Said): Said[] {
  const from = new ColumnBatch({ topic: 't', partition: 0, nextOffset: 0, endOffset: 0, byteLength: 0 }, columns);
  const view = new RecordView();
  const all: Said[] = [];
  while (from.next(view)) all.push(say(view));
  return all;
}
