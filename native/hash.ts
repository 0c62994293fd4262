/** What is looked up by it, hashed as SeededHash does, for four records of a block at once. */
import {
  ENDS,
  ENTITY_HASHES,
  ENTITY_ID,
  EVENT_ID,
  EVENT_TS,
  FLAGS,
  HAS_SURFACE,
  HAS_USER,
  ID_HASHES,
  IS_IMPRESSION,
  KEY,
  LOWER_WORDS,
  SURE,
  SURFACE,
  SUSPECT_HASHES,
  TEXT_SIZE,
  TEXTS,
  TIED,
  UNIT_HASHES,
  UNIT_ID,
  USER_ID,
  VARIANT_HASHES,
  VARIANT_ID,
} from './layout';

/** Where a hash goes of which more is to come: nothing lies at the beginning of the memory. */
const NOT_YET: usize = 0;

/** The state of four hashes. */
let s0: v128 = i32x4(0, 0, 0, 0);
let s1: v128 = i32x4(0, 0, 0, 0);
let s2: v128 = i32x4(0, 0, 0, 0);
let s3: v128 = i32x4(0, 0, 0, 0);

/**
 * Of the records from `i` on: the hashes of the event's id, of its entity, and (suspectKey) of who, what and when; where there are
 * units, of unit and variant. Of a record that is not sure they mean nothing.
 */
export function hashFour(config: usize, block: usize, i: usize): void {
  const k0 = i32x4.splat(load<i32>(config + KEY));
  const k1 = i32x4.splat(load<i32>(config + KEY + 4));
  const texts = block + TEXTS + 4 * i;
  const flagsAt = block + FLAGS + 4 * i;
  const flags = v128.load(flagsAt);
  const sure = having(flags, SURE);
  begin(k0, k1);
  addTexts(texts + TEXT_SIZE * EVENT_ID, sure, block + ID_HASHES + 4 * i);
  begin(k0, k1);
  addTexts(texts + TEXT_SIZE * ENTITY_ID, sure, block + ENTITY_HASHES + 4 * i);
  const isImpression = load<i32>(config + IS_IMPRESSION) === 1;
  if (!isImpression) {
    begin(k0, k1);
    addTexts(texts + TEXT_SIZE * UNIT_ID, sure, block + UNIT_HASHES + 4 * i);
    begin(k0, k1);
    addTexts(texts + TEXT_SIZE * VARIANT_ID, sure, block + VARIANT_HASHES + 4 * i);
  }
  const tied = isImpression ? having(flags, HAS_USER) : sure;
  v128.store(flagsAt, v128.or(flags, v128.and(tied, i32x4.splat(TIED))));
  const who = texts + TEXT_SIZE * (isImpression ? USER_ID : UNIT_ID);
  const placed = isImpression ? v128.and(tied, having(flags, HAS_SURFACE)) : i32x4.splat(0);
  const placeLengths = v128.or(v128.not(placed), lengthsOf(texts + TEXT_SIZE * SURFACE));
  const entities = block + ENTITY_HASHES + 4 * i;
  begin(v128.xor(k0, v128.load(entities)), v128.xor(k1, v128.load(entities + LOWER_WORDS)));
  addWords(secondsOf(block + EVENT_TS + 8 * i));
  addWords(v128.or(i32x4.shl(placeLengths, 11), lengthsOf(who)));
  addTexts(who, tied, NOT_YET);
  addTexts(texts + TEXT_SIZE * SURFACE, placed, block + SUSPECT_HASHES + 4 * i);
}

/** A mask of the lanes with that flag. */
// @ts-ignore: decorator
@inline
function having(flags: v128, flag: i32): v128 {
  return i32x4.ne(v128.and(flags, i32x4.splat(flag)), i32x4.splat(0));
}

/** What stands at four places. */
// @ts-ignore: decorator
@inline
function gather(a: usize, b: usize, c: usize, d: usize): v128 {
  const two = i32x4.replace_lane(i32x4.splat(load<i32>(a)), 1, load<i32>(b));
  return i32x4.replace_lane(i32x4.replace_lane(two, 2, load<i32>(c)), 3, load<i32>(d));
}

// @ts-ignore: decorator
@inline
function lengthsOf(span: usize): v128 {
  return i32x4.sub(v128.load(span + ENDS), v128.load(span));
}

/** Of four times in ms. */
// @ts-ignore: decorator
@inline
function secondsOf(at: usize): v128 {
  const two = i32x4.replace_lane(i32x4.splat(secondOf(at)), 1, secondOf(at + 8));
  return i32x4.replace_lane(i32x4.replace_lane(two, 2, secondOf(at + 16)), 3, secondOf(at + 24));
}

// @ts-ignore: decorator
@inline
function secondOf(at: usize): i32 {
  return <i32>(<i64>load<f64>(at) / 1000);
}

// @ts-ignore: decorator
@inline
function begin(k0: v128, k1: v128): void {
  s0 = k0;
  s1 = v128.xor(k1, i32x4.splat(0xee));
  s2 = v128.xor(k0, i32x4.splat(0x6c796765));
  s3 = v128.xor(k1, i32x4.splat(0x74656462));
}

