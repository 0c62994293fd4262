/** Days of quarter hours, in a zone. Every zone's offset has been a multiple of 15 minutes since 1972. */
import { DateTime } from 'luxon';
import { SLOT_MS, type ZoneSpans } from '../topology/types.ts';

const DAY_MS = 86_400_000;
const MAX_REMEMBERED = 100_000;
/** No zone is further ahead of UTC than 14 hours, or further behind than 12. */
const SLOTS_BEFORE = 15 * 4;
const SLOTS_AFTER = 13 * 4;
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

/** The zone in force at that time. */
export function zoneAt(spans: ZoneSpans, atMs: number): string {
  let i = spans.length - 1;
  while (i > 0 && spans[i].fromMs > atMs) i--;
  return spans[i].zone;
}

/** The day of a quarter hour by the zone that was in force then. */
export const dayInZones = (slot: number, spans: ZoneSpans): number =>
  dayOfSlot(slot, spans.length === 1 ? spans[0].zone : zoneAt(spans, slot * SLOT_MS));

/** The day that an instant belongs to. */
export const dayAt = (atMs: number, zone: string): number => dayOfSlot(Math.floor(atMs / SLOT_MS), zone);

/** A day from its first instant to the next day's: 24 hours, or 23 or 25 where clocks change; 0 where a zone leaps over it. */
export interface DayBounds {
  startMs: number;
  endMs: number;
}

const bounds = new Map<string, DayBounds>();

export function dayBounds(day: number, zone: string): DayBounds {
  const name = `${day} ${zone}`;
  let known = bounds.get(name);
  if (known === undefined) {
    known = { startMs: firstSlotOf(day, zone) * SLOT_MS, endMs: firstSlotOf(day + 1, zone) * SLOT_MS };
    if (bounds.size >= MAX_REMEMBERED) bounds.clear();
    bounds.set(name, known);
  }
  return known;
}

/** Midnight as such may be missing or come twice; the first quarter hour of the day or of a later one does neither. */
function firstSlotOf(day: number, zone: string): number {
  let before = (day * DAY_MS) / SLOT_MS - SLOTS_BEFORE;
  let first = (day * DAY_MS) / SLOT_MS + SLOTS_AFTER;
  while (first - before > 1) {
    const middle = Math.floor((before + first) / 2);
    if (dayOfSlot(middle, zone) >= day) first = middle;
    else before = middle;
  }
  return first;
}

const hours = new Map<string, Uint8Array>();

/** The local hour of the week (Monday 0 h is 0) of each quarter hour of a day, in order: 96 of them, 92 or 100 where clocks change. */
export function weekHoursOf(day: number, zone: string): Uint8Array {
  const name = `${day} ${zone}`;
  let known = hours.get(name);
  if (known === undefined) {
    const { startMs, endMs } = dayBounds(day, zone);
    known = Uint8Array.from({ length: (endMs - startMs) / SLOT_MS }, (_, i) => {
      const { weekday, hour } = DateTime.fromMillis(startMs + i * SLOT_MS, { zone });
      return (weekday - 1) * 24 + hour;
    });
    if (hours.size >= MAX_REMEMBERED) hours.clear();
    hours.set(name, known);
  }
  return known;
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
