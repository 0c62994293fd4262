/**
 * Byte strings that repeat (ids) as small integers, given in order of appearance. Compared byte for byte, kept one behind the other. It
 * grows a little at a time: a table of a million that is made anew in one go takes a tenth of a second.
 */
import { StreamError } from '../errors.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import type { SeededHash } from './hash.ts';
import { ID_BLOCK, type IdBlock } from './id-block.ts';
import { lastViewOf, viewOf } from './last-view.ts';

/** Of a slot: hash, index + 1 (0 is an empty one), start of the bytes, and their length with `FRAMED`. */
const SLOT_WORDS = 4;
/** Beside the length of an id that is framed: a byte with the length of what is inside, that, and a zero. */
const FRAMED = 1 << 30;
const FIRST_SLOTS = 8;
const FIRST_BYTES = 64;
/** Bytes of ids lie in pieces of that size, each id in one; the first grows up to it. */
const PIECE_SHIFT = 20;
const PIECE_BYTES = 1 << PIECE_SHIFT;
/** Where one begins is a signed word of a slot. */
const MOST_BYTES = 2 ** 31;
/** Of the slots before the last growth, moved with each new id: all, before there is a next one. */
const MOVED_EACH = 16;
/** Below this it is in the cache by itself. */
const WARMED_FROM = 4096;
const NO_SLOTS = new Int32Array(0);
/** Of a block of ids. */
const firsts = new Int32Array(ID_BLOCK);

/** Where an id lies in what a view shows. */
export interface IdRef {
  view: DataView;
  start: number;
  end: number;
}

/** 32 bits that spread the ids; the same for the same id in every run. */
export type HashOfId = (bytes: Uint8Array, start: number, end: number) => number;

export class Interner {
  readonly #hashOf: HashOfId;
  readonly #maxIds: number;
  readonly #tooMany: (maxIds: number) => StreamError;
  readonly #maxBytes: number;
  #size = 0;
  #slots = new Int32Array(FIRST_SLOTS * SLOT_WORDS);
  /** Those before the last growth, until all are moved; they stay as they are. */
  #old = NO_SLOTS;
  #moved = 0;
  readonly #pieces: Uint8Array[] = [new Uint8Array(FIRST_BYTES)];
  /** Of the same bytes. */
  readonly #views: DataView[] = this.#pieces.map(viewOf);
  #bytesUsed = 0;
  /** Start and end of each id, over all pieces. */
  #spans = new Uint32Array(2 * FIRST_SLOTS);
  #written = 0;

  /**
   * @param maxIds how many distinct ids are taken before `tooMany` is thrown (StreamError too_many_ids)
   * @param maxBytes of all ids together, before the same is
   */
  constructor(hash: SeededHash | HashOfId, maxIds: number, tooMany = tooManyIds, maxBytes = MOST_BYTES) {
    this.#hashOf = typeof hash === 'function' ? hash : hashWith(hash);
    this.#maxIds = maxIds;
    this.#tooMany = tooMany;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    const bytes = (this.#pieces.length - 1) * PIECE_BYTES + this.#pieces[0].length;
    return bytes + this.#spans.byteLength + this.#slots.byteLength + this.#old.byteLength;
  }

  /** The bytes of an id; not to be changed. */
  bytesOf(index: number): Uint8Array {
    const start = this.#spans[2 * index];
    const from = start & (PIECE_BYTES - 1);
    return this.#pieces[start >>> PIECE_SHIFT].subarray(from, from + this.#spans[2 * index + 1] - start);
  }

  /** The same, into `ref`: makes nothing. */
  refer(index: number, ref: IdRef): void {
    const start = this.#spans[2 * index];
    ref.view = this.#views[start >>> PIECE_SHIFT];
    ref.start = start & (PIECE_BYTES - 1);
    ref.end = ref.start + this.#spans[2 * index + 1] - start;
  }

