/**
 * Reads a record's value as FastDecoder does, and hashes what is looked up by it, on bytes in this memory. It is AssemblyScript,
 * compiled into src/operators/native-code.ts by `node scripts/build-native.ts`; src/operators/native-decoder.ts calls it.
 *
 * Sure of less than FastDecoder: ASCII, no spaces, times as numbers, objects that are flat. Reading beyond the value does no harm:
 * there is more memory, positions only grow, and one that arrives anywhere but at its end is not sure.
 */

import { hashEight } from './hash';
import {
  ALLOCATION_VERSION,
  ASSIGNED_TS,
  ATTRIBUTES,
  ENDS,
  ENTITY_ID,
  EVENT_TS,
  FIELDS,
  FIRST_OPTIONAL_TEXT,
  FLAGS,
  HAS_ATTRIBUTES,
  IS_VALID,
  LAST_ID,
  LAST_TEXT,
  MAX_SKEW,
  MAX_SPEND,
  MAX_TEXT,
  NAME_STARTS,
  NAMES,
  NUMBERS,
  NUMBERS_SIZE,
  RECEIVED_TS,
  REQUIRED,
  SEPARATOR_SIZE,
  SEPARATORS,
  SPEND,
  SPEND_MICROS,
  SURE,
  TARGETS,
  TEXT_SIZE,
  TEXTS,
  VALID,
  VERSIONS,
} from './layout';

export { findRecords } from './records';

/** As in src/operators/decode-fast.ts. */
const NONE: u32 = 31;
const UNLISTED: u32 = 32;
const LAST_PLACE: u32 = 63;
const QUOTED: u32 = 64;
const MAX_ID: usize = 256;
const ZEROS: u64 = 0x3030303030303030;
/** Up to 8 digits. */
const POWERS_OF_TEN: usize = memory.data<i64>([1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000], 8);
const MAX_SEPARATOR: usize = 32;

/** No position: nothing lies at the beginning of the memory. */
const UNSURE: usize = 0;

/** What `digitsEnd` has read, and where the value begins that `find` has found. */
let integer: i64 = 0;
let valueAt: usize = 0;
/**
 * Not 0 once something was read that is not what it should be. What comes next is read nevertheless, and asks only where: it need not
 * wait for that.
 */
let odd: u32 = 0;

/** What is looked for in texts, in memory: a vector that is written into the code is made anew each time it is used. */
const QUOTES: usize = memory.data<u64>([0x2222222222222222, 0x2222222222222222], 16);
const ESCAPES: usize = memory.data<u64>([0x5c5c5c5c5c5c5c5c, 0x5c5c5c5c5c5c5c5c], 16);
const SPACES: usize = memory.data<u64>([0x2020202020202020, 0x2020202020202020], 16);

/**
 * Reads `size` values, whose spans stand at `values`; those of the keys at `keys`, and Kafka's times at `times`. Where a record's flags
 * have SURE, it is good and all of it is in the block; of others somebody else has to judge. Returns how many are sure.
 */
export function decodeBlock(config: usize, block: usize, values: usize, keys: usize, times: usize, size: i32): i32 {
  const maxSkew = load<f64>(config + MAX_SKEW);
  let sure = 0;
  for (let i: usize = 0; i < <usize>size; i++) {
    const spans = values + 8 * i;
    const record = block + 4 * i;
    // Without a Kafka time (NaN) nothing is ahead of it.
    if (
      load<i32>(keys + 8 * i) >= 0 &&
      load<i32>(spans) >= 0 &&
      decode(config, record, block + 8 * i, load<i32>(spans), load<i32>(spans + 4)) &&
      !(load<f64>(block + EVENT_TS + 8 * i) > load<f64>(times + 8 * i) + maxSkew)
    ) {
      store<i32>(record + FLAGS, load<i32>(record + FLAGS) | SURE);
      sure++;
    } else {
      store<i32>(record + FLAGS, 0);
      store<i32>(record + TEXTS + TEXT_SIZE * ENTITY_ID, 0);
      store<i32>(record + TEXTS + TEXT_SIZE * ENTITY_ID + ENDS, 0);
    }
  }
  for (let i: usize = size; (i & 7) !== 0; i++) store<i32>(block + FLAGS + 4 * i, 0);
  for (let i: usize = 0; i < <usize>size; i += 8) hashEight(config, block, i);
  return sure;
}

