/**
 * Reads a record's value as FastDecoder does, and hashes what is looked up by it, on bytes that were copied into this memory. It is
 * AssemblyScript, compiled into src/operators/native-code.ts by `node scripts/build-native.ts`; what calls it is
 * src/operators/native-decoder.ts, which knows the same places.
 *
 * Sure of less than FastDecoder: ASCII, no spaces, times as numbers, objects that are flat. Reading beyond the value does no harm:
 * there is more memory, positions only grow, and one that arrives anywhere but at its end is not sure.
 */

/** Where things lie in a configuration. */
// @ts-ignore: decorator
@inline const IS_IMPRESSION: usize = 0;
// @ts-ignore: decorator
@inline const MAX_SPEND: usize = 8;
// @ts-ignore: decorator
@inline const REQUIRED: usize = 16;
// @ts-ignore: decorator
@inline const FIELDS: usize = 20;
// @ts-ignore: decorator
@inline const KEY: usize = 24;
// @ts-ignore: decorator
@inline const TARGETS: usize = 32;
// @ts-ignore: decorator
@inline const NAME_STARTS: usize = 64;
// @ts-ignore: decorator
@inline const NAMES: usize = 136;
/** By place: length of the separator, what follows it, a mask of its length, and its bytes. */
// @ts-ignore: decorator
@inline const SEPARATORS: usize = 1024;
// @ts-ignore: decorator
@inline const SEPARATOR_SIZE: usize = 48;

/** Where things lie in a block: columns of BLOCK values, and what else each record says, one behind the other. */
// @ts-ignore: decorator
@inline const SPANS: usize = 0;
// @ts-ignore: decorator
@inline const FLAGS: usize = 256;
// @ts-ignore: decorator
@inline const EVENT_TS: usize = 384;
// @ts-ignore: decorator
@inline const SPEND_MICROS: usize = 640;
/** Of each hash first the upper words, then the lower ones. */
// @ts-ignore: decorator
@inline const ID_HASHES: usize = 896;
// @ts-ignore: decorator
@inline const ENTITY_HASHES: usize = 1152;
// @ts-ignore: decorator
@inline const SUSPECT_HASHES: usize = 1408;
// @ts-ignore: decorator
@inline const UNIT_HASHES: usize = 1664;
// @ts-ignore: decorator
@inline const VARIANT_HASHES: usize = 1920;
// @ts-ignore: decorator
@inline const LOWER_WORDS: usize = 128;
// @ts-ignore: decorator
@inline const RESULTS: usize = 2176;
// @ts-ignore: decorator
@inline const RESULT_SIZE: usize = 112;

/** Where things lie in a result. */
// @ts-ignore: decorator
@inline const SEEN: usize = 0;
// @ts-ignore: decorator
@inline const VERSION: usize = 4;
/** event_ts, received_ts, assigned_ts, spend_micros. */
// @ts-ignore: decorator
@inline const NUMBERS: usize = 8;
/** Start and end of each text, then of the attributes. */
// @ts-ignore: decorator
@inline const TEXTS: usize = 40;
// @ts-ignore: decorator
@inline const ATTRIBUTES: usize = 96;

// @ts-ignore: decorator
@inline const HAS_USER: i32 = 1;
// @ts-ignore: decorator
@inline const HAS_SURFACE: i32 = 4;
// @ts-ignore: decorator
@inline const VALID: i32 = 8;
// @ts-ignore: decorator
@inline const HAS_ATTRIBUTES: i32 = 16;
// @ts-ignore: decorator
@inline const SURE: i32 = 32;
/** There is a suspect's key. */
// @ts-ignore: decorator
@inline const TIED: i32 = 64;

/** As in src/operators/field-reader.ts. */
// @ts-ignore: decorator
@inline const LAST_ID: u32 = 5;
// @ts-ignore: decorator
@inline const LAST_TEXT: u32 = 6;
// @ts-ignore: decorator
@inline const SPEND: u32 = 10;
// @ts-ignore: decorator
@inline const ALLOCATION_VERSION: u32 = 11;
// @ts-ignore: decorator
@inline const IS_VALID: u32 = 12;
// @ts-ignore: decorator
@inline const FIRST_OPTIONAL_TEXT: u32 = 4;

