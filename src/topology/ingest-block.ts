/**
 * A stretch of a batch, decoded and hashed before any of it is judged: what is looked up for one record then waits in the cache
 * already when its turn comes, for the misses of a whole block overlap. They cost more than all else.
 */
import { DecodedEvent, type Decoder } from '../operators/decode.ts';
import { BLOCK, EventColumns, FLAG } from '../operators/event-columns.ts';
import { TARGETS } from '../operators/field-reader.ts';
import type { NativeDecoder } from '../operators/native-decoder.ts';
import type { SeededHash } from '../state/hash.ts';
import type { IdBlock } from '../state/id-block.ts';
import { type ByteRef, type RecordBatch, type RecordRun, RecordView, type Stream } from './types.ts';

export { BLOCK } from '../operators/event-columns.ts';

const NOTHING = new Uint8Array(0);

export class IngestBlock {
  /** Of records 0 to `size - 1`. */
  size = 0;
  /** Kafka time of the oldest; Infinity without one. */
  oldestMs = Number.POSITIVE_INFINITY;
  /** Kafka time of the last; NaN without one. */
  lastMs = Number.NaN;
  /** 0 for a record that is good; of others only `record` means anything. */
  readonly reasons = new Uint8Array(BLOCK);
  /** Others after each time it is filled, and valid until any block is, as is all that is read of a record. */
  columns: EventColumns;
  #run: RecordRun | null = null;
  readonly #view = new RecordView();
  readonly #events: DecodedEvent[];
  readonly #ref: ByteRef = { bytes: new Uint8Array(0), start: 0, end: 0 };
  readonly #stream: Stream;
  readonly #decoder: Decoder;
  readonly #native: NativeDecoder | null;
  readonly #hash: SeededHash;

  constructor(stream: Stream, decoder: Decoder, hash: SeededHash) {
    this.#stream = stream;
    this.#decoder = decoder;
    this.#native = decoder.native(hash);
    this.#hash = hash;
    this.columns = this.#native?.columns ?? new EventColumns();
    this.#events = Array.from({ length: BLOCK }, () => new DecodedEvent());
  }

  /** Takes the next records of a batch; false when there are none. */
  fill(batch: RecordBatch): boolean {
    const run = batch.take(BLOCK);
    if (run === null) return false;
    const { from, size, timesMs } = run;
    this.#run = run;
    this.size = size;
    this.reasons.fill(0);
    const sure = this.#native === null ? 0 : this.#native.read(run);
    if (this.#native !== null) this.columns = this.#native.columns;
    if (sure < size) this.#readUnsure();
    let oldestMs = Number.POSITIVE_INFINITY;
    for (let at = from; at < from + size; at++) {
      if (timesMs[at] < oldestMs) oldestMs = timesMs[at];
    }
    this.oldestMs = oldestMs;
    this.lastMs = timesMs[from + size - 1];
    return true;
  }

  /** What the spans of sure records are of. */
  get bytes(): Uint8Array {
    return this.#native?.bytes ?? NOTHING;
  }

  /** Record `i` as it lies in its batch; valid until the next call. */
  record(i: number): RecordView {
    const view = this.#view;
    if (this.#run !== null) view.read(this.#run, this.#run.from + i);
    return view;
  }

  /** All that good record `i` says. */
  event(i: number): DecodedEvent {
    const event = this.#events[i];
    if ((this.columns.flags[i] & FLAG.sure) !== 0) this.#native?.event(i, event);
    return event;
  }

  /** The campaigns or experiments of all records with their hashes; nothing for those that compiled code was not sure of. Valid until the next block. */
  entities(into: IdBlock): void {
    const { entities, texts } = this.columns;
    const { starts, ends } = texts[TARGETS.entityId];
    into.bytes = this.bytes;
    into.size = this.size;
    into.starts = starts;
    into.ends = ends;
    for (let i = 0; i < this.size; i++) into.hashes[i] = entities.los[i];
  }

  /** Its campaign or experiment; valid until the next call. */
  entity(i: number): ByteRef {
    return this.#text(i, TARGETS.entityId);
  }

  /** Where there are units; valid until the next call. */
  variant(i: number): ByteRef {
    return this.#text(i, TARGETS.variantId);
  }

  /** The same. */
  unit(i: number): ByteRef {
    return this.#text(i, TARGETS.unitId);
  }

  /** The JSON text of an exposure's attributes, where it has any; valid until the next call. */
  attributes(i: number): ByteRef {
    const { flags, attributes } = this.columns;
    if (this.#native === null || (flags[i] & FLAG.sure) === 0) return this.#events[i].attributes;
    const ref = this.#ref;
    ref.bytes = this.#native.bytes;
    ref.start = attributes.starts[i];
    ref.end = attributes.ends[i];
    return ref;
  }

  /** The surface of one that has one; valid until the next call. */
  surface(i: number): ByteRef {
    return this.#text(i, TARGETS.surface);
  }

  #text(i: number, target: number): ByteRef {
    if ((this.columns.flags[i] & FLAG.sure) === 0) return this.#events[i].texts[target];
    this.#native?.text(i, target, this.#ref);
    return this.#ref;
  }

  /** Records that compiled code was not sure of. */
  #readUnsure(): void {
    const { columns, reasons } = this;
    for (let i = 0; i < this.size; i++) {
      if ((columns.flags[i] & FLAG.sure) !== 0) continue;
      const event = this.#events[i];
      reasons[i] = this.#decoder.decode(this.record(i), event);
      if (reasons[i] === 0) columns.set(i, this.#stream, event, this.#hash);
    }
  }
}
