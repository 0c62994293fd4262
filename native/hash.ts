/** What is looked up by it, hashed as SeededHash does, for eight records of a block at once. */
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
/** To the same of the second four. */
const NEXT_FOUR: usize = 16;

/** Orders of bytes, in memory: a vector that is written into the code is made anew each time it is used. */
const HALVES_SWAPPED: usize = memory.data<u8>([2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13], 16);
const BYTE_ROTATED: usize = memory.data<u8>([3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14], 16);

/** The states of eight hashes, four in four vectors: each step waits for the one before, and two that go on side by side wait together. */
let s0: v128 = i32x4(0, 0, 0, 0);
let s1: v128 = i32x4(0, 0, 0, 0);
let s2: v128 = i32x4(0, 0, 0, 0);
let s3: v128 = i32x4(0, 0, 0, 0);
let t0: v128 = i32x4(0, 0, 0, 0);
let t1: v128 = i32x4(0, 0, 0, 0);
let t2: v128 = i32x4(0, 0, 0, 0);
let t3: v128 = i32x4(0, 0, 0, 0);

/**
 * Of the eight records from `i` on: the hashes of the event's id, of its entity, and (suspectKey) of who, what and when; where there are
 * units, of unit and variant. Of a record that is not sure they mean nothing.
 */
export function hashEight(config: usize, block: usize, i: usize): void {
  const k0 = i32x4.splat(load<i32>(config + KEY));
  const k1 = i32x4.splat(load<i32>(config + KEY + 4));
  const texts = block + TEXTS + 4 * i;
  const flagsAt = block + FLAGS + 4 * i;
  const sure = having(flagsAt, SURE);
  const moreSure = having(flagsAt + NEXT_FOUR, SURE);
  begin(k0, k1, k0, k1);
  addTexts(texts + TEXT_SIZE * EVENT_ID, sure, moreSure, block + ID_HASHES + 4 * i);
  begin(k0, k1, k0, k1);
  addTexts(texts + TEXT_SIZE * ENTITY_ID, sure, moreSure, block + ENTITY_HASHES + 4 * i);
  const isImpression = load<i32>(config + IS_IMPRESSION) === 1;
  if (!isImpression) {
    begin(k0, k1, k0, k1);
    addTexts(texts + TEXT_SIZE * UNIT_ID, sure, moreSure, block + UNIT_HASHES + 4 * i);
    begin(k0, k1, k0, k1);
    addTexts(texts + TEXT_SIZE * VARIANT_ID, sure, moreSure, block + VARIANT_HASHES + 4 * i);
  }
  const tied = isImpression ? having(flagsAt, HAS_USER) : sure;
  const moreTied = isImpression ? having(flagsAt + NEXT_FOUR, HAS_USER) : moreSure;
  const placed = isImpression ? v128.and(tied, having(flagsAt, HAS_SURFACE)) : i32x4.splat(0);
  const morePlaced = isImpression ? v128.and(moreTied, having(flagsAt + NEXT_FOUR, HAS_SURFACE)) : i32x4.splat(0);
  flag(flagsAt, tied);
  flag(flagsAt + NEXT_FOUR, moreTied);
  const who = texts + TEXT_SIZE * (isImpression ? USER_ID : UNIT_ID);
  const where = texts + TEXT_SIZE * SURFACE;
  const what = block + ENTITY_HASHES + 4 * i;
  const when = block + EVENT_TS + 8 * i;
  begin(
    v128.xor(k0, v128.load(what)),
    v128.xor(k1, v128.load(what + LOWER_WORDS)),
    v128.xor(k0, v128.load(what + NEXT_FOUR)),
    v128.xor(k1, v128.load(what + NEXT_FOUR + LOWER_WORDS)),
  );
  addWords(secondsOf(when), secondsOf(when + 2 * NEXT_FOUR));
  addWords(lengthsWord(who, where, placed), lengthsWord(who + NEXT_FOUR, where + NEXT_FOUR, morePlaced));
  addTexts(who, tied, moreTied, NOT_YET);
  addTexts(where, placed, morePlaced, block + SUSPECT_HASHES + 4 * i);
}

/** A mask of the lanes with that flag. */
// @ts-ignore: decorator
@inline
function having(flagsAt: usize, flag: i32): v128 {
  return i32x4.ne(v128.and(v128.load(flagsAt), i32x4.splat(flag)), i32x4.splat(0));
}

// @ts-ignore: decorator
@inline
function flag(flagsAt: usize, tied: v128): void {
  v128.store(flagsAt, v128.or(v128.load(flagsAt), v128.and(tied, i32x4.splat(TIED))));
}

