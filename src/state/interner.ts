/** Byte strings that repeat (ids) as small integers, given in order of appearance. Compared byte for byte. */
import { StreamError } from '../errors.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import type { SeededHash } from './hash.ts';
import type { IdBlock } from './id-block.ts';
import { type IdRef, noRef } from './id-bytes.ts';
import { IdTable } from './id-table.ts';
import { NO_VIEW } from './last-view.ts';

export { type IdRef, noRef } from './id-bytes.ts';

/** Where a long one begins is a signed word of the table. */
const MOST_BYTES = 2 ** 31;

/** 32 bits that spread the ids; the same for the same id in every run. */
export type HashOfId = (bytes: Uint8Array, start: number, end: number) => number;

export class Interner {
  readonly #hashOf: HashOfId;
  readonly #maxIds: number;
  readonly #tooMany: (maxIds: number) => StreamError;
  readonly #maxBytes: number;
  readonly #table = new IdTable();
  #written = 0;

  /**
   * @param maxIds how many distinct ids are taken before `tooMany` is thrown (StreamError too_many_ids)
   * @param maxBytes of all longer ids together, before the same is
   */
  constructor(hash: SeededHash | HashOfId, maxIds: number, tooMany = tooManyIds, maxBytes = MOST_BYTES) {
    this.#hashOf = typeof hash === 'function' ? hash : hashWith(hash);
    this.#maxIds = maxIds;
    this.#tooMany = tooMany;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#table.size;
  }

  get byteLength(): number {
    return this.#table.byteLength;
  }

  /** The bytes of an id; not to be changed. */
  bytesOf(index: number): Uint8Array {
    this.refer(index, own);
    const { view, start, end } = own;
    own.view = NO_VIEW;
    return new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset + start, end - start);
  }

  /** The same, into `ref`: makes nothing. */
  refer(index: number, ref: IdRef): void {
    this.#table.refer(index + 1, ref);
  }

  intern(bytes: Uint8Array, start: number, end: number): number {
    return this.internHashed(this.#hashOf(bytes, start, end), bytes, start, end);
  }

  /**
   * Puts the hashes of a block of ids into it, for `internHashed`, and reads what that will: of all of them at once, so that memory is
   * waited for once. What it returns means nothing.
   */
  hashAll({ bytes, size, starts, ends, hashes }: IdBlock): number {
    for (let i = 0; i < size; i++) hashes[i] = this.#hashOf(bytes, starts[i], ends[i]);
    return this.#table.warm(hashes, size);
  }

  /** The same for who knows the id's hash. */
  internHashed(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const index = this.find(hash, bytes, start, end);
    return index === -1 ? this.#enter(hash | 0, bytes.subarray(start, end)) : index;
  }

  /** The index of an id with this hash, -1 when there is none. */
  find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    return this.#table.find(hash, bytes, start, end) - 1;
  }

  /**
   * Puts the indices of the ids into the block in which, framed, these bytes are; -1 where there is none, and for empty ones and those
   * longer than `longest`. What it returns means nothing.
   */
  findAllFramed(block: IdBlock, longest: number): number {
    return this.#table.findAllFramed(block, longest);
  }

  /** The index of one, by the hash of what is framed. */
  findFramed(hash: number, bytes: Uint8Array, start: number, end: number): number {
    return this.#table.findFramed(hash, bytes, start, end) - 1;
  }

  /** All ids are to be written again. */
  rewind(): void {
    this.#written = 0;
  }

  /** Writes the ids that are new since the last call: their number, then each with its length. */
  writeNew(to: ByteWriter): void {
    to.varint(this.size - this.#written);
    for (; this.#written < this.size; this.#written++) {
      const id = this.bytesOf(this.#written);
      to.varint(id.length);
      to.bytes(id);
    }
  }

  /** Enters what writeNew wrote, in the same order. */
  readNew(from: ByteReader): void {
    for (let left = from.varint(); left > 0; left--) {
      const id = from.bytes(from.varint());
      this.intern(id, 0, id.length);
    }
    this.#written = this.size;
  }

  #enter(hash: number, id: Uint8Array): number {
    const index = this.size;
    if (index >= this.#maxIds) throw this.#tooMany(this.#maxIds);
    try {
      if (!this.#table.add(hash, id, this.#maxBytes)) throw tooManyBytes(this.#maxBytes);
    } catch (error) {
      throw error instanceof RangeError ? memoryRefused(error) : error;
    }
    return index;
  }
}

/** Of `bytesOf`. */
const own = noRef();

const hashWith =
  (hash: SeededHash): HashOfId =>
  (bytes, start, end) => {
    hash.bytes(bytes, start, end);
    return hash.lo;
  };

const tooManyIds = (maxIds: number): StreamError =>
  new StreamError(
    'too_many_ids',
    `more than ${maxIds} distinct ids in one partition: raise limits.maxIds, or find the producer that makes them up`,
  );

const tooManyBytes = (maxBytes: number): StreamError =>
  new StreamError('too_many_ids', `the long ids of one partition have more than ${maxBytes} bytes: find the producer that makes them up`);

const memoryRefused = (cause: RangeError): StreamError =>
  new StreamError(
    'state_memory_full',
    'The ids of one partition need more memory than this process can have. Nothing was evicted. ' +
      'Give it more memory, use more partitions, or find the producer that makes ids up.',
    { cause },
  );