/** As in src/operators/decode-fast.ts. */
// @ts-ignore: decorator
@inline const NONE: u32 = 31;
// @ts-ignore: decorator
@inline const UNLISTED: u32 = 32;
// @ts-ignore: decorator
@inline const LAST_PLACE: u32 = 63;
// @ts-ignore: decorator
@inline const QUOTED: u32 = 64;
// @ts-ignore: decorator
@inline const MAX_ID: usize = 256;
/** Other texts may be longer, but are left to others then: four are hashed together, in as many rounds as the longest takes. */
// @ts-ignore: decorator
@inline const MAX_TEXT: usize = 1024;
// @ts-ignore: decorator
@inline const MAX_DIGITS: usize = 15;
// @ts-ignore: decorator
@inline const MAX_SEPARATOR: usize = 32;

/** As in src/operators/field-reader.ts, times eight. */
// @ts-ignore: decorator
@inline const EVENT_ID: usize = 0;
// @ts-ignore: decorator
@inline const ENTITY_ID: usize = 8;
// @ts-ignore: decorator
@inline const VARIANT_ID: usize = 16;
// @ts-ignore: decorator
@inline const UNIT_ID: usize = 24;
// @ts-ignore: decorator
@inline const USER_ID: usize = 32;
// @ts-ignore: decorator
@inline const SURFACE: usize = 48;

/** No position: nothing lies at the beginning of the memory. */
// @ts-ignore: decorator
@inline const UNSURE: usize = 0;
// @ts-ignore: decorator
@inline const NOT_YET: usize = 0;

/** What `digitsEnd` has read, and where the value begins that `find` has found. */
let integer: i64 = 0;
let valueAt: usize = 0;
/** The state of four hashes. */
let s0: v128 = i32x4(0, 0, 0, 0);
let s1: v128 = i32x4(0, 0, 0, 0);
let s2: v128 = i32x4(0, 0, 0, 0);
let s3: v128 = i32x4(0, 0, 0, 0);

/**
 * Reads the first `size` values, whose spans stand in the block. Where a record's flags have SURE, it is good and all of it is in the block;
 * of others somebody else has to judge.
 */
export function decodeBlock(config: usize, block: usize, size: i32): void {
  for (let i: usize = 0; i < <usize>size; i++) {
    const result = block + RESULTS + i * RESULT_SIZE;
    const spans = block + SPANS + 8 * i;
    const isSure = decode(config, result, load<i32>(spans), load<i32>(spans + 4));
    store<i32>(block + FLAGS + 4 * i, isSure ? load<i32>(result + SEEN) | SURE : 0);
    if (!isSure) continue;
    store<f64>(block + EVENT_TS + 8 * i, load<f64>(result + NUMBERS));
    store<f64>(block + SPEND_MICROS + 8 * i, load<f64>(result + NUMBERS + 24));
  }
  for (let i: usize = size; (i & 3) !== 0; i++) store<i32>(block + FLAGS + 4 * i, 0);
  for (let i: usize = 0; i < <usize>size; i += 4) hashFour(config, block, i);
}