/** What suspectKey adds of the lengths of both texts; without a second it is as long as none can be. */
// @ts-ignore: decorator
@inline
function lengthsWord(who: usize, where: usize, placed: v128): v128 {
  return v128.or(i32x4.shl(v128.or(v128.not(placed), lengthsOf(where)), 11), lengthsOf(who));
}

/** What stands at four places. */
// @ts-ignore: decorator
@inline
function gather(a: usize, b: usize, c: usize, d: usize): v128 {
  const two = v128.load_lane<i32>(b, v128.load_splat<i32>(a), 1);
  return v128.load_lane<i32>(d, v128.load_lane<i32>(c, two, 2), 3);
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
function begin(k0: v128, k1: v128, moreK0: v128, moreK1: v128): void {
  s0 = k0;
  s1 = v128.xor(k1, i32x4.splat(0xee));
  s2 = v128.xor(k0, i32x4.splat(0x6c796765));
  s3 = v128.xor(k1, i32x4.splat(0x74656462));
  t0 = moreK0;
  t1 = v128.xor(moreK1, i32x4.splat(0xee));
  t2 = v128.xor(moreK0, i32x4.splat(0x6c796765));
  t3 = v128.xor(moreK1, i32x4.splat(0x74656462));
}

// @ts-ignore: decorator
@inline
function rotated(words: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(words, bits), i32x4.shr_u(words, 32 - bits));
}

// @ts-ignore: decorator
@inline
function shuffled(words: v128, order: v128): v128 {
  return i8x16.relaxed_swizzle(words, order);
}

