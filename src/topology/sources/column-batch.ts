import type { RecordBatch, RecordView } from '../types.ts';
import type { BatchPlace } from './listed-batch.ts';

const FIRST_CAPACITY = 64;
/** Of a null key or value. */
const NULL_SPAN = -1;

/** The process is to stand still for no longer than 50 ms, and a slice is judged without a pause. */
const MAX_SLICE_RECORDS = 10_000;
const MAX_SLICE_BYTES = 2 << 20;

/** Records from `from` to before `to`. */
interface Slice {
  from: number;
  to: number;
}

/** Records from `#from` on, up to where the next stretch begins, lie in these bytes. */
interface Stretch {
  bytes: Uint8Array;
  from: number;
}

/**
 * Records as columns over the bytes they lie in. A batch waits for its task, and one object a record that lives that long is
 * copied twice by the garbage collector; a few typed arrays are not.
 */
export class RecordColumns {
  #size = 0;
  /** Two a record: offset, and Kafka time (epoch ms, NaN without one). */
  #numbers: Float64Array;
  /** Four a record: key start and end, value start and end, within the stretch. */
  #spans: Int32Array;
  /** The first for records of nothing but nulls. */
  readonly #stretches: Stretch[] = [{ bytes: new Uint8Array(0), from: 0 }];

  /** @param capacity how many records are expected */
  constructor(capacity = FIRST_CAPACITY) {
    this.#numbers = new Float64Array(2 * capacity);
    this.#spans = new Int32Array(4 * capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** Records that find room before memory is taken anew. */
  get capacity(): number {
    return this.#spans.length / 4;
  }

  /** The records that are added from here on lie in `bytes`. */
  lieIn(bytes: Uint8Array): void {
    this.#stretches.push({ bytes, from: this.#size });
  }

  /** Begins a record, with null key and null value. */
  add(offset: number, timestampMs: number): void {
    const at = this.#size++;
    if (4 * at === this.#spans.length) this.#grow();
    this.#numbers[2 * at] = offset;
    this.#numbers[2 * at + 1] = timestampMs;
    this.#spans[4 * at] = NULL_SPAN;
    this.#spans[4 * at + 2] = NULL_SPAN;
  }

  /** Of the record begun last. */
  key(start: number, end: number): void {
    const at = 4 * this.#size - 4;
    this.#spans[at] = start;
    this.#spans[at + 1] = end;
  }

  value(start: number, end: number): void {
    const at = 4 * this.#size - 4;
    this.#spans[at + 2] = start;
    this.#spans[at + 3] = end;
  }

  /** Drops what was added since there were `size` records. */
  cutTo(size: number): void {
    this.#size = size;
    while (this.#stretches.length > 1 && this.#stretches[this.#stretches.length - 1].from >= size) this.#stretches.pop();
  }

  /** Begins to read at record `at` of stretch `stretch`; returns the stretch it was found in. */
  read(at: number, stretch: number, view: RecordView): number {
    let number = stretch;
    while (number + 1 < this.#stretches.length && this.#stretches[number + 1].from <= at) number++;
    const { bytes } = this.#stretches[number];
    const spans = this.#spans;
    view.offset = this.#numbers[2 * at];
    view.timestampMs = this.#numbers[2 * at + 1];
    view.key = spans[4 * at] === NULL_SPAN ? null : bytes;
    view.keyStart = spans[4 * at];
    view.keyEnd = spans[4 * at + 1];
    view.value = spans[4 * at + 2] === NULL_SPAN ? null : bytes;
    view.valueStart = spans[4 * at + 2];
    view.valueEnd = spans[4 * at + 3];
    return number;
  }

  offset(at: number): number {
    return this.#numbers[2 * at];
  }

  /** Bytes of key and value. */
  bytes(at: number): number {
    const spans = this.#spans;
    const key = spans[4 * at] === NULL_SPAN ? 0 : spans[4 * at + 1] - spans[4 * at];
    return spans[4 * at + 2] === NULL_SPAN ? key : key + spans[4 * at + 3] - spans[4 * at + 2];
  }

  #grow(): void {
    const numbers = new Float64Array(2 * Math.max(FIRST_CAPACITY, this.#numbers.length));
    numbers.set(this.#numbers);
    this.#numbers = numbers;
    const spans = new Int32Array(2 * numbers.length);
    spans.set(this.#spans);
    this.#spans = spans;
  }
}

export class ColumnBatch implements RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly endOffset: number;
  readonly byteLength: number;
  readonly #records: RecordColumns;
  readonly #to: number;
  #at: number;
  #stretch = 0;

  /** @param slice which of the records: all when not given */
  constructor(place: BatchPlace, records: RecordColumns, slice: Slice = { from: 0, to: records.size }) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.nextOffset = place.nextOffset;
    this.endOffset = place.endOffset;
    this.byteLength = place.byteLength;
    this.#records = records;
    this.#at = slice.from;
    this.#to = slice.to;
  }

  next(view: RecordView): boolean {
    if (this.#at === this.#to) return false;
    this.#stretch = this.#records.read(this.#at++, this.#stretch, view);
    return true;
  }
}

/** The records of a set as batches of which each is judged in one go: a set may have unpacked to far more than it was when fetched. */
export function slicesOf(place: BatchPlace, records: RecordColumns): ColumnBatch[] {
  const slices: ColumnBatch[] = [];
  const { size } = records;
  let left = place.byteLength;
  let from = 0;
  let byteLength = 0;
  for (let at = 0; at < size; at++) {
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
