/** Calendar days by the platform's own time zone data. */

/** Offsets are multiples of a quarter of an hour since 1972, so that a day is the same all through a quarter. */
const QUARTER = 15 * 60_000;
const formats = new Map<string, Intl.DateTimeFormat>();
const days = new Map<string, Map<number, string>>();

/** The day (YYYY-MM-DD) of a moment in a zone. */
export const dayOf = (atMs: number, zone: string): string => {
  let ofZone = days.get(zone);
  if (ofZone === undefined) {
    ofZone = new Map();
    days.set(zone, ofZone);
    formats.set(zone, new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }));
  }
  const quarter = Math.floor(atMs / QUARTER);
  let day = ofZone.get(quarter);
  if (day === undefined) {
    day = formats.get(zone)!.format(quarter * QUARTER);
    ofZone.set(quarter, day);
  }
  return day;
};
