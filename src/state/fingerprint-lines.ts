/**
 * The slots of a fingerprint table: 8 bytes in two words each, eight to a line of the cache, which fills from its beginning. First
 * word: the bucket tag (6 bits, 0 in an empty slot) and 26 bits of the hash; second: its low 32 bits. The top 6 bits are not kept:
 * the table lies in order of the hash, in 64 regions, and a key less than a region behind its home, so where a slot lies tells them.
 */

export const TAG_SHIFT = 26;
export const FINGERPRINT_MASK = 2 ** TAG_SHIFT - 1;
/** Tag values 1 to 63; 0 is an empty slot. */
export const TAGS = 63;
/** Slots of a line. */
export const LINE = 8;
/** Index of a line → index of its first word. */
export const WORDS_SHIFT = 4;
export const LINE_WORDS = 2 * LINE;

const REGIONS = 64;
/** Hashes of a region, by their top 32 bits. */
const REGION = 2 ** TAG_SHIFT;
/** Absorbs the rounding of sums and divisions; far below a region. */
const ROUNDING = 1 / 16;

/** Which tags are of live buckets; entry 0 (an empty slot) is never. */
export type LiveTags = Uint8Array;
export type KeyVisitor = (hi: number, lo: number, tag: number) => void;

/** `enter`: into a slot that was empty, or over a key that has expired. */
export const TOOK_EMPTY = 1;
const TOOK_EXPIRED = 0;
/** `enter`: the key is there and live. */
export const IS_PRESENT = -1;
/** `enter`: absent, and the slots in reach of its home are taken. Rare, and with a hash that is one. */
export const NO_ROOM = -2;
export type Entered = typeof TOOK_EMPTY | typeof TOOK_EXPIRED | typeof IS_PRESENT | typeof NO_ROOM;

/** Keys on the way from one place to the other: the top of the hash and the two words of the slot each. Nothing else runs in between. */
let words = new Int32Array(3 * 1024);

/** Some lines of a table. */
export interface Stretch {
  from: number;
  /** Exclusive. */
  to: number;
  /** How many lines there were when its keys were placed. */
  lines: number;
}

/** Copies the live keys of a stretch away. Returns how many words that took, and how many slots were not empty. */
export function lift(slots: Int32Array, { from, to, lines }: Stretch, live: LiveTags): { lifted: number; used: number } {
  if (words.length < (to - from) * LINE * 3) words = new Int32Array((to - from) * LINE * 4);
  const target = words;
  let end = 0;
  let used = 0;
  for (let line = from; line < to; line++) {
    for (let i = line << WORDS_SHIFT; i < (line + 1) << WORDS_SHIFT; i += 2) {
      const first = slots[i];
      if (first === 0) break;
      used++;
      if (live[first >>> TAG_SHIFT] === 0) continue;
      target[end] = hashAt(line, first, lines);
      target[end + 1] = first;
      target[end + 2] = slots[i + 1];
      end += 3;
    }
  }
  return { lifted: end, used };
}

export interface Placing {
  /** Among how many lines. */
  nextLines: number;
  /** The most lines that a key may lie behind its home. */
  reach: number;
}

/** Puts what was lifted into the first empty slots from their homes on; returns how many. What finds none in reach is a stray. */
export function drop(slots: Int32Array, lifted: number, { nextLines, reach }: Placing, strays: KeyVisitor): number {
  const source = words;
  let placed = 0;
  for (let k = 0; k < lifted; k += 3) {
    const home = lineOf(source[k], nextLines) << WORDS_SHIFT;
    let i = home;
    while (slots[i] !== 0) i += 2;
    if (i >= home + (reach + 1) * LINE_WORDS) {
      strays(source[k] >>> 0, source[k + 2] >>> 0, source[k + 1] >>> TAG_SHIFT);
      continue;
    }
    slots[i] = source[k + 1];
    slots[i + 1] = source[k + 2];
    placed++;
  }
  return placed;
}

/** The line where a key belongs: floor(hi × lines / 2^32), exactly, though that may be of more bits than a number holds. */
export function lineOf(hi: number, lines: number): number {
  const low = Math.floor(((hi & 0xffff) * lines) / 2 ** 16);
  return Math.floor(((hi >>> 16) * lines + low) / 2 ** 16);
}

/** The lowest hash whose home is that line or a later one. */
export const firstWith = (line: number, lines: number): number =>
  Math.min(2 ** 32, Number((BigInt(line) * 2n ** 32n + BigInt(lines - 1)) / BigInt(lines)));

/** A line fills from its beginning, and keys go to the next one when it is full. */
export const isFull = (slots: Int32Array, line: number): boolean => slots[(line << WORDS_SHIFT) + LINE_WORDS - 2] !== 0;

/** The first line without a key from that one on. */
export function firstEmpty(slots: Int32Array, line: number): number {
  let end = line;
  while (slots[end << WORDS_SHIFT] !== 0) end++;
  return end;
}

/** The index of the slot that a key may take, from the first word of its home on: its own, or of those that are empty or expired the first. Else IS_PRESENT or NO_ROOM. */
export function slotFor(
  slots: Int32Array,
  home: number,
  { hi, lo }: { hi: number; lo: number },
  { live, reach }: { live: LiveTags; reach: number },
): number {
  const word = hi & FINGERPRINT_MASK;
  let free = NO_ROOM;
  for (let i = home; i < home + (reach + 1) * LINE_WORDS; i += 2) {
    const first = slots[i];
    const isLive = live[first >>> TAG_SHIFT] === 1;
    if (first !== 0 && (first & FINGERPRINT_MASK) === word && slots[i + 1] === lo) return isLive ? IS_PRESENT : i;
    if (!isLive && free === NO_ROOM) free = i;
    if (first === 0) break;
  }
  return free;
}

/** Fills the slot that `slotFor` has found. */
export function put(slots: Int32Array, index: number, { hi, lo, tag }: { hi: number; lo: number; tag: number }): Entered {
  if (index === IS_PRESENT || index === NO_ROOM) return index;
  const entered = slots[index] === 0 ? TOOK_EMPTY : TOOK_EXPIRED;
  slots[index] = (tag << TAG_SHIFT) | (hi & FINGERPRINT_MASK);
  slots[index + 1] = lo;
  return entered;
}

/** Visits the live keys of a line. */
export function visitLine(slots: Int32Array, { line, lines }: { line: number; lines: number }, live: LiveTags, visit: KeyVisitor): void {
  for (let i = line << WORDS_SHIFT; i < (line + 1) << WORDS_SHIFT; i += 2) {
    const first = slots[i];
    if (live[first >>> TAG_SHIFT] === 1) visit(hashAt(line, first, lines), slots[i + 1] >>> 0, first >>> TAG_SHIFT);
  }
}

/** The top 32 bits of the hash in a slot of that line: it lies in its home or less than a region behind it. */
function hashAt(line: number, first: number, lines: number): number {
  const within = first & FINGERPRINT_MASK;
  const region = Math.floor(((line + 1) * REGIONS) / lines + (ROUNDING - within) / REGION);
  return region * REGION + within;
}
