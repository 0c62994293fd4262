/**
 * Finds a key in a dedup table, a line of the cache at a time, and moves stretches of it within its memory. Both do what
 * src/state/fingerprint-lines.ts does in TypeScript: there is what the words mean. This is AssemblyScript, compiled into
 * src/state/native-lines.ts by `npm run build:native`; what calls it is src/state/compiled-lines.ts, which knows the same places.
 */

/** By tag: 1 when its bucket is live. */
// @ts-ignore: decorator
@inline const LIVE: usize = 0;
/** What a move found: slots that were not empty, keys that were placed, keys without room. */
// @ts-ignore: decorator
@inline const USED: usize = 64;
// @ts-ignore: decorator
@inline const PLACED: usize = 68;
// @ts-ignore: decorator
@inline const STRAYS: usize = 72;
/** What came of keys that were entered together: how many were added, and how many of them took an empty slot. */
// @ts-ignore: decorator
@inline const ADDED_KEYS: usize = 76;
// @ts-ignore: decorator
@inline const TOOK_EMPTY: usize = 80;
/** And how many have no room. */
// @ts-ignore: decorator
@inline const CROWDED: usize = 84;
/** How many slots of each line are taken that keys are moved to, a byte each. */
// @ts-ignore: decorator
@inline const COUNTS: usize = 128;
// @ts-ignore: decorator
@inline const COUNTED: u32 = 4096;
/** Keys on the way: top of the hash, then the slot. Those without room are left at its beginning. */
// @ts-ignore: decorator
@inline const KEYS: usize = 8192;
// @ts-ignore: decorator
@inline const KEY_BYTES: usize = 12;
/**
 * Of keys that are entered together, behind the tops of their hashes: the lower words, the tags and then what came of each, the homes and
 * the lines behind them, and the hashes of those that were added.
 */
// @ts-ignore: decorator
@inline const LOWER: usize = 4096;
// @ts-ignore: decorator
@inline const TAGS: usize = 8192;
// @ts-ignore: decorator
@inline const HOMES: usize = 12288;
// @ts-ignore: decorator
@inline const NEXT: usize = 16384;
// @ts-ignore: decorator
@inline const ADDED: usize = KEYS + 20480;
// @ts-ignore: decorator
@inline const LINES: usize = 4 * 65536;

// @ts-ignore: decorator
@inline const TAG_SHIFT: u32 = 26;
// @ts-ignore: decorator
@inline const MASK: u32 = (1 << 26) - 1;
// @ts-ignore: decorator
@inline const REGION: f64 = 67108864;
// @ts-ignore: decorator
@inline const ROUNDING: f64 = 0.0625;
// @ts-ignore: decorator
@inline const LINE: usize = 8;
// @ts-ignore: decorator
@inline const PRESENT: i32 = -1;
// @ts-ignore: decorator
@inline const NO_ROOM: i32 = -2;

/** Where keys are, as FingerprintTable has it: among how many lines, and those that a pass has moved among how many; bytes of reach. */
let lines: u32 = 0;
let nextLines: u32 = 0;
let frontier: i32 = 0;
let flip: i32 = 0;
let reachBytes: usize = 0;
let mayHoldExpired: bool = false;

/** LIVE is written before. */
export function setExpired(mayBe: bool): void {
  mayHoldExpired = mayBe;
}

export function place(now: u32, next: u32, from: i32, mask: i32, reach: u32): void {
  lines = now;
  nextLines = next;
  frontier = from;
  flip = mask;
  reachBytes = bytesOf(reach + 1);
}

// @ts-ignore: decorator
@inline function bytesOf(lines: u32): usize {
  return <usize>lines << 6;
}

// @ts-ignore: decorator
@inline function lineOf(hash: u32, among: u32): u32 {
  return <u32>((<u64>hash * <u64>among) >> 32);
}

/**
 * Reads the home of each hash that stands at KEYS, and the next lines where it is full: in few steps and without branches, so that
 * the misses of all of them overlap.
 */
export function warm(count: u32): u32 {
  const end = KEYS + (<usize>count << 2);
  let read: u32 = 0;
  for (let key: usize = KEYS; key < end; key += 4) {
    const line = homeOf(load<u32>(key));
    read ^= load<u32>(line + 56);
    store<u32>(key, <u32>line);
  }
  for (let more = 0; more < 2; more++) {
    for (let key: usize = KEYS; key < end; key += 4) {
      const line = <usize>load<u32>(key);
      const next = line + (<usize>(load<u32>(line + 56) != 0) << 6);
      read ^= load<u32>(next + 56);
      store<u32>(key, <u32>next);
    }
  }
  return read;
}

/**
 * Enters the keys that stand at KEYS, one after the other, as `enter` does. In the place of its tag stands then what came of each: 0 when
 * it was added, −1 when it was there, −2 where there is no room in reach. Homes are read before, as in `warm`; what it returns means nothing.
 */
