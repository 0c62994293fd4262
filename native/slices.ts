/**
 * Enters keys into the tables of slices of time, and moves a table into one of twice the size. Both do what src/state/slice-tables.ts does
 * in TypeScript: there is what the words mean. Compiled into src/state/native-slices.ts by `npm run build:native`; what calls it is
 * src/state/compiled-slices.ts, which knows the same places.
 */

/** Keys on their way, in columns: upper words of the hashes; */
// @ts-ignore: decorator
@inline const KEYS: usize = 1024;
/** behind each its lower word, the first line of its table, how many lines that has, less one; then in its place what came of it. */
// @ts-ignore: decorator
@inline const LOWER: usize = 256;
// @ts-ignore: decorator
@inline const STARTS: usize = 512;
// @ts-ignore: decorator
@inline const MASKS: usize = 768;
// @ts-ignore: decorator
@inline const OUTCOMES: usize = 1024;
/** Keys of each part of a table that was divided. */
// @ts-ignore: decorator
@inline const PARTS: usize = 640;
/** The hashes of those that were added, and how many. */
// @ts-ignore: decorator
@inline const ADDED: usize = 4096;
// @ts-ignore: decorator
@inline const ADDED_KEYS: usize = 512;
// @ts-ignore: decorator
@inline const LINES: usize = 4 * 65536;
// @ts-ignore: decorator
@inline const PRESENT: i32 = -1;

/** 0 in the place of OUTCOMES where the key was added, −1 where it was there. What it returns means nothing. */
export function enterAll(count: u32): u32 {
  const end = KEYS + (<usize>count << 2);
  const read = readHomes(end);
  let added = ADDED;
  for (let key: usize = KEYS; key < end; key += 4) {
    const word = keyOf(load<u32>(key), load<u32>(key, LOWER));
    const outcome = enter(tableOf(key), maskOf(key), word);
    store<i32>(key, outcome, OUTCOMES);
    // Written also where it is not kept.
    store<i64>(added, word);
    added += <usize>(outcome == 0) << 3;
  }
  store<u32>(ADDED_KEYS, <u32>((added - ADDED) >> 3));
  return read;
}

/** So that the misses of all overlap. */
// @ts-ignore: decorator
@inline function readHomes(end: usize): u32 {
  let read: u32 = 0;
  for (let key: usize = KEYS; key < end; key += 4) read ^= load<u32>(tableOf(key) + ((<usize>load<u32>(key, LOWER) << 6) & maskOf(key)));
  return read;
}

// @ts-ignore: decorator
@inline function tableOf(key: usize): usize {
  return LINES + (<usize>load<u32>(key, STARTS) << 6);
}

// @ts-ignore: decorator
@inline function maskOf(key: usize): usize {
  return <usize>load<u32>(key, MASKS) << 6;
}

/** A slot of zeros is empty. */
// @ts-ignore: decorator
@inline function keyOf(hi: u32, lo: u32): i64 {
  const key = (<i64>lo << 32) | <i64>hi;
  return key == 0 ? 1 : key;
}

// @ts-ignore: decorator
@inline function homeOf(key: i64, mask: usize): usize {
  return (<usize>(key >>> 32) << 6) & mask;
}

// @ts-ignore: decorator
@inline function enter(table: usize, mask: usize, key: i64): i32 {
  const wanted = i64x2.splat(key);
  const none = i64x2.splat(0);
  let at = homeOf(key, mask);
  while (true) {
    const line = table + at;
    const a = v128.load(line);
    const b = v128.load(line, 16);
    const c = v128.load(line, 32);
    const d = v128.load(line, 48);
    const isFirst = v128.or(i64x2.eq(a, wanted), i64x2.eq(b, wanted));
    const isSecond = v128.or(i64x2.eq(c, wanted), i64x2.eq(d, wanted));
    if (v128.any_true(v128.or(isFirst, isSecond))) return PRESENT;
    const free =
      i64x2.bitmask(i64x2.eq(a, none)) |
      (i64x2.bitmask(i64x2.eq(b, none)) << 2) |
      (i64x2.bitmask(i64x2.eq(c, none)) << 4) |
      (i64x2.bitmask(i64x2.eq(d, none)) << 6);
    if (free != 0) {
      store<i64>(line + (<usize>ctz(free) << 3), key);
      return 0;
    }
    at = (at + 64) & mask;
  }
}

/** Copies the keys of a table of `lines` lines, a power of two, into an empty one of twice as many. */
export function spread(from: u32, lines: u32, to: u32): void {
  const source = LINES + (<usize>from << 6);
  const target = LINES + (<usize>to << 6);
  const bytes = <usize>lines << 6;
  const mask = 2 * bytes - 64;
  for (let slot = source; slot < source + bytes; slot += 8) {
    const key = load<i64>(slot);
    if (key != 0) put(target, mask, key);
  }
}

/** Counts them by the three bits of their upper words that `shift` comes to. */
export function countParts(from: u32, lines: u32, shift: u32): void {
  const source = LINES + (<usize>from << 6);
  memory.fill(PARTS, 0, 32);
  for (let slot = source; slot < source + (<usize>lines << 6); slot += 8) {
    const key = load<i64>(slot);
    const count = PARTS + (<usize>((<u32>key >>> shift) & 7) << 2);
    store<u32>(count, load<u32>(count) + <u32>(key != 0));
  }
}

/** Copies them into eight empty tables of `partLines` lines each, by those bits. */
export function divide(from: u32, lines: u32, to: u32, partLines: u32, shift: u32): void {
  const source = LINES + (<usize>from << 6);
  const target = LINES + (<usize>to << 6);
  const bytes = <usize>partLines << 6;
  for (let slot = source; slot < source + (<usize>lines << 6); slot += 8) {
    const key = load<i64>(slot);
    if (key != 0) put(target + <usize>((<u32>key >>> shift) & 7) * bytes, bytes - 64, key);
  }
}

// @ts-ignore: decorator
@inline function put(table: usize, mask: usize, key: i64): void {
  let at = homeOf(key, mask);
  while (load<i64>(table + at) != 0) at = (at + 8) & (mask | 63);
  store<i64>(table + at, key);
}