// @ts-ignore: decorator
@inline
function rotated(words: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(words, bits), i32x4.shr_u(words, 32 - bits));
}

// @ts-ignore: decorator
@inline
function halvesSwapped(words: v128): v128 {
  return v128.shuffle<u16>(words, words, 1, 0, 3, 2, 5, 4, 7, 6);
}

/**
 * Adds the texts of the lanes that have one, whose spans stand in their columns, and puts the hashes at `to`, unless more is to come: NOT_YET.
 * The state is in locals, for globals of a module lie in memory; so there is one loop, in which a round of the end is one with words 0.
 */
function addTexts(span: usize, lanes: v128, to: usize): void {
  const starts = v128.and(v128.load(span), lanes);
  const lengths = v128.and(lengthsOf(span), lanes);
  // Of each lane the number of its last word, in which the rest of the text is, and its length; -1 where there is none.
  const lasts = v128.or(i32x4.shr_u(lengths, 2), v128.not(lanes));
  const a = i32x4.extract_lane(starts, 0);
  const b = i32x4.extract_lane(starts, 1);
  const c = i32x4.extract_lane(starts, 2);
  const d = i32x4.extract_lane(starts, 3);
  const restLengths = i8x16.swizzle(v128.and(lengths, i32x4.splat(3)), i8x16(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const rests = i8x16.gt_u(restLengths, i32x4.splat(0x03020100));
  const tops = i32x4.shl(lengths, 24);
  const fewest = lowest(lasts);
  const most = highest(lasts);
  const rounds = to === NOT_YET ? most : most + 6;
  let lower = i32x4.splat(0);
  let v0 = s0;
  let v1 = s1;
  let v2 = s2;
  let v3 = s3;
  for (let n = 0; n <= rounds; n++) {
    let words = i32x4.splat(0);
    if (n <= most) {
      const at = 4 * n;
      words = gather(a + at, b + at, c + at, d + at);
      if (n >= fewest) {
        const isLast = i32x4.eq(lasts, i32x4.splat(n));
        words = v128.bitselect(v128.or(v128.and(words, rests), tops), words, isLast);
      }
    } else if (n === most + 1) {
      v2 = v128.xor(v2, i32x4.splat(0xee));
    } else if (n === most + 4) {
      lower = v128.xor(v1, v3);
      v1 = v128.xor(v1, i32x4.splat(0xdd));
    }
    let n3 = v128.xor(v3, words);
    let n0 = i32x4.add(v0, v1);
    let n1 = v128.xor(rotated(v1, 5), n0);
    n0 = halvesSwapped(n0);
    let n2 = i32x4.add(v2, n3);
    n3 = v128.xor(rotated(n3, 8), n2);
    n0 = i32x4.add(n0, n3);
    n3 = v128.xor(rotated(n3, 7), n0);
    n2 = i32x4.add(n2, n1);
    n1 = v128.xor(rotated(n1, 13), n2);
    n2 = halvesSwapped(n2);
    n0 = v128.xor(n0, words);
    if (n > fewest && n <= most) {
      // Texts that have ended wait for the longest.
      const goesOn = i32x4.ge_s(lasts, i32x4.splat(n));
      n0 = v128.bitselect(n0, v0, goesOn);
      n1 = v128.bitselect(n1, v1, goesOn);
      n2 = v128.bitselect(n2, v2, goesOn);
      n3 = v128.bitselect(n3, v3, goesOn);
    }
    v0 = n0;
    v1 = n1;
    v2 = n2;
    v3 = n3;
  }
  if (to === NOT_YET) {
    s0 = v0;
    s1 = v1;
    s2 = v2;
    s3 = v3;
  } else {
    v128.store(to, v128.xor(v1, v3));
    v128.store(to + LOWER_WORDS, lower);
  }
}

// @ts-ignore: decorator
@inline
function highest(lanes: v128): i32 {
  const two = i32x4.max_s(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  return max(i32x4.extract_lane(two, 0), i32x4.extract_lane(two, 1));
}

// @ts-ignore: decorator
@inline
function lowest(lanes: v128): i32 {
  const two = i32x4.min_s(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  return min(i32x4.extract_lane(two, 0), i32x4.extract_lane(two, 1));
}

// @ts-ignore: decorator
@inline
function addWords(words: v128): void {
  let v0 = i32x4.add(s0, s1);
  let v1 = v128.xor(rotated(s1, 5), v0);
  let v3 = v128.xor(s3, words);
  let v2 = i32x4.add(s2, v3);
  v3 = v128.xor(rotated(v3, 8), v2);
  v0 = i32x4.add(halvesSwapped(v0), v3);
  s3 = v128.xor(rotated(v3, 7), v0);
  v2 = i32x4.add(v2, v1);
  s1 = v128.xor(rotated(v1, 13), v2);
  s2 = halvesSwapped(v2);
  s0 = v128.xor(v0, words);
}