export function enterAll(count: u32): u32 {
  const end = KEYS + (<usize>count << 2);
  const read = readHomes(end);
  let added = ADDED;
  let empties: u32 = 0;
  let crowded: u32 = 0;
  for (let key: usize = KEYS; key < end; key += 4) {
    const hi = load<u32>(key);
    const lo = load<u32>(key, LOWER);
    const entered = enterFrom(<usize>load<u32>(key, HOMES), hi, lo, load<u32>(key, TAGS));
    store<i32>(key, min(entered, 0), TAGS);
    empties += <u32>(entered > 0);
    crowded += <u32>(entered == NO_ROOM);
    // Written also where it is not kept.
    store<u64>(added, (<u64>lo << 32) | <u64>hi);
    added += <usize>(entered >= 0) << 3;
  }
  store<u32>(ADDED_KEYS, <u32>((added - ADDED) >> 3));
  store<u32>(TOOK_EMPTY, empties);
  store<u32>(CROWDED, crowded);
  return read;
}

// @ts-ignore: decorator
@inline function readHomes(end: usize): u32 {
  let read: u32 = 0;
  for (let key: usize = KEYS; key < end; key += 4) {
    const home = homeOf(load<u32>(key));
    read ^= load<u32>(home + 56);
    store<u32>(key, <u32>home, HOMES);
  }
  for (let key: usize = KEYS; key < end; key += 4) {
    const home = <usize>load<u32>(key, HOMES);
    const next = home + (<usize>(load<u32>(home + 56) != 0) << 6);
    read ^= load<u32>(next + 56);
    store<u32>(key, <u32>next, NEXT);
  }
  for (let key: usize = KEYS; key < end; key += 4) {
    const next = <usize>load<u32>(key, NEXT);
    read ^= load<u32>(next + (<usize>(load<u32>(next + 56) != 0) << 6));
  }
  return read;
}

// @ts-ignore: decorator
@inline function homeOf(hi: u32): usize {
  let home = lineOf(hi, lines);
  if (((<i32>home - frontier) ^ flip) >= 0) home = lineOf(hi, nextLines);
  return LINES + bytesOf(home);
}

/** 1 when the key is there and live. */
export function has(hi: u32, lo: u32): u32 {
  const slot = search(homeOf(hi), keyOf(hi, lo));
  return slot < 0 ? 0 : <u32>isLive(load<u32>(LINES + (<usize>slot << 3)));
}

/** Enters a key that is absent: 1 into an empty slot, 0 into an expired one. Else −1: it is there and live; −2: no room in reach. */
export function enter(hi: u32, lo: u32, tag: u32): i32 {
  return enterFrom(homeOf(hi), hi, lo, tag);
}

// @ts-ignore: decorator
@inline function enterFrom(home: usize, hi: u32, lo: u32, tag: u32): i32 {
  const slot = slotFor(home, hi, lo);
  if (slot < 0) return slot;
  const at = LINES + (<usize>slot << 3);
  const took = <i32>(load<u32>(at) == 0);
  store<u32>(at, (tag << TAG_SHIFT) | (hi & MASK));
  store<u32>(at, lo, 4);
  return took;
}

/** The number of the slot that the key may take: its own, or of those that are empty or expired the first. Else PRESENT or NO_ROOM. */
// @ts-ignore: decorator
@inline function slotFor(home: usize, hi: u32, lo: u32): i32 {
  const slot = search(home, keyOf(hi, lo));
  if (slot >= 0) {
    const first = load<u32>(LINES + (<usize>slot << 3));
    if (first != 0) return isLive(first) ? PRESENT : slot;
  }
  return mayHoldExpired ? firstFree(home) : slot;
}

// @ts-ignore: decorator
@inline function keyOf(hi: u32, lo: u32): i64 {
  return (<i64>lo << 32) | <i64>(hi & MASK);
}

// @ts-ignore: decorator
@inline function isLive(first: u32): bool {
  return load<u8>(LIVE + <usize>(first >>> TAG_SHIFT)) != 0;
}

function firstFree(home: usize): i32 {
  let at = home;
  while (isLive(load<u32>(at))) at += 8;
  return at < home + reachBytes ? <i32>((at - LINES) >> 3) : NO_ROOM;
}

/** The number of the slot of a key, or of the first empty one, or NO_ROOM. */
// @ts-ignore: decorator
@inline function search(home: usize, key: i64): i32 {
  const wanted = i64x2.splat(key);
  const untagged = i64x2.splat((<i64>-1 << 32) | <i64>MASK);
  const none = i64x2.splat(0);
  let line = home;
  let found: i32 = NO_ROOM;
  while (line < home + reachBytes) {
    const a = v128.load(line);
    const b = v128.load(line, 16);
    const c = v128.load(line, 32);
    const d = v128.load(line, 48);
    const isA = i64x2.eq(v128.and(a, untagged), wanted);
    const isB = i64x2.eq(v128.and(b, untagged), wanted);
    const isC = i64x2.eq(v128.and(c, untagged), wanted);
    const isD = i64x2.eq(v128.and(d, untagged), wanted);
    if (v128.any_true(v128.or(v128.or(isA, isB), v128.or(isC, isD)))) {
      found = slotOf(line, maskOf(isA, isB, isC, isD));
      break;
    }
    const free = maskOf(i64x2.eq(a, none), i64x2.eq(b, none), i64x2.eq(c, none), i64x2.eq(d, none));
    if (free != 0) {
      found = slotOf(line, free);
      break;
    }
    line += 64;
  }
  return found;
}

