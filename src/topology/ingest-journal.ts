/** What changes in an ingest state between two commits, written as it happens and read back in the same order. */

import { ADDED } from '../state/add-outcome.ts';
import { type ByteReader, ByteWriter } from '../state/bytes.ts';
import { KEYS_OF_BLOCK, type KeyBlock } from '../state/key-block.ts';
import type { SuspectVisitor } from './suspects.ts';
import type { ByteRef } from './types.ts';

const OP = {
  end: 0,
  dedup: 1,
  suspect: 2,
  unit: 3,
  touch: 4,
  watermark: 5,
  forgotten: 6,
  lossy: 7,
  variant: 8,
  endOfFormat2: 9,
  room: 10,
  unitsRoom: 11,
  dedupRun: 12,
  /** As suspects were kept before there were slices. */
  suspectRun: 13,
  slice: 14,
  slices: 15,
  olderSuspect: 16,
} as const;

/** Receives the changes. Buckets are numbers, experiments indices. */
export interface JournalVisitor {
  dedup(hi: number, lo: number, bucket: number): void;
  /** Of a bucket of theirs, whose width was that of the settings: from before there were slices. */
  suspect(hi: number, lo: number, bucket: number): void;
  /** Of a bucket of so many seconds. */
  olderSuspect(hi: number, lo: number, bucket: number, seconds: number): void;
  /** Of a slice, of so many seconds each. */
  suspectOfSlice(hi: number, lo: number, slice: number, seconds: number): void;
  unit(experiment: number, hi: number, lo: number, payload: number): void;
  touch(experiment: number, eventTs: number): void;
  /** The highest accepted event time. */
  watermark(highestEventTs: number): void;
  /** An experiment with its units and variants. */
  forgotten(experiment: number): void;
  lossy(): void;
  /** The next variant of an experiment, or one that is known. */
  variant(experiment: number, id: ByteRef): void;
  /** A snapshot begins: so many keys follow, of suspects those of which no slice is known. In order of the hash they would crowd in one place of a table that is too small for all. */
  room(dedupKeys: number, suspectKeys: number): void;
  /** And so many units of an experiment. */
  unitsRoom(experiment: number, units: number): void;
}

const SECOND_MS = 1000;
/** Slices of a block that are told by a byte. */
const MOST_DISTANT = 255;

export class IngestJournal implements Omit<JournalVisitor, 'suspect' | 'suspectOfSlice'>, SuspectVisitor {
  #out = new ByteWriter(64 * 1024);
  /** Holds the commit taken last. */
  #taken = new ByteWriter(64 * 1024);
  /** Of the keys of a block that were added: how far its slice is from the first. */
  readonly #distances = new Uint8Array(KEYS_OF_BLOCK);

  get empty(): boolean {
    return this.#out.length === 0;
  }

  dedup(hi: number, lo: number, bucket: number): void {
    this.#out.tagged(OP.dedup, hi, lo, bucket);
  }

  olderSuspect(hi: number, lo: number, bucket: number, seconds: number): void {
    this.#out.tagged(OP.olderSuspect, hi, lo, bucket);
    this.#out.varint(seconds);
  }

  /** Those of the block that were added. */
  dedupBlock(keys: KeyBlock, bucketMs: number): void {
    const { his, los, times, outcomes, size, added } = keys;
    if (added === 0) return;
    const bucket = keys.bucketOfAll(bucketMs);
    if (Number.isNaN(bucket)) {
      for (let i = 0; i < size; i++) if (outcomes[i] === ADDED) this.dedup(his[i], los[i], Math.floor(times[i] / bucketMs));
      return;
    }
    this.#out.u8(OP.dedupRun);
    this.#run(bucket, added);
    this.#out.beginOf(keys.addedBytes, 8 * added);
  }

  suspectBlock(keys: KeyBlock, sliceMs: number): void {
    if (keys.added === 0) return;
    const first = Math.floor(keys.earliestMs / sliceMs);
    const last = Math.floor(keys.latestMs / sliceMs);
    if (last === first) this.#slice({ slice: first, sliceMs }, keys.addedBytes, 0, keys.added);
    else if (last - first <= MOST_DISTANT) this.#slices(keys, first, sliceMs);
    else this.#sliceEach(keys, sliceMs);
  }

