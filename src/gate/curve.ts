/** The plan of a budget day: 25 cumulative amounts, one at each 24th of the day, whether it has 23, 24 or 25 hours. */

export const CURVE_POINTS = 25;
const PARTS = CURVE_POINTS - 1;

/** A budget day, epoch ms, end exclusive. */
export interface BudgetDay {
  startMs: number;
  endMs: number;
}

/** Where in the day that is, in 24ths: 0 at its start and before, 24 at its end and after. */
function placeOf(day: BudgetDay, atMs: number): number {
  const lengthMs = day.endMs - day.startMs;
  if (!(lengthMs > 0) || atMs <= day.startMs) return 0;
  return atMs >= day.endMs ? PARTS : ((atMs - day.startMs) * PARTS) / lengthMs;
}

/** What is planned to be spent by then, whole micros, straight between the points. */
export function targetMicrosAt(curve: readonly number[], day: BudgetDay, atMs: number): number {
  const place = placeOf(day, atMs);
  const part = Math.min(Math.floor(place), PARTS - 1);
  // The way from the point on is rounded by itself: added to a large amount its fraction could round up.
  return curve[part] + Math.floor((curve[part + 1] - curve[part]) * (place - part));
}

/** How fast the plan grows then, micros a second: at a point, of the part that begins there; 0 outside the day. */
export function slopeMicrosPerSAt(curve: readonly number[], day: BudgetDay, atMs: number): number {
  if (atMs < day.startMs || atMs >= day.endMs) return 0;
  const part = Math.min(Math.floor(placeOf(day, atMs)), PARTS - 1);
  return ((curve[part + 1] - curve[part]) * PARTS * 1000) / (day.endMs - day.startMs);
}

/** As in Redis: 25 whole amounts, comma-separated. */
export const formatCurve = (curve: readonly number[]): string => curve.join(',');

/** Null for anything but 25 whole amounts that never fall. */
export function parseCurve(text: string): number[] | null {
  const curve = text.split(',').map((part) => (/^\d{1,16}$/.test(part) ? Number(part) : Number.NaN));
  if (curve.length !== CURVE_POINTS) return null;
  for (let at = 0; at < CURVE_POINTS; at++) {
    if (!Number.isSafeInteger(curve[at]) || (at > 0 && curve[at] < curve[at - 1])) return null;
  }
  return curve;
}
