import type { RecordBatch, RecordView } from '../types.ts';

export interface ListedRecord {
  offset: number;
  /** Epoch ms, NaN when there is none. */
  timestampMs: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
}

/** Where a batch lies in its log. */
export interface BatchPlace {
  topic: string;
  partition: number;
  nextOffset: number;
  endOffset: number;
  byteLength: number;
}

/** A batch over records that already are objects. */
export class ListedBatch implements RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly endOffset: number;
  readonly byteLength: number;
  readonly #records: readonly ListedRecord[];
  #at = 0;

  constructor(place: BatchPlace, records: readonly ListedRecord[]) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.nextOffset = place.nextOffset;
    this.endOffset = place.endOffset;
    this.byteLength = place.byteLength;
    this.#records = records;
  }

  next(view: RecordView): boolean {
    if (this.#at === this.#records.length) return false;
    const { offset, timestampMs, key, value } = this.#records[this.#at++];
    view.offset = offset;
    view.timestampMs = timestampMs;
    view.key = key;
    view.keyStart = 0;
    view.keyEnd = key?.length ?? 0;
    view.value = value;
    view.valueStart = 0;
    view.valueEnd = value?.length ?? 0;
    return true;
  }
}
