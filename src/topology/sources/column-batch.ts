import type { RecordBatch, RecordRun, RecordView } from '../types.ts';
import type { RecordColumns } from './record-columns.ts';

/** The process is to stand still for no longer than 50 ms, and a slice is judged without a pause. */
const MAX_SLICE_RECORDS = 10_000;
const MAX_SLICE_BYTES = 2 << 20;

/** Where a batch lies in its log. */
export interface BatchPlace {
  topic: string;
  partition: number;
  nextOffset: number;
  endOffset: number;
  byteLength: number;
}

/** Records from `from` to before `to`. */
interface Slice {
  from: number;
  to: number;
}

export class ColumnBatch implements RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly endOffset: number;
  readonly byteLength: number;
  readonly #reader: ColumnReader;

  /** @param slice which of the records: all when not given */
  constructor(place: BatchPlace, records: RecordColumns, slice: Slice = { from: 0, to: records.size }) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.nextOffset = place.nextOffset;
    this.endOffset = place.endOffset;
    this.byteLength = place.byteLength;
    this.#reader = new ColumnReader(records, slice);
  }

  next(view: RecordView): boolean {
    return this.#reader.next(view);
  }

  take(most: number): RecordRun | null {
    return this.#reader.take(most);
  }
}

/** Goes through columns once, by records or by runs of them. */
export class ColumnReader {
  readonly #records: RecordColumns;
  readonly #to: number;
  readonly #run: RecordRun;
  #at: number;
  #stretch = 0;

  constructor(records: RecordColumns, { from, to }: Slice) {
    this.#records = records;
    this.#at = from;
    this.#to = to;
    this.#run = { ...NO_RUN };
  }

  next(view: RecordView): boolean {
    const run = this.take(1);
    if (run !== null) view.read(run, run.from);
    return run !== null;
  }

  take(most: number): RecordRun | null {
    if (this.#at >= this.#to) return null;
    const run = this.#run;
    this.#stretch = this.#records.run(this.#at, Math.min(this.#at + most, this.#to), this.#stretch, run);
    this.#at += run.size;
    return run;
  }
}

const NO_RUN: RecordRun = {
  bytes: new Uint8Array(0),
  from: 0,
  size: 0,
  offsets: new Float64Array(0),
  timesMs: new Float64Array(0),
  keys: new Int32Array(0),
  values: new Int32Array(0),
};

/** The records of a set as batches of which each is judged in one go: a set may have unpacked to far more than it was when fetched. */
export function slicesOf(place: BatchPlace, records: RecordColumns): ColumnBatch[] {
  const slices: ColumnBatch[] = [];
  const { size } = records;
  let left = place.byteLength;
  let from = 0;
  let byteLength = 0;
  for (let at = 0; at < size && isMore(size - from, left); at++) {
    const bytes = records.bytes(at);
    if (at > from && (at - from === MAX_SLICE_RECORDS || byteLength + bytes > MAX_SLICE_BYTES)) {
      slices.push(new ColumnBatch({ ...place, nextOffset: records.offset(at - 1) + 1, byteLength }, records, { from, to: at }));
      left -= byteLength;
      from = at;
      byteLength = 0;
    }
    byteLength += bytes;
  }
  // What is neither key nor value comes with the last, and so does what lies behind the last record.
  slices.push(new ColumnBatch({ ...place, byteLength: left }, records, { from, to: size }));
  return slices;
}

/** Whether they may be more than a slice. */
const isMore = (records: number, bytes: number): boolean => records > MAX_SLICE_RECORDS || bytes > MAX_SLICE_BYTES;
