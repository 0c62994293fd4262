/**
 * The slots of a fingerprint table, 8 bytes in two words each. First word: the bucket tag (6 bits, 0 in an empty slot) and 26 bits
 * of the hash; second: its low 32 bits. The top 6 bits are not kept: the table lies in order of the hash, in 64 regions, and a key
 * less than a region behind its home, so where a slot lies tells them.
 */

export const TAG_SHIFT = 26;
export const FINGERPRINT_MASK = 2 ** TAG_SHIFT - 1;
/** Tag values 1 to 63; 0 is an empty slot. */
export const TAGS = 63;

const REGIONS = 64;
/** Hashes of a region, by their top 32 bits. */
const REGION = 2 ** TAG_SHIFT;
/** Absorbs the rounding of sums and divisions; far below a region. */
const ROUNDING = 1 / 16;

/** Which tags are of live buckets; entry 0 (an empty slot) is never. */
export type LiveTags = Uint8Array;
export type KeyVisitor = (hi: number, lo: number, tag: number) => void;

/** Keys on the way from one place to the other: the top of the hash and the two words of the slot each. Nothing else runs in between. */
let words = new Int32Array(3 * 1024);

export interface Stretch {
  from: number;
  /** Exclusive. */
  to: number;
  /** The capacity under which the keys there were placed. */
  capacity: number;
}

/** Copies the live keys of a stretch of slots away. Returns how many words that took, and how many slots were not empty. */
export function lift(slots: Int32Array, { from, to, capacity }: Stretch, live: LiveTags): { lifted: number; used: number } {
  if (words.length < 3 * (to - from) + 3) words = new Int32Array(4 * (to - from) + 3);
  const target = words;
  const perSlot = (REGIONS * REGION) / capacity;
  let region = Math.floor((from * REGIONS) / capacity);
  // Of the end of a slot, from the beginning of its region on; a key whose home is in this region is not from behind it.
  let within = from * perSlot - region * REGION + ROUNDING;
  let end = 0;
  let used = 0;
  for (let i = from * 2; i < to * 2; i += 2) {
    within += perSlot;
    if (within >= REGION) {
      within -= REGION;
      region++;
    }
    const first = slots[i];
    const low = first & FINGERPRINT_MASK;
    used += (first | -first) >>> 31;
    // Written also where it is not kept: a branch taken at random costs more than all of this.
    target[end] = ((low > within ? region - 1 : region) << TAG_SHIFT) | low;
    target[end + 1] = first;
    target[end + 2] = slots[i + 1];
    end += 3 * live[first >>> TAG_SHIFT];
  }
  return { lifted: end, used };
}

export interface Placing {
  /** What `lift` returned. */
  lifted: number;
  /** Slots per unit of the top 32 bits of the hash. */
  scale: number;
  /** The most slots that a key may lie behind its home. */
  reach: number;
}

/**
 * Puts what was lifted into the first empty slots from their homes on; returns how many. What finds none in reach is a stray.
 * The keys come nearly in order: most lie at their home, or behind the one before in a run without a gap from their home on.
 */
export function drop(slots: Int32Array, { lifted, scale, reach }: Placing, strays: KeyVisitor): number {
  const source = words;
  let placed = 0;
  let runStart = 0;
  let runEnd = 0;
  for (let k = 0; k < lifted; k += 3) {
    const home = (((source[k] >>> 0) * scale) | 0) << 1;
    // Without branches, for which is the larger is as good as random: i = max(home, runEnd), and a run begins where home is that.
    const beyond = home - runEnd;
    const isInRun = beyond >> 31;
    let i = home - (beyond & isInRun);
    if (home >= runStart && slots[i] === 0) {
      runStart = (runStart & isInRun) | (home & ~isInRun);
      runEnd = i + 2;
    } else {
      i = home;
      while (slots[i] !== 0) i += 2;
      if (i > runEnd) runStart = home;
      if (i >= runEnd) runEnd = i + 2;
    }
    if (i - home > 2 * reach) {
      strays(source[k] >>> 0, source[k + 2] >>> 0, source[k + 1] >>> TAG_SHIFT);
      runEnd = Math.min(runEnd, i);
      continue;
    }
    slots[i] = source[k + 1];
    slots[i + 1] = source[k + 2];
    placed++;
  }
  return placed;
}

/** The top 32 bits of the hash in a slot: it lies at its home or less than a region behind it. */
export function hashAt(slot: number, first: number, capacity: number): number {
  const within = first & FINGERPRINT_MASK;
  const region = Math.floor(((slot + 1) * REGIONS) / capacity + (ROUNDING - within) / REGION);
  return region * REGION + within;
}
