/** How large a fingerprint table is for so many keys, in lines of eight slots, and how far from its home a key may lie. */
import { LINE } from './fingerprint-lines.ts';
import { NARROW_SLOTS } from './growing-slots.ts';

const MIN_LINES = 512;
/** Up to here a table is rebuilt in one go, which takes a fraction of a millisecond. */
export const WHOLE = 2 ** 13;
/** Lines of a signed 32-bit index of words. */
export const MAX_LINES = 2 ** 27 - 1024;
const MAX_REACH = 255;
/** At this share of used slots a table grows: 9.4 bytes a key, and the size that it grows to is 11.8. Small ones, whose reach is short, sooner. */
const LOAD = 0.85;
const SMALL_LOAD = 0.7;
const SMALL = 2 ** 15;
const SMALLEST_LOAD = 0.5;
const SMALLEST = 2 ** 11;
const GROWTH = 1.25;
/** Below 64 MiB by this, to 14.1 bytes a key: a key is moved half as often while a table fills, which is a fifth of what it costs. */
const EARLY_GROWTH = 1.5;
const EARLY = 2 ** 20;
/** Where a step of that would need more than 32 bits of addresses, the last one before goes to NARROW_LINES, if it is of this at least. */
const LEAST_GROWTH = 1.15;
/** Where the number of keys is known before. */
const RESERVED_LOAD = 0.8;
/** The last stretch of a pass, so that a gap of more than MAX_REACH is always between its parts. */
export const LAST_STRETCH = Math.ceil((MAX_REACH + 2) / (LEAST_GROWTH - 1));
/** With this share of its limit live, a full table grows; with less it is cleaned, for what has expired fills it. */
const CROWDED = 0.95;
/** Less than this share of live keys: worth shrinking, to SHRUNK_LOAD but to half the size at most, so that a pass ends before that is full. */
const SPARSE = 0.42;
const SHRUNK_LOAD = 0.62;
const MOST_SHRINKING = 0.5;

/** Less than a region of the table (one of 64) by a line, so that a hash can be told by where it lies. */
export const reachOf = (lines: number): number => Math.min(MAX_REACH, Math.max(1, (lines >>> 6) - 2));
/** The lines of its memory: the last is always empty. */
export const linesFor = (lines: number): number => lines + reachOf(lines) + 2;
/** And the slots. */
export const slotsFor = (lines: number): number => linesFor(lines) * LINE;
/** As many as addresses of 32 bits reach, where compiled code finds keys. */
const NARROW_LINES = Math.floor(NARROW_SLOTS / LINE) - MAX_REACH - 2;
const loadOf = (lines: number): number => (lines < SMALLEST ? SMALLEST_LOAD : lines < SMALL ? SMALL_LOAD : LOAD);

/** Used slots at which a table of so many lines grows. */
export const limitOf = (lines: number): number => Math.floor(lines * LINE * loadOf(lines));

/** Whether with so many live keys it should shrink. */
export function isSparse(lines: number, liveKeys: number): boolean {
  const share = Math.min(SPARSE, 0.6 * loadOf(lines * MOST_SHRINKING));
  return lines > MIN_LINES && liveKeys < lines * LINE * share;
}

/** The lines for so many live keys in a table that has to be put in order. `isTight`: where there is no memory for the usual step. */
export function nextLines(lines: number, liveKeys: number, isTight = false): number {
  const growth = lines < EARLY && !isTight ? EARLY_GROWTH : GROWTH;
  if (liveKeys >= limitOf(lines) * CROWDED) return grown(lines, Math.ceil(lines * growth));
  if (!isSparse(lines, liveKeys)) return lines;
  const load = Math.min(SHRUNK_LOAD, loadOf(lines * MOST_SHRINKING) * CROWDED);
  return Math.max(MIN_LINES, Math.ceil(Math.max(liveKeys / LINE / load, lines * MOST_SHRINKING)));
}

/** The lines where it is known that so many keys come. */
export function reservedLines(lines: number, keys: number): number {
  const wanted = Math.ceil(keys / LINE / RESERVED_LOAD);
  return wanted <= lines ? lines : grown(lines, Math.max(wanted, Math.ceil(lines * GROWTH)), keys);
}

/** To `next` lines, or to as many as 32 bits reach where these are worth it and hold the keys. */
function grown(lines: number, next: number, keys = 0): number {
  const isNarrowEnough = lines * LEAST_GROWTH <= NARROW_LINES && keys <= limitOf(NARROW_LINES);
  return Math.max(MIN_LINES, next > NARROW_LINES && isNarrowEnough ? NARROW_LINES : next);
}