  intern(bytes: Uint8Array, start: number, end: number): number {
    return this.internHashed(this.#hashOf(bytes, start, end), bytes, start, end);
  }

  /**
   * Puts the hashes of a block of ids into it, for `internHashed`, and reads what that will: of all of them at once, so that memory is
   * waited for once. What it returns means nothing.
   */
  hashAll({ bytes, size, starts, ends, hashes }: IdBlock): number {
    let read = 0;
    for (let i = 0; i < size; i++) hashes[i] = this.#hashOf(bytes, starts[i], ends[i]);
    for (let i = 0; i < size; i++) read ^= this.#warm(hashes[i]);
    for (let i = 0; i < size; i++) read ^= this.#warmId(this.#firstWith(hashes[i]));
    return read;
  }

  /** The same for who knows the id's hash. */
  internHashed(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const index = this.find(hash, bytes, start, end);
    return index === -1 ? this.#enter(hash | 0, bytes.subarray(start, end)) : index;
  }

  /** The index of an id with this hash, -1 when there is none. */
  find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const word = hash | 0;
    for (let slots = this.#slots; ; slots = this.#old) {
      for (let slot = slotOf(slots, word); slots[slot + 1] !== 0; slot = after(slots, slot)) {
        if (slots[slot] !== word || (slots[slot + 3] & ~FRAMED) !== length) continue;
        if (this.#isAt(slots[slot + 2], lastViewOf(bytes), start, end)) return slots[slot + 1] - 1;
      }
      if (slots === this.#old || this.#old.length === 0) return -1;
    }
  }

  /**
   * Puts the indices of the ids into the block in which, framed, these bytes are; -1 where there is none, and for empty ones and those
   * longer than `longest`. Each loop asks memory for one thing of all ids, so that it is waited for once and not for each.
   */
  findAllFramed({ bytes, size, starts, ends, hashes, indices }: IdBlock, longest: number): number {
    const slots = this.#slots;
    const isLarge = this.#size > WARMED_FROM;
    let read = 0;
    if (isLarge) for (let i = 0; i < size; i++) read ^= this.#warm(hashes[i]);
    for (let i = 0; i < size; i++) firsts[i] = this.#firstWith(hashes[i]);
    if (isLarge) for (let i = 0; i < size; i++) read ^= this.#warmId(firsts[i]);
    const theirs = lastViewOf(bytes);
    for (let i = 0; i < size; i++) {
      const start = starts[i];
      const end = ends[i];
      if (start === end || end - start > longest) indices[i] = -1;
      else if (this.#isFramed(firsts[i], theirs, start, end)) indices[i] = slots[firsts[i] + 1] - 1;
      else indices[i] = this.findFramed(hashes[i], bytes, start, end);
    }
    return read;
  }

  /** The index of one, by the hash of what is framed. */
  findFramed(word: number, bytes: Uint8Array, start: number, end: number): number {
    const theirs = lastViewOf(bytes);
    for (let slots = this.#slots; ; slots = this.#old) {
      for (let slot = slotOf(slots, word); slots[slot + 1] !== 0; slot = after(slots, slot)) {
        if (slots[slot] === word && this.#isFramed(slot, theirs, start, end, slots)) return slots[slot + 1] - 1;
      }
      if (slots === this.#old || this.#old.length === 0) return -1;
    }
  }

  /** All ids are to be written again. */
  rewind(): void {
    this.#written = 0;
  }

  /** Writes the ids that are new since the last call: their number, then each with its length. */
  writeNew(to: ByteWriter): void {
    to.varint(this.#size - this.#written);
    for (; this.#written < this.#size; this.#written++) {
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
    this.#written = this.#size;
  }

  /** Reads the slot of a hash, so that it waits in the cache. The result means nothing. */
  #warm(hash: number): number {
    return this.#slots[slotOf(this.#slots, hash)];
  }

  /** The same of the bytes of the id in that slot. */
  #warmId(slot: number): number {
    const at = this.#slots[slot + 2];
    return this.#pieces[at >>> PIECE_SHIFT][at & (PIECE_BYTES - 1)];
  }

  /** The slot of the first id with this hash, or an empty one. */
  #firstWith(word: number): number {
    const slots = this.#slots;
    let slot = slotOf(slots, word);
    while (slots[slot] !== word && slots[slot + 1] !== 0) slot = after(slots, slot);
    return slot;
  }

  #isFramed(slot: number, theirs: DataView, start: number, end: number, slots = this.#slots): boolean {
    return slots[slot + 3] === ((end - start + 2) | FRAMED) && this.#isAt(slots[slot + 2] + 1, theirs, start, end);
  }

  /** Four bytes at a time; of the last four some may come twice. */
  #isAt(at: number, theirs: DataView, start: number, end: number): boolean {
    const own = this.#views[at >>> PIECE_SHIFT];
    const from = at & (PIECE_BYTES - 1);
    const last = end - start - 4;
    for (let i = 0; i < last; i += 4) if (own.getInt32(from + i, true) !== theirs.getInt32(start + i, true)) return false;
    if (last >= 0) return own.getInt32(from + last, true) === theirs.getInt32(start + last, true);
    for (let i = start, j = from; i < end; i++, j++) if (own.getUint8(j) !== theirs.getUint8(i)) return false;
    return true;
  }

  #enter(hash: number, id: Uint8Array): number {
    const index = this.#size;
    if (index >= this.#maxIds) throw this.#tooMany(this.#maxIds);
    const start = this.#keep(id);
    if (2 * index === this.#spans.length) this.#spans = grown(this.#spans);
    this.#spans[2 * index] = start;
    this.#spans[2 * index + 1] = start + id.length;
    entry.set([hash, index + 1, start, isFramed(id) ? id.length | FRAMED : id.length]);
    put(this.#slots, entry, 0);
    this.#size++;
    this.#moveSome();
    if (2 * SLOT_WORDS * this.#size > this.#slots.length) {
      this.#old = this.#slots;
      this.#moved = 0;
      this.#slots = new Int32Array(2 * this.#old.length);
    }
    return index;
  }

  /** Copies the bytes of an id, and returns where they are. Throws StreamError too_many_ids. */
  #keep(id: Uint8Array): number {
    const left = PIECE_BYTES - (this.#bytesUsed & (PIECE_BYTES - 1));
    const start = id.length > left ? this.#bytesUsed + left : this.#bytesUsed;
    if (id.length > PIECE_BYTES || start + id.length > this.#maxBytes) throw tooManyBytes(this.#maxBytes);
    const number = start >>> PIECE_SHIFT;
    const from = start & (PIECE_BYTES - 1);
    if (number === this.#pieces.length) this.#pieces.push(new Uint8Array(PIECE_BYTES));
    while (from + id.length > this.#pieces[number].length) this.#pieces[number] = grown(this.#pieces[number]);
    if (this.#views[number]?.byteLength !== this.#pieces[number].length) this.#views[number] = viewOf(this.#pieces[number]);
    this.#pieces[number].set(id, from);
    this.#bytesUsed = start + id.length;
    return start;
  }

  #moveSome(): void {
    const old = this.#old;
    if (old.length === 0) return;
    const to = Math.min(old.length, this.#moved + MOVED_EACH * SLOT_WORDS);
    for (let at = this.#moved; at < to; at += SLOT_WORDS) {
      if (old[at + 1] !== 0) put(this.#slots, old, at);
    }
    this.#moved = to;
    if (to === old.length) this.#old = NO_SLOTS;
  }
}

const slotOf = (slots: Int32Array, hash: number): number => (Math.imul(hash, SLOT_WORDS) & (slots.length - 1)) >>> 0;

const after = (slots: Int32Array, slot: number): number => (slot + SLOT_WORDS) & (slots.length - 1);

const entry = new Int32Array(SLOT_WORDS);

/** Enters what stands at `at` of some other slots, an id that is not there. */
function put(slots: Int32Array, from: Int32Array, at: number): void {
  let slot = slotOf(slots, from[at]);
  while (slots[slot + 1] !== 0) slot = after(slots, slot);
  for (let i = 0; i < SLOT_WORDS; i++) slots[slot + i] = from[at + i];
}

const isFramed = (id: Uint8Array): boolean => id.length >= 2 && id[0] === id.length - 2 && id[id.length - 1] === 0;

function grown<A extends Uint8Array | Uint32Array>(array: A): A {
  const longer = new (array.constructor as new (length: number) => A)(2 * array.length);
  longer.set(array);
  return longer;
}

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
  new StreamError('too_many_ids', `the ids of one partition have more than ${maxBytes} bytes: find the producer that makes them up`);