/** A bit a slot. */
// @ts-ignore: decorator
@inline function maskOf(a: v128, b: v128, c: v128, d: v128): i32 {
  return i64x2.bitmask(a) | (i64x2.bitmask(b) << 2) | (i64x2.bitmask(c) << 4) | (i64x2.bitmask(d) << 6);
}

// @ts-ignore: decorator
@inline function slotOf(line: usize, mask: i32): i32 {
  return <i32>((line - LINES) >> 3) + ctz(mask);
}

/** Lines `from` to `to`, whose keys were placed among `now`, go to where they belong among `next`, within `reach` lines. */
export function move(from: u32, to: u32, now: u32, next: u32, reach: u32): void {
  const end = lift(from, to, now);
  memory.fill(LINES + bytesOf(from), 0, bytesOf(to - from));
  drop(end, next, reach, lineOf(<u32>((<f64>from * 64 * REGION) / <f64>now), next));
}

function lift(from: u32, to: u32, now: u32): usize {
  const perLine = (64 * REGION) / <f64>now;
  let region = <u32>Math.floor((<f64>from * 64) / <f64>now);
  let within = <f64>from * perLine - <f64>region * REGION + ROUNDING;
  let key: usize = KEYS;
  let used: u32 = 0;
  const end = LINES + bytesOf(to);
  for (let line = LINES + bytesOf(from); line < end; line += 64) {
    within += perLine;
    if (within >= REGION) {
      within -= REGION;
      region++;
    }
    const most = <u32>within;
    for (let at = line; at < line + 64; at += 8) {
      const slot = load<u64>(at);
      const first = <u32>slot;
      const low = first & MASK;
      used += <u32>(first != 0);
      // Written also where it is not kept: a branch taken at random costs more than all of this.
      store<u32>(key, ((region - <u32>(low > most)) << TAG_SHIFT) | low);
      store<u64>(key + 4, slot);
      key += KEY_BYTES * <usize>load<u8>(LIVE + <usize>(first >>> TAG_SHIFT));
    }
  }
  store<u32>(USED, used);
  return key;
}

/** `base`: the line that the first of them go to. The counts spare a search in each line, and a branch that is taken at random. */
function drop(end: usize, next: u32, reach: u32, base: u32): void {
  const last: u32 = end == KEYS ? 0 : lineOf(load<u32>(end - KEY_BYTES), next) + 2;
  const counted = last > base ? min(COUNTED, last - base) : 0;
  for (let line: u32 = 0; line < counted; line++) store<u8>(COUNTS + line, takenIn(LINES + bytesOf(base + line)));
  let strays: usize = KEYS;
  for (let key: usize = KEYS; key < end; key += KEY_BYTES) {
    const home = lineOf(load<u32>(key), next);
    const line = home - base;
    if (line < counted) {
      const count = <usize>load<u8>(COUNTS + line);
      if (count < LINE) {
        store<u64>(LINES + bytesOf(home) + (count << 3), load<u64>(key + 4));
        store<u8>(COUNTS + line, <u8>(count + 1));
        continue;
      }
    }
    if (crowd(home, load<u64>(key + 4), reach, base, counted)) continue;
    store<u32>(strays, load<u32>(key));
    store<u64>(strays + 4, load<u64>(key + 4));
    strays += KEY_BYTES;
  }
  store<u32>(STRAYS, <u32>((strays - KEYS) / KEY_BYTES));
  store<u32>(PLACED, <u32>((end - strays) / KEY_BYTES));
}

/** Puts a slot into the first empty one from its home on; false where that is out of reach. */
function crowd(home: u32, slot: u64, reach: u32, base: u32, counted: u32): bool {
  const start = LINES + bytesOf(home);
  let at = start;
  while (load<u32>(at) != 0) at += 8;
  if (at - start >= bytesOf(reach + 1)) return false;
  store<u64>(at, slot);
  const line = <u32>((at - LINES) >> 6) - base;
  if (line < counted) store<u8>(COUNTS + line, <u8>(((at & 63) >> 3) + 1));
  return true;
}

/** Slots of a line are taken in order. */
function takenIn(line: usize): u8 {
  let count: usize = 0;
  while (count < LINE && load<u32>(line + (count << 3)) != 0) count++;
  return <u8>count;
}