/** Of each lane, a mask of the bytes that its text has in its last word. */
// @ts-ignore: decorator
@inline
function restsOf(lengths: v128): v128 {
  const counts = i8x16.swizzle(v128.and(lengths, i32x4.splat(3)), i8x16(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  return i8x16.gt_u(counts, i32x4.splat(0x03020100));
}

/**
 * Adds the texts of the lanes that have one, whose spans stand in their columns, and puts the hashes at `to`, unless more is to come: NOT_YET.
 * The state is in locals, for globals of a module lie in memory; so there is one loop, in which a round of the end is one with words 0.
 */
function addTexts(span: usize, lanes: v128, moreLanes: v128, to: usize): void {
  const starts = v128.and(v128.load(span), lanes);
  const moreStarts = v128.and(v128.load(span + NEXT_FOUR), moreLanes);
  const lengths = v128.and(lengthsOf(span), lanes);
  const moreLengths = v128.and(lengthsOf(span + NEXT_FOUR), moreLanes);
  // Of each lane the number of its last word, in which the rest of the text is, and its length; -1 where there is none.
  const lasts = v128.or(i32x4.shr_u(lengths, 2), v128.not(lanes));
  const moreLasts = v128.or(i32x4.shr_u(moreLengths, 2), v128.not(moreLanes));
  const a = i32x4.extract_lane(starts, 0);
  const b = i32x4.extract_lane(starts, 1);
  const c = i32x4.extract_lane(starts, 2);
  const d = i32x4.extract_lane(starts, 3);
  const e = i32x4.extract_lane(moreStarts, 0);
  const f = i32x4.extract_lane(moreStarts, 1);
  const g = i32x4.extract_lane(moreStarts, 2);
  const h = i32x4.extract_lane(moreStarts, 3);
  const fewest = lowest(i32x4.min_s(lasts, moreLasts));
  const most = highest(i32x4.max_s(lasts, moreLasts));
  const rounds = to === NOT_YET ? most : most + 6;
  const halvesSwapped = v128.load(HALVES_SWAPPED);
  const byteRotated = v128.load(BYTE_ROTATED);
  let v0 = s0;
  let v1 = s1;
  let v2 = s2;
  let v3 = s3;
  let w0 = t0;
  let w1 = t1;
  let w2 = t2;
  let w3 = t3;
  for (let n = 0; n <= rounds; n++) {
    let words = i32x4.splat(0);
    let more = i32x4.splat(0);
    if (n <= most) {
      const at = 4 * n;
      words = gather(a + at, b + at, c + at, d + at);
      more = gather(e + at, f + at, g + at, h + at);
      if (n >= fewest) {
        const number = i32x4.splat(n);
        const rest = v128.or(v128.and(words, restsOf(lengths)), i32x4.shl(lengths, 24));
        const moreRest = v128.or(v128.and(more, restsOf(moreLengths)), i32x4.shl(moreLengths, 24));
        words = v128.bitselect(rest, words, i32x4.eq(lasts, number));
        more = v128.bitselect(moreRest, more, i32x4.eq(moreLasts, number));
      }
    } else if (n === most + 1) {
      v2 = v128.xor(v2, i32x4.splat(0xee));
      w2 = v128.xor(w2, i32x4.splat(0xee));
    } else if (n === most + 4) {
      v128.store(to + LOWER_WORDS, v128.xor(v1, v3));
      v128.store(to + LOWER_WORDS + NEXT_FOUR, v128.xor(w1, w3));
      v1 = v128.xor(v1, i32x4.splat(0xdd));
      w1 = v128.xor(w1, i32x4.splat(0xdd));
    }
    let n3 = v128.xor(v3, words);
    let m3 = v128.xor(w3, more);
    let n0 = i32x4.add(v0, v1);
    let m0 = i32x4.add(w0, w1);
    let n1 = v128.xor(rotated(v1, 5), n0);
    let m1 = v128.xor(rotated(w1, 5), m0);
    let n2 = i32x4.add(v2, n3);
    let m2 = i32x4.add(w2, m3);
    n3 = v128.xor(shuffled(n3, byteRotated), n2);
    m3 = v128.xor(shuffled(m3, byteRotated), m2);
    n0 = i32x4.add(shuffled(n0, halvesSwapped), n3);
    m0 = i32x4.add(shuffled(m0, halvesSwapped), m3);
    n3 = v128.xor(rotated(n3, 7), n0);
    m3 = v128.xor(rotated(m3, 7), m0);
    n2 = i32x4.add(n2, n1);
    m2 = i32x4.add(m2, m1);
    n1 = v128.xor(rotated(n1, 13), n2);
    m1 = v128.xor(rotated(m1, 13), m2);
    n2 = shuffled(n2, halvesSwapped);
    m2 = shuffled(m2, halvesSwapped);
    n0 = v128.xor(n0, words);
    m0 = v128.xor(m0, more);
    if (n > fewest && n <= most) {
      // Texts that have ended wait for the longest.
      const number = i32x4.splat(n);
      const goesOn = i32x4.ge_s(lasts, number);
      const moreGoesOn = i32x4.ge_s(moreLasts, number);
      n0 = v128.bitselect(n0, v0, goesOn);
      n1 = v128.bitselect(n1, v1, goesOn);
      n2 = v128.bitselect(n2, v2, goesOn);
      n3 = v128.bitselect(n3, v3, goesOn);
      m0 = v128.bitselect(m0, w0, moreGoesOn);
      m1 = v128.bitselect(m1, w1, moreGoesOn);
      m2 = v128.bitselect(m2, w2, moreGoesOn);
      m3 = v128.bitselect(m3, w3, moreGoesOn);
    }
    v0 = n0;
    v1 = n1;
    v2 = n2;
    v3 = n3;
    w0 = m0;
    w1 = m1;
    w2 = m2;
    w3 = m3;
  }
  if (to === NOT_YET) {
    s0 = v0;
    s1 = v1;
    s2 = v2;
    s3 = v3;
    t0 = w0;
    t1 = w1;
    t2 = w2;
    t3 = w3;
  } else {
    v128.store(to, v128.xor(v1, v3));
    v128.store(to + NEXT_FOUR, v128.xor(w1, w3));
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
function addWords(words: v128, more: v128): void {
  const halvesSwapped = v128.load(HALVES_SWAPPED);
  const byteRotated = v128.load(BYTE_ROTATED);
  let n0 = i32x4.add(s0, s1);
  let m0 = i32x4.add(t0, t1);
  let n1 = v128.xor(rotated(s1, 5), n0);
  let m1 = v128.xor(rotated(t1, 5), m0);
  let n3 = v128.xor(s3, words);
  let m3 = v128.xor(t3, more);
  let n2 = i32x4.add(s2, n3);
  let m2 = i32x4.add(t2, m3);
  n3 = v128.xor(shuffled(n3, byteRotated), n2);
  m3 = v128.xor(shuffled(m3, byteRotated), m2);
  n0 = i32x4.add(shuffled(n0, halvesSwapped), n3);
  m0 = i32x4.add(shuffled(m0, halvesSwapped), m3);
  s3 = v128.xor(rotated(n3, 7), n0);
  t3 = v128.xor(rotated(m3, 7), m0);
  n2 = i32x4.add(n2, n1);
  m2 = i32x4.add(m2, m1);
  s1 = v128.xor(rotated(n1, 13), n2);
  t1 = v128.xor(rotated(m1, 13), m2);
  s2 = shuffled(n2, halvesSwapped);
  t2 = shuffled(m2, halvesSwapped);
  s0 = v128.xor(n0, words);
  t0 = v128.xor(m0, more);
}
