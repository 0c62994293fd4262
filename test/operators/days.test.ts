import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dayOfSlot, dayText } from '../../src/operators/days.ts';

const SLOT = 900_000;

/** An independent answer: what the platform's own calendar calls the day. */
const calendarDay = (ms: number, zone: string): string => {
  const parts = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' }).formatToParts(ms);
  const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? '';
  return `${part('year')}-${part('month')}-${part('day')}`;
};

const slotAt = (iso: string): number => Date.parse(iso) / SLOT;
const dayAt = (iso: string, zone: string): string => dayText(dayOfSlot(slotAt(iso), zone));

/** How many quarter hours of these three days fall into the middle one. */
const quarters = (day: string, zone: string): number => {
  const from = slotAt(`${day}T00:00:00Z`) - 96;
  return Array.from({ length: 3 * 96 }, (_, i) => dayText(dayOfSlot(from + i, zone))).filter((one) => one === day).length;
};

test('a day of 23 hours and a day of 25 hours get all their quarter hours', () => {
  expect(quarters('2026-03-29', 'Europe/Berlin')).toBe(23 * 4);
  expect(quarters('2026-10-25', 'Europe/Berlin')).toBe(25 * 4);
  expect(quarters('2026-03-08', 'America/New_York')).toBe(23 * 4);
  expect(quarters('2026-10-04', 'Australia/Lord_Howe')).toBe(23.5 * 4);
  expect(quarters('2026-06-01', 'Europe/Berlin')).toBe(24 * 4);
});

test('days of zones with 30 and 45 minutes begin at their own midnight', () => {
  expect(dayAt('2026-03-01T18:15:00Z', 'Asia/Kolkata')).toBe('2026-03-01');
  expect(dayAt('2026-03-01T18:30:00Z', 'Asia/Kolkata')).toBe('2026-03-02');
  expect(dayAt('2026-03-01T18:00:00Z', 'Asia/Kathmandu')).toBe('2026-03-01');
  expect(dayAt('2026-03-01T18:15:00Z', 'Asia/Kathmandu')).toBe('2026-03-02');
  expect(dayAt('2026-03-01T10:00:00Z', 'Pacific/Chatham')).toBe('2026-03-01');
  expect(dayAt('2026-03-01T10:15:00Z', 'Pacific/Chatham')).toBe('2026-03-02');
  expect(dayAt('2026-03-01T10:00:00Z', 'Pacific/Kiritimati')).toBe('2026-03-02');
});

test('a day that a zone skipped has no quarter hours', () => {
  expect(quarters('2011-12-30', 'Pacific/Apia')).toBe(0);
});

test('days before 1970 exist where the clock is behind, and the last day there is has a name', () => {
  expect(dayOfSlot(0, 'America/New_York')).toBe(-1);
  expect(dayAt('1970-01-01T00:00:00Z', 'America/New_York')).toBe('1969-12-31');
  expect(dayText(dayOfSlot(8.64e15 / SLOT, 'UTC'))).toBe('275760-09-13');
});

test('the last instants of all have days east of UTC too, though no date has that name', () => {
  const last = 8.64e15 / SLOT;
  for (const zone of ['Asia/Tokyo', 'Pacific/Kiritimati', 'America/New_York']) {
    for (let slot = last - 100; slot <= last; slot++) expect(dayOfSlot(slot, zone)).toBeGreaterThanOrEqual(1e8 - 2);
  }
  expect(dayText(dayOfSlot(last, 'America/New_York'))).toBe('275760-09-12');
  expect(dayText(dayOfSlot(last, 'Pacific/Kiritimati'))).toBe('275760-09-13');
  expect(dayText(dayOfSlot(last - 1, 'Pacific/Kiritimati'))).toBe('275760-09-13');
  expect(dayText(1e8 + 1)).toBe('275760-09-14');
});

test('any quarter hour since 1973 in any zone falls into the day that the calendar says', () => {
  const zones = [...Intl.supportedValuesOf('timeZone'), 'UTC'];
  const slots = fc.integer({ min: slotAt('1973-01-01T00:00:00Z'), max: slotAt('2037-01-01T00:00:00Z') });
  fc.assert(
    fc.property(fc.constantFrom(...zones), slots, (zone, slot) => {
      expect(dayText(dayOfSlot(slot, zone))).toBe(calendarDay(slot * SLOT, zone));
    }),
    { numRuns: 2000 },
  );
});
