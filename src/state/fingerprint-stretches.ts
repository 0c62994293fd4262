/** Which lines of a fingerprint table a pass moves at a time. */
import { isFull } from './fingerprint-lines.ts';
import { LAST_STRETCH, linesFor } from './fingerprint-sizes.ts';

/** Where a stretch below a line begins: so that no key of an earlier home lies in it. */
export function stretchBelow(slots: Int32Array, end: number, count: number): number {
  let from = Math.max(0, end - count);
  while (from > 0 && isFull(slots, from - 1)) from--;
  return from < LAST_STRETCH ? 0 : from;
}

/** Where a stretch from a line on ends: so that no key of an earlier home lies behind it. `lines`: those of the table. */
export function stretchAbove(slots: Int32Array, start: number, count: number, lines: number): number {
  let to = start + count;
  while (to < lines && isFull(slots, to - 1)) to++;
  return to >= lines ? linesFor(lines) : to;
}