/** @param record where its words are, @param doubles and its doubles: the first of each */
function decode(config: usize, record: usize, doubles: usize, start: usize, end: usize): bool {
  store<i32>(record + FLAGS, VALID);
  store<i32>(record + VERSIONS, 1);
  store<f64>(doubles + RECEIVED_TS, NaN);
  store<f64>(doubles + ASSIGNED_TS, NaN);
  store<f64>(doubles + SPEND_MICROS, 0);
  const required = load<u32>(config + REQUIRED);
  let seen: u32 = 0;
  let unlisted = UNLISTED;
  let place = NONE;
  let i = start;
  odd = 0;
  do {
    const known = config + SEPARATORS + (<usize>place) * SEPARATOR_SIZE;
    const length: usize = load<u8>(known);
    let follows: u32 = load<u8>(known + 1);
    // What had another value last time may have a text now.
    if (length !== 0 && isSeparatorAt(known, i) && (follows >= UNLISTED || load<u8>(i + length) !== 0x22)) {
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
      i = follows === field ? otherEnd(config, record, doubles, target, i, end) : listedTextEnd(record, target, i, end);
    }
    if (i === UNSURE || i >= end) return false;
  } while (load<u8>(i) !== 0x7d);
  return i + 1 === end && odd === 0 && (seen & required) === required;
}

/** Whether the separator that is known lies there. */
// @ts-ignore: decorator
@inline
function isSeparatorAt(known: usize, at: usize): bool {
  const mask = load<i32>(known + 4);
  const low = i8x16.bitmask(i8x16.eq(v128.load(at), v128.load(known + 16)));
  const high = i8x16.bitmask(i8x16.eq(v128.load(at + 16), v128.load(known + 32)));
  return ((low | (high << 16)) & mask) === mask;
}