function decode(config: usize, result: usize, start: usize, end: usize): bool {
  store<i32>(result + SEEN, VALID);
  store<i32>(result + VERSION, 1);
  store<f64>(result + NUMBERS + 8, NaN);
  store<f64>(result + NUMBERS + 16, NaN);
  store<f64>(result + NUMBERS + 24, 0);
  const required = load<u32>(config + REQUIRED);
  let seen: u32 = 0;
  let unlisted = UNLISTED;
  let place = NONE;
  let i = start;
  do {
    const length = separatorAt(config, place, i);
    let follows: u32 = load<u8>(config + SEPARATORS + (<usize>place) * SEPARATOR_SIZE + 1);
    // What had another value last time may have a text now.
    if (length !== 0 && (follows >= UNLISTED || load<u8>(i + length) !== 0x22)) {
      i += length;
    } else {
      follows = find(config, place, i, end);
      if (follows > (QUOTED | UNLISTED)) return false;
      i = valueAt;
    }
    if (follows === UNLISTED) {
      place = unlisted;
      if (unlisted < LAST_PLACE) unlisted++;
      i = valueEnd(i, end);
    } else {
      const field = follows & (QUOTED - 1);
      const bit: u32 = 1 << field;
      if ((seen & bit) !== 0) return false;
      seen |= bit;
      place = field;
      const target: u32 = load<u8>(config + TARGETS + field);
      i = follows === field ? otherEnd(config, result, target, i, end) : listedTextEnd(result, target, i, end);
    }
    if (i === UNSURE || i >= end) return false;
  } while (load<u8>(i) !== 0x7d);
  return i + 1 === end && (seen & required) === required;
}

/** How long the separator that is known for the place is, when it lies there; else 0. */
// @ts-ignore: decorator
@inline
function separatorAt(config: usize, place: u32, at: usize): usize {
  const known = config + SEPARATORS + (<usize>place) * SEPARATOR_SIZE;
  const mask = load<i32>(known + 4);
  const low = i8x16.bitmask(i8x16.eq(v128.load(at), v128.load(known + 16)));
  const high = i8x16.bitmask(i8x16.eq(v128.load(at + 16), v128.load(known + 32)));
  return ((low | (high << 16)) & mask) === mask ? load<u8>(known) : 0;
}

/** Reads what lies between two values, and remembers it: returns what follows, at `valueAt`, or more than that can be. */
function find(config: usize, place: u32, from: usize, end: usize): u32 {
  if (load<u8>(from) !== (place === NONE ? 0x7b : 0x2c) || load<u8>(from + 1) !== 0x22) return u32.MAX_VALUE;
  const nameAt = from + 2;
  const nameEnd = textEnd(nameAt, end);
  if (nameEnd === UNSURE || load<u8>(nameEnd + 1) !== 0x3a) return u32.MAX_VALUE;
  let follows = fieldOf(config, nameAt, nameEnd - nameAt);
  let i = nameEnd + 2;
  if (follows !== UNLISTED && load<u8>(i) === 0x22) {
    follows |= QUOTED;
    i++;
  }
  valueAt = i;
  const size = i - from;
  const known = config + SEPARATORS + (<usize>place) * SEPARATOR_SIZE;
  store<u8>(known, 0);
  if (size > MAX_SEPARATOR) return follows;
  memory.copy(known + 16, from, size);
  store<u8>(known + 1, <u8>follows);
  store<i32>(known + 4, size === MAX_SEPARATOR ? -1 : (1 << (<i32>size)) - 1);
  store<u8>(known, <u8>size);
  return follows;
}

function fieldOf(config: usize, at: usize, length: usize): u32 {
  const fields = load<u32>(config + FIELDS);
  for (let field: u32 = 0; field < fields; field++) {
    const start: usize = load<u16>(config + NAME_STARTS + 2 * field);
    const end: usize = load<u16>(config + NAME_STARTS + 2 * field + 2);
    if (end - start === length && memory.compare(config + NAMES + start, at, length) === 0) return field;
  }
  return UNLISTED;
}

/** The quote that ends a text of plain ASCII. */
function textEnd(at: usize, end: usize): usize {
  let i = at;
  while (i < end) {
    const bytes = v128.load(i);
    // As signed bytes all that is no ASCII is below a space, too.
    const odd = v128.or(v128.or(i8x16.eq(bytes, i8x16.splat(0x22)), i8x16.eq(bytes, i8x16.splat(0x5c))), i8x16.lt_s(bytes, i8x16.splat(0x20)));
    const mask = i8x16.bitmask(odd);
    if (mask !== 0) {
      const found = i + ctz(mask);
      return found < end && load<u8>(found) === 0x22 ? found : UNSURE;
    }
    i += 16;
  }
  return UNSURE;
}

