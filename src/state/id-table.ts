/**
 * Ids by number, from 1 on, and numbers by id. Of one that is looked up two lines of the cache are read, mostly: one of slots that are
 * four bytes each, and one of its row, in which a short id lies as a whole. It grows a little with each new id.
 */
import { ID_BLOCK, type IdBlock } from './id-block.ts';
import { IdBytes, type IdRef } from './id-bytes.ts';
import { lastViewOf, viewOf } from './last-view.ts';

/** Of a row: hash, head, and inside the bytes of a short id, then zeros, or where those of a longer one are. Row 0 is nobody's. */
const ROW_WORDS = 16;
const INSIDE = 2;
const SHORT_BYTES = 4 * (ROW_WORDS - INSIDE);
/**
 * A head is the length of the id, and of one that is framed this bit and its first byte, as the highest of the head: what follows lies
 * behind it, where words begin. Framed is a byte with the length of what is inside, that, and a zero.
 */
const FRAMED = 1 << 23;
const LENGTH = FRAMED - 1;
const FIRST_SHIFT = 24;
const FIRST_SLOTS = 8;
/** Of the slots: when so many are taken larger ones are begun, and before there are as many ids as rows those are full. */
const LOAD = 1 / 2;
const ROWS = 5 / 8;
/** Put into the larger ones with each new id. */
const MOVED_EACH = 8;
/** Below this it is in the cache by itself. */
const WARMED_FROM = 4096;
/** Of a block of ids. */
const numbers = new Int32Array(ID_BLOCK);

interface Places {
  /** The number of an id, and above it the hash as far as the slot does not tell it; 0 in an empty one. */
  slots: Int32Array;
  rows: Int32Array;
  /** Of the rows. */
  view: DataView;
}

export class IdTable {
  #size = 0;
  #slots: Int32Array;
  #rows: Int32Array;
  #view: DataView;
  /** Larger ones, with the first `#moved` ids. Those in use have all. */
  #next: Places | null = null;
  #moved = 0;
  readonly #long = new IdBytes();