/** Reads what lies between two values, and remembers it: returns what follows, at `valueAt`, or more than that can be. */
function find(config: usize, place: u32, from: usize, end: usize): u32 {
  if (load<u8>(from) !== (place === NONE ? 0x7b : 0x2c) || load<u8>(from + 1) !== 0x22) return u32.MAX_VALUE;
  const nameAt = from + 2;
  const nameEnd = textEnd(nameAt, end);
  // Of something odd nothing is learned, for what lies between values is not asked about again.
  if (odd !== 0 || load<u8>(nameEnd + 1) !== 0x3a) return u32.MAX_VALUE;
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

/** The quote that ends a text of plain ASCII; where there is none, something `odd`, or a place that is not before `end`. */
// @ts-ignore: decorator
@inline
function textEnd(at: usize, end: usize): usize {
  const quotes = v128.load(QUOTES);
  const escapes = v128.load(ESCAPES);
  const spaces = v128.load(SPACES);
  let i = at;
  let mask = 0;
  while (true) {
    const bytes = v128.load(i);
    // As signed bytes all that is no ASCII is below a space, too.
    mask = i8x16.bitmask(v128.or(v128.or(i8x16.eq(bytes, quotes), i8x16.eq(bytes, escapes)), i8x16.lt_s(bytes, spaces)));
    if (mask !== 0 || i >= end) break;
    i += 16;
  }
  // Without any, 32 bytes on: beyond the end.
  const found = i + ctz(mask);
  odd |= <u32>load<u8>(found) ^ 0x22;
  return found;
}

/** Of a listed field whose value begins with a quote, before `at`. */
// @ts-ignore: decorator
@inline
function listedTextEnd(record: usize, target: u32, at: usize, end: usize): usize {
  if (target > LAST_TEXT) return UNSURE;
  const close = textEnd(at, end);
  if (target <= LAST_ID && close - at - 1 >= MAX_ID) return UNSURE;
  if (close - at > MAX_TEXT) return UNSURE;
  store<i32>(record + TEXTS + TEXT_SIZE * target, <i32>at);
  store<i32>(record + TEXTS + TEXT_SIZE * target + ENDS, <i32>close);
  if (target >= FIRST_OPTIONAL_TEXT) store<i32>(record + FLAGS, load<i32>(record + FLAGS) | (1 << (target - FIRST_OPTIONAL_TEXT)));
  return close + 1;
}

/** Of a listed field whose value begins otherwise. */
// @ts-ignore: decorator
@inline
function otherEnd(config: usize, record: usize, doubles: usize, target: u32, at: usize, end: usize): usize {
  if (target <= LAST_TEXT) return UNSURE;
  if (target <= ALLOCATION_VERSION) {
    const after = digitsEnd(at);
    if (target === SPEND && <f64>integer > load<f64>(config + MAX_SPEND)) return UNSURE;
    if (target === ALLOCATION_VERSION) {
      if (integer < 1 || integer > 0x7fffffff) return UNSURE;
      store<i32>(record + VERSIONS, <i32>integer);
    } else {
      store<f64>(doubles + NUMBERS + NUMBERS_SIZE * (target - LAST_TEXT - 1), <f64>integer);
    }
    return after;
  }
  if (target === IS_VALID) {
    if (load<u32>(at) === 0x65757274) return at + 4;
    if (load<u32>(at) !== 0x736c6166 || load<u8>(at + 4) !== 0x65) return UNSURE;
    store<i32>(record + FLAGS, load<i32>(record + FLAGS) & ~VALID);
    return at + 5;
  }
  const after = load<u8>(at) === 0x7b ? valueEnd(at, end) : UNSURE;
  store<i32>(record + ATTRIBUTES, <i32>at);
  store<i32>(record + ATTRIBUTES + ENDS, <i32>after);
  store<i32>(record + FLAGS, load<i32>(record + FLAGS) | HAS_ATTRIBUTES);
  return after;
}

/** A number written as 1 to 15 digits and nothing else, or it is `odd`; eight at a time. Where they end is known before what they are worth. */
function digitsEnd(at: usize): usize {
  const first = load<u64>(at) ^ ZEROS;
  const others = notDigits(first);
  if (others !== 0) {
    const count = ctz(others) >> 3;
    integer = worthOf(first, count);
    odd |= <u32>(count === 0) | (<u32>(count > 1) & <u32>(load<u8>(at) === 0x30));
    return at + <usize>count;
  }
  const second = load<u64>(at + 8) ^ ZEROS;
  const rest = ctz(notDigits(second)) >> 3;
  integer = worthOf(first, 8) * load<i64>(POWERS_OF_TEN + 8 * <usize>rest) + worthOf(second, rest);
  odd |= <u32>(rest === 8) | <u32>(load<u8>(at) === 0x30);
  return at + 8 + <usize>rest;
}

/** In each byte that is no digit the highest bit: one above 9 has it, or gets it. Digits stand as numbers. */
// @ts-ignore: decorator
@inline
function notDigits(eight: u64): u64 {
  return ((eight + 0x7676767676767676) | eight) & 0x8080808080808080;
}

/** Of the first `count` of eight digits: of pairs, then of all of them. */
// @ts-ignore: decorator
@inline
function worthOf(digits: u64, count: u64): i64 {
  // In two steps, for one of 64 bits would be none.
  let eight = count === 8 ? digits : (digits << 8) << ((7 - count) * 8);
  eight = eight * 10 + (eight >> 8);
  return ((eight & 0x000000ff000000ff) * 0x000f424000000064 + ((eight >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >> 32;
}

/** A text, whole digits, a literal, or a flat object of them. */
function valueEnd(at: usize, end: usize): usize {
  if (load<u8>(at) !== 0x7b) return scalarEnd(at, end);
  let i = at + 1;
  if (load<u8>(i) === 0x7d) return i + 1;
  while (i < end) {
    if (load<u8>(i) !== 0x22) return UNSURE;
    const close = textEnd(i + 1, end);
    if (load<u8>(close + 1) !== 0x3a) return UNSURE;
    i = scalarEnd(close + 2, end);
    if (i === UNSURE) return UNSURE;
    if (load<u8>(i) === 0x7d) return i + 1;
    if (load<u8>(i) !== 0x2c) return UNSURE;
    i++;
  }
  return UNSURE;
}

function scalarEnd(at: usize, end: usize): usize {
  if (load<u8>(at) === 0x22) return textEnd(at + 1, end) + 1;
  const word = load<u32>(at);
  if (word === 0x65757274 || word === 0x6c6c756e) return at + 4;
  if (word === 0x736c6166) return load<u8>(at + 4) === 0x65 ? at + 5 : UNSURE;
  return digitsEnd(at);
}

