import { type ColumnRoom, RECORD_BYTES } from '../../operators/decoder-memory.ts';
import type { RecordRun } from '../types.ts';
import type { OpenBatch } from './record-set.ts';

const FIRST_CAPACITY = 64;
/** Of a null key or value. */
const NULL_SPAN = -1;

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
  #offsets: Float64Array;
  #timesMs: Float64Array;
  #keys: Int32Array;
  #values: Int32Array;
  /** The first for records of nothing but nulls. */
  readonly #stretches: Stretch[] = [{ bytes: new Uint8Array(0), from: 0 }];

  /** Null once they have grown beyond it, and where they never lay in any. */
  #room: ColumnRoom | null;

  /** @param capacity how many records are expected, @param room where they are to lie, for as many */
  constructor(capacity = FIRST_CAPACITY, room: ColumnRoom | null = null) {
    const buffer = room?.memory.buffer ?? new ArrayBuffer(capacity * RECORD_BYTES);
    const at = room?.at ?? 0;
    this.#offsets = new Float64Array(buffer, at, capacity);
    this.#timesMs = new Float64Array(buffer, at + 8 * capacity, capacity);
    this.#keys = new Int32Array(buffer, at + 16 * capacity, 2 * capacity);
    this.#values = new Int32Array(buffer, at + 24 * capacity, 2 * capacity);
    this.#room = room;
  }

  get size(): number {
    return this.#size;
  }

  /** Records that find room before memory is taken anew. */
  get capacity(): number {
    return this.#offsets.length;
  }

  /** Whether they lie in somebody's memory, and not in their own. */
  get isGuest(): boolean {
    return this.#room !== null;
  }

  /** The records that are added from here on lie in `bytes`. */
  lieIn(bytes: Uint8Array): void {
    if (this.#stretches[this.#stretches.length - 1].bytes !== bytes) this.#stretches.push({ bytes, from: this.#size });
  }

  /** Begins a record, with null key and null value. */
  add(offset: number, timestampMs: number): void {
    const at = this.#size++;
    if (at === this.capacity) this.#grow();
    this.#offsets[at] = offset;
    this.#timesMs[at] = timestampMs;
    this.#keys[2 * at] = NULL_SPAN;
    this.#values[2 * at] = NULL_SPAN;
  }

  /** Of the record begun last. */
  key(start: number, end: number): void {
    const at = 2 * this.#size - 2;
    this.#keys[at] = start;
    this.#keys[at + 1] = end;
  }

  value(start: number, end: number): void {
    const at = 2 * this.#size - 2;
    this.#values[at] = start;
    this.#values[at + 1] = end;
  }

  /** Adds the records of a batch from an offset on, by compiled code; false, and nothing added, where it cannot, or is not sure of the batch. */
  find(batch: OpenBatch, fromOffset: number): boolean {
    const room = this.#room;
    if (room === null || batch.bytes.buffer !== room.memory.buffer || batch.count > this.capacity - this.#size) return false;
    const found = room.memory.find(batch, fromOffset, room, this.#size);
    if (found < 0) return false;
    this.#size += found;
    return true;
  }

  /** Drops what was added since there were `size` records. */
  cutTo(size: number): void {
    this.#size = size;
    while (this.#stretches.length > 1 && this.#stretches[this.#stretches.length - 1].from >= size) this.#stretches.pop();
  }

  /**
   * Begins to read at record `at`, and reads on to before `to`, or where its stretch ends.
   * @param stretch where the one before was found, 0 for the first
   * @returns the stretch it was found in
   */
  run(at: number, to: number, stretch: number, into: RecordRun): number {
    let number = stretch;
    while (number + 1 < this.#stretches.length && this.#stretches[number + 1].from <= at) number++;
    const end = number + 1 < this.#stretches.length ? this.#stretches[number + 1].from : this.#size;
    into.bytes = this.#stretches[number].bytes;
    into.from = at;
    into.size = Math.min(to, end) - at;
    into.offsets = this.#offsets;
    into.timesMs = this.#timesMs;
    into.keys = this.#keys;
    into.values = this.#values;
    return number;
  }

  offset(at: number): number {
    return this.#offsets[at];
  }

  /** Bytes of key and value. */
  bytes(at: number): number {
    return lengthOf(this.#keys, at) + lengthOf(this.#values, at);
  }

  #grow(): void {
    this.#room = null;
    const capacity = Math.max(FIRST_CAPACITY, 2 * this.capacity);
    this.#offsets = grown(new Float64Array(capacity), this.#offsets);
    this.#timesMs = grown(new Float64Array(capacity), this.#timesMs);
    this.#keys = grown(new Int32Array(2 * capacity), this.#keys);
    this.#values = grown(new Int32Array(2 * capacity), this.#values);
  }
}

const lengthOf = (spans: Int32Array, at: number): number => (spans[2 * at] === NULL_SPAN ? 0 : spans[2 * at + 1] - spans[2 * at]);

function grown<Column extends Float64Array | Int32Array>(column: Column, from: Column): Column {
  column.set(from);
  return column;
}