/** Of a listed field whose value begins with a quote, before `at`. */
// @ts-ignore: decorator
@inline
function listedTextEnd(result: usize, target: u32, at: usize, end: usize): usize {
  const close = textEnd(at, end);
  if (close === UNSURE || target > LAST_TEXT) return UNSURE;
  if (target <= LAST_ID && (close === at || close - at > MAX_ID)) return UNSURE;
  if (close - at > MAX_TEXT) return UNSURE;
  store<i32>(result + TEXTS + 8 * target, <i32>at);
  store<i32>(result + TEXTS + 4 + 8 * target, <i32>close);
  if (target >= FIRST_OPTIONAL_TEXT) store<i32>(result + SEEN, load<i32>(result + SEEN) | (1 << (target - FIRST_OPTIONAL_TEXT)));
  return close + 1;
}

/** Of a listed field whose value begins otherwise. */
// @ts-ignore: decorator
@inline
function otherEnd(config: usize, result: usize, target: u32, at: usize, end: usize): usize {
  if (target <= LAST_TEXT) return UNSURE;
  if (target <= ALLOCATION_VERSION) {
    const after = digitsEnd(at);
    if (target === SPEND && <f64>integer > load<f64>(config + MAX_SPEND)) return UNSURE;
    if (target === ALLOCATION_VERSION) {
      if (integer < 1 || integer > 0x7fffffff) return UNSURE;
      store<i32>(result + VERSION, <i32>integer);
    } else {
      store<f64>(result + NUMBERS + 8 * (target - LAST_TEXT - 1), <f64>integer);
    }
    return after;
  }
  if (target === IS_VALID) {
    if (load<u32>(at) === 0x65757274) return at + 4;
    if (load<u32>(at) !== 0x736c6166 || load<u8>(at + 4) !== 0x65) return UNSURE;
    store<i32>(result + SEEN, load<i32>(result + SEEN) & ~VALID);
    return at + 5;
  }
  const after = load<u8>(at) === 0x7b ? valueEnd(at, end) : UNSURE;
  store<i32>(result + ATTRIBUTES, <i32>at);
  store<i32>(result + ATTRIBUTES + 4, <i32>after);
  store<i32>(result + SEEN, load<i32>(result + SEEN) | HAS_ATTRIBUTES);
  return after;
}

