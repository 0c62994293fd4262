/** How large a fingerprint table is for so many keys, and how far from its home a key may lie. */

const MIN_CAPACITY = 4096;
/** Up to here a table is rebuilt in one go, which takes a fraction of a millisecond. */
export const WHOLE = 2 ** 16;
/** Slots of a signed 32-bit index of words. */
export const MAX_CAPACITY = 2 ** 30 - 8192;
const MAX_REACH = 2046;
/** At this share of used slots a table grows by GROWTH: 9.4 bytes a key, and the size that it grows to is 11.8. Small ones, whose reach is short, sooner. */
const LOAD = 0.85;
const SMALL_LOAD = 0.7;
const SMALL = 2 ** 18;
const SMALLEST_LOAD = 0.5;
const SMALLEST = 2 ** 14;
const GROWTH = 1.25;
/** Where the number of keys is known before. */
const RESERVED_LOAD = 0.8;
/** The last stretch of a pass, so that a gap of more than MAX_REACH is always between its parts. */
export const LAST_STRETCH = Math.ceil((MAX_REACH + 2) / (GROWTH - 1));
/** With this share of its limit live, a full table grows; with less it is cleaned, for what has expired fills it. */
const CROWDED = 0.95;
/** Less than this share of live keys: worth shrinking, to SHRUNK_LOAD but to half the size at most, so that a pass ends before that is full. */
const SPARSE = 0.42;
const SHRUNK_LOAD = 0.62;
const MOST_SHRINKING = 0.5;

export const reachOf = (capacity: number): number => Math.min(MAX_REACH, Math.max(8, (capacity >>> 6) - 2));
export const slotsFor = (capacity: number): number => capacity + reachOf(capacity) + 2;
const loadOf = (capacity: number): number => (capacity < SMALLEST ? SMALLEST_LOAD : capacity < SMALL ? SMALL_LOAD : LOAD);

/** Used slots at which a table of that capacity grows. */
export const limitOf = (capacity: number): number => Math.floor(capacity * loadOf(capacity));

/** Whether with so many live keys it should shrink. */
export function isSparse(capacity: number, liveKeys: number): boolean {
  const share = Math.min(SPARSE, 0.6 * loadOf(capacity * MOST_SHRINKING));
  return capacity > MIN_CAPACITY && liveKeys < capacity * share;
}

/** The capacity for so many live keys in a table that has to be put in order. */
export function nextCapacity(capacity: number, liveKeys: number): number {
  if (liveKeys >= limitOf(capacity) * CROWDED) return Math.max(MIN_CAPACITY, Math.ceil(capacity * GROWTH));
  if (!isSparse(capacity, liveKeys)) return capacity;
  const load = Math.min(SHRUNK_LOAD, loadOf(capacity * MOST_SHRINKING) * CROWDED);
  return Math.max(MIN_CAPACITY, Math.ceil(Math.max(liveKeys / load, capacity * MOST_SHRINKING)));
}

/** The capacity where it is known that so many keys come. */
export const reservedCapacity = (keys: number): number => Math.max(MIN_CAPACITY, Math.ceil(keys / RESERVED_LOAD));
