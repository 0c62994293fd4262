import type { RecordBatch, RecordView } from '../types.ts';
import type { BatchPlace } from './listed-batch.ts';

/**
 * Records as columns over the buffers they lie in. A batch waits for its task, and one object a record that lives that long is
 * copied twice by the garbage collector; these few arrays are not.
 */
export class RecordColumns {
  readonly offsets: number[] = [];
  readonly timesMs: number[] = [];
  /** Two a record: what the key and the value lie in, null for a null one. */
  readonly bases: (Uint8Array | null)[] = [];
  /** Four a record: key start and end, value start and end. */
  readonly spans: number[] = [];
  #base: Uint8Array = new Uint8Array(0);

  add(offset: number, timestampMs: number, key: Uint8Array | null, value: Uint8Array | null): void {
    this.offsets.push(offset);
    this.timesMs.push(timestampMs);
    this.#addBytes(key);
    this.#addBytes(value);
  }

  #addBytes(bytes: Uint8Array | null): void {
    if (bytes === null) {
      this.bases.push(null);
      this.spans.push(0, 0);
      return;
    }
    if (this.#base.buffer !== bytes.buffer) this.#base = new Uint8Array(bytes.buffer);
    this.bases.push(this.#base);
    this.spans.push(bytes.byteOffset, bytes.byteOffset + bytes.length);
  }
}

export class ColumnBatch implements RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly endOffset: number;
  readonly byteLength: number;
  readonly #records: RecordColumns;
  #at = 0;

  constructor(place: BatchPlace, records: RecordColumns) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.nextOffset = place.nextOffset;
    this.endOffset = place.endOffset;
    this.byteLength = place.byteLength;
    this.#records = records;
  }

  next(view: RecordView): boolean {
    const at = this.#at;
    const { offsets, timesMs, bases, spans } = this.#records;
    if (at === offsets.length) return false;
    this.#at++;
    view.offset = offsets[at];
    view.timestampMs = timesMs[at];
    view.key = bases[2 * at];
    view.keyStart = spans[4 * at];
    view.keyEnd = spans[4 * at + 1];
    view.value = bases[2 * at + 1];
    view.valueStart = spans[4 * at + 2];
    view.valueEnd = spans[4 * at + 3];
    return true;
  }
}
