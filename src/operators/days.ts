/** Days of quarter hours, in a zone. Every zone's offset has been a multiple of 15 minutes since 1972. */
import { DateTime } from 'luxon';

const SLOT_MS = 900_000;
const DAY_MS = 86_400_000;
const MAX_REMEMBERED = 100_000;

const remembered = new Map<string, Map<number, number>>();

/** Days since 1970-01-01 of the local calendar day that holds a slot (a count of quarter hours since the epoch, UTC). */
export function dayOfSlot(slot: number, zone: string): number {
  let days = remembered.get(zone);
  if (days === undefined) {
    days = new Map();
    remembered.set(zone, days);
  }
  let day = days.get(slot);
  if (day === undefined) {
    const startMs = slot * SLOT_MS;
    const offsetMs = zone === 'UTC' ? 0 : DateTime.fromMillis(startMs, { zone }).offset * 60_000;
    day = Math.floor((startMs + offsetMs) / DAY_MS);
    if (days.size >= MAX_REMEMBERED) days.clear();
    days.set(slot, day);
  }
  return day;
}

/** YYYY-MM-DD of such a day. */
export const dayText = (day: number): string => DateTime.fromMillis(day * DAY_MS, { zone: 'UTC' }).toFormat('yyyy-MM-dd');