/** A number written as 1 to 15 digits and nothing else; eight at a time. */
function digitsEnd(at: usize): usize {
  let i = at;
  let value: i64 = 0;
  while (i - at <= MAX_DIGITS) {
    let eight = load<u64>(i) ^ 0x3030303030303030;
    // A byte above 9 has its highest bit, or gets it.
    const odd = ((eight + 0x7676767676767676) | eight) & 0x8080808080808080;
    const count: u64 = odd === 0 ? 8 : ctz(odd) >> 3;
    if (count === 0) break;
    eight <<= (8 - count) * 8;
    // Pairs, then all of them.
    eight = eight * 10 + (eight >> 8);
    eight = ((eight & 0x000000ff000000ff) * 0x000f424000000064 + ((eight >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >> 32;
    value = value * powerOfTen(count) + eight;
    i += <usize>count;
    if (count < 8) break;
  }
  integer = value;
  const digits = i - at;
  return digits === 0 || digits > MAX_DIGITS || (digits > 1 && load<u8>(at) === 0x30) ? UNSURE : i;
}

// @ts-ignore: decorator
@inline
function powerOfTen(exponent: u64): i64 {
  if (exponent === 8) return 100000000;
  let power: i64 = 1;
  for (let i: u64 = 0; i < exponent; i++) power *= 10;
  return power;
}

/** A text, whole digits, a literal, or a flat object of them. */
function valueEnd(at: usize, end: usize): usize {
  if (load<u8>(at) !== 0x7b) return scalarEnd(at, end);
  let i = at + 1;
  if (load<u8>(i) === 0x7d) return i + 1;
  while (i < end) {
    if (load<u8>(i) !== 0x22) return UNSURE;
    const close = textEnd(i + 1, end);
    if (close === UNSURE || load<u8>(close + 1) !== 0x3a) return UNSURE;
    i = scalarEnd(close + 2, end);
    if (i === UNSURE) return UNSURE;
    if (load<u8>(i) === 0x7d) return i + 1;
    if (load<u8>(i) !== 0x2c) return UNSURE;
    i++;
  }
  return UNSURE;
}

function scalarEnd(at: usize, end: usize): usize {
  if (load<u8>(at) === 0x22) {
    const close = textEnd(at + 1, end);
    return close === UNSURE ? UNSURE : close + 1;
  }
  const word = load<u32>(at);
  if (word === 0x65757274 || word === 0x6c6c756e) return at + 4;
  if (word === 0x736c6166) return load<u8>(at + 4) === 0x65 ? at + 5 : UNSURE;
  return digitsEnd(at);
}

/**
 * As SeededHash, for the four records from `i` on at once: of the event's id, of its entity, and (suspectKey) of who, what and when; where
 * there are units, of unit and variant. Of a record that is not sure the hashes mean nothing.
 */
function hashFour(config: usize, block: usize, i: usize): void {
  const k0 = i32x4.splat(load<i32>(config + KEY));
  const k1 = i32x4.splat(load<i32>(config + KEY + 4));
  const texts = block + RESULTS + i * RESULT_SIZE + TEXTS;
  const flagsAt = block + FLAGS + 4 * i;
  const flags = v128.load(flagsAt);
  const sure = having(flags, SURE);
  begin(k0, k1);
  addTexts(texts + EVENT_ID, sure, block + ID_HASHES + 4 * i);
  begin(k0, k1);
  addTexts(texts + ENTITY_ID, sure, block + ENTITY_HASHES + 4 * i);
  const isImpression = load<i32>(config + IS_IMPRESSION) === 1;
  if (!isImpression) {
    begin(k0, k1);
    addTexts(texts + UNIT_ID, sure, block + UNIT_HASHES + 4 * i);
    begin(k0, k1);
    addTexts(texts + VARIANT_ID, sure, block + VARIANT_HASHES + 4 * i);
  }
  const tied = isImpression ? having(flags, HAS_USER) : sure;
  v128.store(flagsAt, v128.or(flags, v128.and(tied, i32x4.splat(TIED))));
  const who = texts + (isImpression ? USER_ID : UNIT_ID);
  const placed = isImpression ? v128.and(tied, having(flags, HAS_SURFACE)) : i32x4.splat(0);
  const placeLengths = v128.or(v128.not(placed), lengthsOf(texts + SURFACE));
  const entities = block + ENTITY_HASHES + 4 * i;
  begin(v128.xor(k0, v128.load(entities)), v128.xor(k1, v128.load(entities + LOWER_WORDS)));
  addWords(secondsOf(block + EVENT_TS + 8 * i));
  addWords(v128.or(i32x4.shl(placeLengths, 11), lengthsOf(who)));
  addTexts(who, tied, NOT_YET);
  addTexts(texts + SURFACE, placed, block + SUSPECT_HASHES + 4 * i);
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

/** What stands at that place of four results. */
// @ts-ignore: decorator
@inline
function fromResults(at: usize): v128 {
  return gather(at, at + RESULT_SIZE, at + 2 * RESULT_SIZE, at + 3 * RESULT_SIZE);
}

// @ts-ignore: decorator
@inline
function lengthsOf(span: usize): v128 {
  return i32x4.sub(fromResults(span + 4), fromResults(span));
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
 * Adds the texts of the lanes that have one, whose spans stand in four results, and puts the hashes at `to`, unless more is to come: NOT_YET.
 * The state is in locals, for globals of a module lie in memory; so there is one loop, in which a round of the end is one with words 0.
 */
function addTexts(span: usize, lanes: v128, to: usize): void {
  const starts = v128.and(fromResults(span), lanes);
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