  constructor() {
    ({ slots: this.#slots, rows: this.#rows, view: this.#view } = makePlaces(FIRST_SLOTS));
  }

  /** The number of the last. */
  get size(): number {
    return this.#size;
  }

  get byteLength(): number {
    const next = this.#next === null ? 0 : this.#next.slots.byteLength + this.#next.rows.byteLength;
    return this.#slots.byteLength + this.#rows.byteLength + next + this.#long.byteLength;
  }

  /** Where the bytes of an id lie, into `ref`: not to be changed. */
  refer(number: number, ref: IdRef): void {
    const at = ROW_WORDS * number;
    const head = this.#rows[at + 1];
    if (isShort(head)) {
      ref.view = this.#view;
      ref.start = 4 * (at + INSIDE) - outsideOf(head);
      ref.end = ref.start + (head & LENGTH);
    } else {
      this.#long.refer(this.#rows[at + INSIDE], head & LENGTH, ref);
    }
  }

  /** The number of an id with this hash, 0 when there is none. */
  find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let place = hash & mask; slots[place] !== 0; place = (place + 1) & mask) {
      if (((slots[place] ^ hash) & ~mask) === 0 && this.#is(slots[place] & mask, lastViewOf(bytes), start, end)) return slots[place] & mask;
    }
    return 0;
  }

  /** The number of the id in which, framed, these bytes are, by its hash. */
  findFramed(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let place = hash & mask; slots[place] !== 0; place = (place + 1) & mask) {
      if (((slots[place] ^ hash) & ~mask) === 0 && this.#isFramed(slots[place] & mask, lastViewOf(bytes), start, end))
        return slots[place] & mask;
    }
    return 0;
  }

  /** The same of a block: indices, which are one less, for all but empty ones and those longer than `longest`, of which they are -1. */
  findAllFramed({ bytes, size, starts, ends, hashes, indices }: IdBlock, longest: number): number {
    const read = this.warm(hashes, size);
    const rows = this.#rows;
    const theirs = lastViewOf(bytes);
    for (let i = 0; i < size; i++) {
      const start = starts[i];
      const end = ends[i];
      const at = ROW_WORDS * numbers[i];
      if (start === end || end - start > longest) indices[i] = -1;
      else if (rows[at + 1] === shortHeadOf(end - start) && holds(rows, at + INSIDE, theirs, start, end)) indices[i] = numbers[i] - 1;
      else indices[i] = this.findFramed(hashes[i], bytes, start, end) - 1;
    }
    return read;
  }

  /**
   * Finds the first number of each hash, or 0, and reads its row, so that it waits in the cache. Each loop asks memory for one thing of
   * all of them, so that it is waited for once and not for each. What it returns means nothing.
   */
  warm(hashes: Int32Array, size: number): number {
    const slots = this.#slots;
    const rows = this.#rows;
    const mask = slots.length - 1;
    const isLarge = this.#size > WARMED_FROM;
    let read = 0;
    if (isLarge) for (let i = 0; i < size; i++) read ^= slots[hashes[i] & mask];
    for (let i = 0; i < size; i++) {
      const hash = hashes[i];
      let place = hash & mask;
      while (((slots[place] ^ hash) & ~mask) !== 0 && slots[place] !== 0) place = (place + 1) & mask;
      numbers[i] = slots[place] & mask;
    }
    if (isLarge) for (let i = 0; i < size; i++) read ^= rows[ROW_WORDS * numbers[i]];
    return read;
  }

  /**
   * Gives the next number to an id that is not there; false where the bytes of a long one have no room below `mostBytes`. Throws
   * RangeError where the system gives no memory; it can be asked again after both.
   */
  add(hash: number, id: Uint8Array, mostBytes: number): boolean {
    const number = this.#size + 1;
    if (this.#next === null && number > LOAD * this.#slots.length) this.#next = makePlaces(2 * this.#slots.length);
    const rows = this.#rows;
    const at = ROW_WORDS * number;
    const head = headOf(id);
    if (isShort(head)) {
      new Uint8Array(rows.buffer).set(id.subarray(outsideOf(head)), 4 * (at + INSIDE));
    } else {
      const kept = this.#long.keep(id, mostBytes);
      if (kept === -1) return false;
      rows[at + INSIDE] = kept;
    }
    rows[at] = hash;
    rows[at + 1] = head;
    put(this.#slots, hash, number);
    this.#size = number;
    if (this.#next !== null) this.#moveSome(this.#next);
    return true;
  }

  #is(number: number, theirs: DataView, start: number, end: number): boolean {
    const at = ROW_WORDS * number;
    const head = this.#rows[at + 1];
    if ((head & LENGTH) !== end - start) return false;
    if ((head & FRAMED) !== 0 && head >>> FIRST_SHIFT !== theirs.getUint8(start)) return false;
    return this.#holds(at, theirs, start + outsideOf(head), end);
  }

  #isFramed(number: number, theirs: DataView, start: number, end: number): boolean {
    const at = ROW_WORDS * number;
    return this.#rows[at + 1] === framedHeadOf(end - start) && this.#holds(at, theirs, start, end);
  }

  /** Whether bytes, as many as a row has inside and behind, are those. */
  #holds(at: number, theirs: DataView, start: number, end: number): boolean {
    const rows = this.#rows;
    const head = rows[at + 1];
    if (isShort(head)) return holds(rows, at + INSIDE, theirs, start, end);
    return this.#long.isAt(rows[at + INSIDE] + outsideOf(head), theirs, start, end);
  }

  /** Goes on filling the larger ones; the last step puts them in the place of the others. */
  #moveSome(next: Places): void {
    const { slots, rows } = next;
    const to = Math.min(this.#size, this.#moved + MOVED_EACH);
    for (let word = ROW_WORDS * (this.#moved + 1); word < ROW_WORDS * (to + 1); word++) rows[word] = this.#rows[word];
    while (this.#moved < to) put(slots, rows[ROW_WORDS * ++this.#moved], this.#moved);
    if (to < this.#size) return;
    this.#slots = slots;
    this.#rows = rows;
    this.#view = next.view;
    this.#next = null;
    this.#moved = 0;
  }
}

function makePlaces(slots: number): Places {
  const rows = new Int32Array((ROWS * slots + 1) * ROW_WORDS);
  return { slots: new Int32Array(slots), rows, view: viewOf(rows) };
}

function put(slots: Int32Array, hash: number, number: number): void {
  const mask = slots.length - 1;
  let place = hash & mask;
  while (slots[place] !== 0) place = (place + 1) & mask;
  slots[place] = (hash & ~mask) | number;
}

function headOf(id: Uint8Array): number {
  const isFramed = id.length >= 2 && id[0] === id.length - 2 && id[id.length - 1] === 0;
  return isFramed ? framedHeadOf(id[0]) : id.length;
}

/** The head of an id in which so many bytes are framed. */
const framedHeadOf = (length: number): number => (length + 2) | FRAMED | (length << FIRST_SHIFT);

/** The same where it is short, as nearly all are; nobody's otherwise. */
const shortHeadOf = (length: number): number => (length < SHORT_BYTES ? framedHeadOf(length) : -1);

/** Bytes of an id that lie before its row's inside: the first of a framed one. */
const outsideOf = (head: number): number => (head & FRAMED) / FRAMED;

const isShort = (head: number): boolean => (head & LENGTH) - outsideOf(head) <= SHORT_BYTES;

/** Whether words from there on are these bytes and then zeros. */
function holds(words: Int32Array, at: number, theirs: DataView, start: number, end: number): boolean {
  const last = end - 4;
  let from = start;
  let word = at;
  for (; from <= last; from += 4, word++) if (words[word] !== theirs.getInt32(from, true)) return false;
  if (from === end) return true;
  if (last >= start) return words[word] === theirs.getInt32(last, true) >>> (8 * (from - last));
  let few = 0;
  for (from = end - 1; from >= start; from--) few = (few << 8) | theirs.getUint8(from);
  return words[word] === few;
}
