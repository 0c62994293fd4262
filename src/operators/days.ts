/** Days of quarter hours, in a zone. Every zone's offset has been a multiple of 15 minutes since 1972. */
import { DateTime } from 'luxon';

const SLOT_MS = 900_000;
const DAY_MS = 86_400_000;
const MAX_REMEMBERED = 100_000;
/** Neither dates nor offsets are known later: the last day of all, and a day before the last instant. */
const LAST_DAY = 100_000_000;
const LAST_OFFSET_MS = (LAST_DAY - 1) * DAY_MS;
/** The calendar repeats itself. */
const CYCLE_YEARS = 400;
const CYCLE_DAYS = 146_097;

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
    const offsetMs = zone === 'UTC' ? 0 : DateTime.fromMillis(Math.min(startMs, LAST_OFFSET_MS), { zone }).offset * 60_000;
    day = Math.floor((startMs + offsetMs) / DAY_MS);
    if (days.size >= MAX_REMEMBERED) days.clear();
    days.set(slot, day);
  }
  return day;
}

const texts = new Map<number, string>();

/** YYYY-MM-DD of such a day. */
export function dayText(day: number): string {
  let text = texts.get(day);
  if (text === undefined) {
    text = day > LAST_DAY ? textBeyond(day) : DateTime.fromMillis(day * DAY_MS, { zone: 'UTC' }).toFormat('yyyy-MM-dd');
    if (texts.size >= MAX_REMEMBERED) texts.clear();
    texts.set(day, text);
  }
  return text;
}

/** East of UTC the last instant falls into a day that has no date of its own. */
function textBeyond(day: number): string {
  const date = DateTime.fromMillis((day - CYCLE_DAYS) * DAY_MS, { zone: 'UTC' });
  return `${date.year + CYCLE_YEARS}-${date.toFormat('MM-dd')}`;
}