  #slices({ times, outcomes, size, added, addedBytes }: KeyBlock, first: number, sliceMs: number): void {
    const distances = this.#distances;
    const firstMs = first * sliceMs;
    let key = 0;
    for (let i = 0; i < size; i++) {
      // Written also where it is not kept.
      distances[key] = (times[i] - firstMs) / sliceMs;
      key += outcomes[i] === ADDED ? 1 : 0;
    }
    this.#out.u8(OP.slices);
    this.#out.varint(sliceMs / SECOND_MS);
    this.#run(first, added);
    this.#out.beginOf(distances, added);
    this.#out.beginOf(addedBytes, 8 * added);
  }

  #sliceEach({ times, outcomes, size, addedBytes }: KeyBlock, sliceMs: number): void {
    let key = 0;
    for (let i = 0; i < size; i++) {
      if (outcomes[i] !== ADDED) continue;
      this.#slice({ slice: Math.floor(times[i] / sliceMs), sliceMs }, addedBytes, key, key + 1);
      key++;
    }
  }

  /** Of these, keys `from` to `to`. */
  #slice({ slice, sliceMs }: { slice: number; sliceMs: number }, bytes: Uint8Array, from: number, to: number): void {
    this.#out.u8(OP.slice);
    this.#out.varint(sliceMs / SECOND_MS);
    this.#run(slice, to - from);
    this.#out.bytes(bytes, 8 * from, 8 * to);
  }

  suspectsOfSlice({ slice, sliceMs }: { slice: number; sliceMs: number }, words: Int32Array, keys: number): void {
    this.#slice({ slice, sliceMs }, new Uint8Array(words.buffer, words.byteOffset, 8 * keys), 0, keys);
  }

  unit(experiment: number, hi: number, lo: number, payload: number): void {
    this.#out.u8(OP.unit);
    this.#out.varint(experiment);
    this.#out.i32(hi);
    this.#out.i32(lo);
    this.#out.u16(payload);
  }

  touch(experiment: number, eventTs: number): void {
    this.#out.u8(OP.touch);
    this.#out.varint(experiment);
    this.#out.varint(eventTs);
  }

  watermark(highestEventTs: number): void {
    this.#out.u8(OP.watermark);
    this.#out.varint(highestEventTs);
  }

  forgotten(experiment: number): void {
    this.#out.u8(OP.forgotten);
    this.#out.varint(experiment);
  }

  lossy(): void {
    this.#out.u8(OP.lossy);
  }

  variant(experiment: number, { bytes, start, end }: ByteRef): void {
    this.#out.u8(OP.variant);
    this.#out.varint(experiment);
    this.#out.varint(end - start);
    this.#out.bytes(bytes, start, end);
  }

  room(dedupKeys: number, suspectKeys: number): void {
    this.#out.u8(OP.room);
    this.#out.varint(dedupKeys);
    this.#out.varint(suspectKeys);
  }

  unitsRoom(experiment: number, units: number): void {
    this.#out.u8(OP.unitsRoom);
    this.#out.varint(experiment);
    this.#out.varint(units);
  }

  /** Ends the changes; what else a commit says goes behind them, before `take`. */
  end(): ByteWriter {
    this.#out.u8(OP.endOfFormat2);
    return this.#out;
  }

  /** What was written, valid until the next `take`, and begins the next journal. A copy of every second's would be garbage of 20 MB. */
  take(): Uint8Array {
    const out = this.#out;
    this.#out = this.#taken;
    this.#out.reset();
    this.#taken = out;
    return out.view();
  }

  #run(bucket: number, keys: number): void {
    this.#out.varint(bucket);
    this.#out.varint(keys);
  }
}

/** A few ms, even where each misses the cache. */
const CHANGES_A_STEP = 32_768;

/**
 * Reads up to where `end` was written, or as many changes as make a step. Null while there are more; then the format of what
 * follows: 1 has six kinds of cells, 2 names them.
 */
export function readJournal(from: ByteReader, to: JournalVisitor): 1 | 2 | null {
  for (let left = CHANGES_A_STEP; left > 0; left--) {
    const op = from.u8();
    if (op === OP.end) return 1;
    if (op === OP.endOfFormat2) return 2;
    if (op === OP.dedup) to.dedup(from.u32(), from.u32(), from.varint());
    else if (op === OP.suspect) to.suspect(from.u32(), from.u32(), from.varint());
    else if (op === OP.dedupRun) left -= eachOf(from, (hi, lo, bucket) => to.dedup(hi, lo, bucket));
    else if (op === OP.olderSuspect) to.olderSuspect(from.u32(), from.u32(), from.varint(), from.varint());
    else if (op === OP.suspectRun) left -= eachOf(from, (hi, lo, bucket) => to.suspect(hi, lo, bucket));
    else if (op === OP.slice || op === OP.slices) left -= slicesOf(from, op === OP.slice, to);
    else if (op === OP.unit) to.unit(from.varint(), from.u32(), from.u32(), from.u16());
    else if (op === OP.touch) to.touch(from.varint(), from.varint());
    else if (op === OP.watermark) to.watermark(from.varint());
    else if (op === OP.forgotten) to.forgotten(from.varint());
    else if (op === OP.lossy) to.lossy();
    else if (op === OP.variant) to.variant(from.varint(), byteRefOf(from));
    else if (op === OP.room) to.room(from.varint(), from.varint());
    else if (op === OP.unitsRoom) to.unitsRoom(from.varint(), from.varint());
    else throw new RangeError(`an unknown change ${op} in a commit`);
  }
  return null;
}

/** Reads a run of keys of one bucket; returns how many it has beyond one. */
const eachOf = (from: ByteReader, tell: (hi: number, lo: number, bucket: number) => void): number => {
  const bucket = from.varint();
  const keys = from.varint();
  for (let i = 0; i < keys; i++) tell(from.u32(), from.u32(), bucket);
  return keys - 1;
};

/** The same of suspects, of one slice or of several. */
const slicesOf = (from: ByteReader, isOne: boolean, to: JournalVisitor): number => {
  const seconds = from.varint();
  const first = from.varint();
  const keys = from.varint();
  const distances = Array.from({ length: isOne ? 0 : keys }, () => from.u8());
  for (let i = 0; i < keys; i++) to.suspectOfSlice(from.u32(), from.u32(), first + (isOne ? 0 : distances[i]), seconds);
  return keys - 1;
};

const byteRefOf = (from: ByteReader): ByteRef => {
  const bytes = from.bytes(from.varint());
  return { bytes, start: 0, end: bytes.length };
};
