/** The records of an uncompressed batch, found where they lie: as src/topology/sources/record-reader.ts reads them, whose word counts. */
import {
  APPEND_TIME,
  BASE_OFFSET,
  BASE_TIME,
  COUNT,
  FROM,
  FROM_OFFSET,
  KEYS,
  LAST_DELTA,
  OFFSETS,
  TIMES,
  TO,
  VALUES,
} from './layout';

const LEAST_RECORD_BYTES: i64 = 6;
/** As `found` says it. */
const ODD: i32 = -1;

/** A number that was read: its bits, as they are written, above these four, in which its bytes are counted; 0 bytes when there are more. */
const WIDTH_BITS: i64 = 4;
const WIDTH: i64 = 15;
/** What a double tells exactly. */
const MOST_BYTES: u64 = 7;
/** Of numbers of 32 bits. */
const MOST_SHORT_BYTES: i64 = 5;
const MOST_SHORT_BITS: i64 = 0xffffffff;

/**
 * Adds the records of a batch to the columns, those from an offset on, and returns how many these are; ODD when something about the
 * batch is not as usual: somebody else has to look at it then, whatever stands in the columns.
 */
export function findRecords(what: usize): i32 {
  const baseOffset = load<f64>(what + BASE_OFFSET);
  const baseTime = load<f64>(what + BASE_TIME);
  const appendTime = load<f64>(what + APPEND_TIME);
  const hasOwnTimes = appendTime !== appendTime;
  const fromOffset = load<f64>(what + FROM_OFFSET);
  const to: i64 = load<u32>(what + TO);
  const lastDelta: i64 = load<i32>(what + LAST_DELTA);
  let offsets: usize = load<u32>(what + OFFSETS);
  let times: usize = load<u32>(what + TIMES);
  let keys: usize = load<u32>(what + KEYS);
  let values: usize = load<u32>(what + VALUES);
  let at: i64 = load<u32>(what + FROM);
  let before: i64 = -1;
  let found = 0;
  for (let left = load<i32>(what + COUNT); left > 0; left--) {
    // Every number is read within the batch or right behind it, where there is memory, and what it says is checked before the next.
    const length = number(at);
    at += length & WIDTH;
    const end = at + signed(length);
    if (isOdd(length) || signed(length) < LEAST_RECORD_BYTES || end > to) return ODD;
    const time = number(at + 1);
    if ((time & WIDTH) === 0) return ODD;
    at += 1 + (time & WIDTH);
    const delta = number(at);
    at += delta & WIDTH;
    if (isOdd(delta) || signed(delta) <= before || signed(delta) > lastDelta) return ODD;
    before = signed(delta);
    const key = number(at);
    const keyAt = at + (key & WIDTH);
    at = keyAt + max<i64>(signed(key), 0);
    if (isOdd(key) || at >= end) return ODD;
    const value = number(at);
    const valueAt = at + (value & WIDTH);
    at = valueAt + max<i64>(signed(value), 0);
    if (isOdd(value) || at >= end) return ODD;
    // What is left are headers, which are not looked at.
    const offset = baseOffset + <f64>before;
    if (offset >= fromOffset) {
      const timeMs = hasOwnTimes ? baseTime + <f64>signed(time) : appendTime;
      store<f64>(offsets, offset);
      store<f64>(times, timeMs === -1 ? NaN : timeMs);
      storeSpan(keys, key, keyAt);
      storeSpan(values, value, valueAt);
      offsets += 8;
      times += 8;
      keys += 8;
      values += 8;
      found++;
    }
    at = end;
  }
  return at === to ? found : ODD;
}

/** Reads the number at a place: see WIDTH_BITS. */
// @ts-ignore: decorator
@inline
function number(at: i64): i64 {
  const first: i64 = load<u8>(<usize>at);
  if (first < 0x80) return (first << WIDTH_BITS) | 1;
  const second: i64 = load<u8>(<usize>at + 1);
  if (second < 0x80) return (((second << 7) | (first & 0x7f)) << WIDTH_BITS) | 2;
  return longNumber(<usize>at);
}

function longNumber(at: usize): i64 {
  let bits: u64 = 0;
  for (let i: u64 = 0; i < MOST_BYTES; i++) {
    const byte: u64 = load<u8>(at + <usize>i);
    bits |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return (bits << WIDTH_BITS) | (i + 1);
  }
  return 0;
}

/** Of its bits, the number itself: the lowest is its sign. */
// @ts-ignore: decorator
@inline
function signed(read: i64): i64 {
  const bits = read >>> WIDTH_BITS;
  return (bits >>> 1) ^ -(bits & 1);
}

/** Whether one of 32 bits has more, or more bytes than they take. */
// @ts-ignore: decorator
@inline
function isOdd(read: i64): bool {
  const width = read & WIDTH;
  return width === 0 || width > MOST_SHORT_BYTES || read >>> WIDTH_BITS > MOST_SHORT_BITS;
}

// @ts-ignore: decorator
@inline
function storeSpan(to: usize, length: i64, at: i64): void {
  const bytes = signed(length);
  store<i32>(to, bytes < 0 ? -1 : <i32>at);
  store<i32>(to + 4, <i32>(bytes < 0 ? -1 : at + bytes));
}
