/** Budget days: where they begin and end, whatever clocks do. */
import { describe, expect, test } from 'vitest';
import { dayAt, dayBounds, dayInZones, dayOfSlot, dayText, weekHoursOf, zoneAt } from '../../src/operators/days.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const dayOf = (text: string): number => Date.parse(`${text}T00:00:00Z`) / DAY;
const boundsOf = (text: string, zone: string) => {
  const { startMs, endMs } = dayBounds(dayOf(text), zone);
  return [new Date(startMs).toISOString(), new Date(endMs).toISOString(), (endMs - startMs) / HOUR];
};

describe('a day begins at its first instant and ends where the next begins', () => {
  test.each([
    ['2026-03-29', 'Europe/Berlin', '2026-03-28T23:00:00.000Z', 23],
    ['2026-10-25', 'Europe/Berlin', '2026-10-24T22:00:00.000Z', 25],
    ['2026-03-08', 'America/New_York', '2026-03-08T05:00:00.000Z', 23],
    ['2026-11-01', 'America/New_York', '2026-11-01T04:00:00.000Z', 25],
    ['2026-09-27', 'Pacific/Auckland', '2026-09-26T12:00:00.000Z', 23],
    ['2026-04-05', 'Pacific/Auckland', '2026-04-04T11:00:00.000Z', 25],
    ['2026-10-04', 'Australia/Lord_Howe', '2026-10-03T13:30:00.000Z', 23.5],
    ['2026-06-01', 'Asia/Kolkata', '2026-05-31T18:30:00.000Z', 24],
    ['2026-06-01', 'Asia/Kathmandu', '2026-05-31T18:15:00.000Z', 24],
    ['2026-06-01', 'Pacific/Kiritimati', '2026-05-31T10:00:00.000Z', 24],
    ['2026-06-01', 'Pacific/Pago_Pago', '2026-06-01T11:00:00.000Z', 24],
  ])('%s in %s', (day, zone, start, hours) => {
    expect(boundsOf(day, zone)).toEqual([start, new Date(Date.parse(start) + hours * HOUR).toISOString(), hours]);
  });

  test('where clocks change at midnight: the missing hour, and the one that comes twice', () => {
    // Beirut leaps from 00:00 to 01:00; Havana goes back from 01:00 to 00:00; Cairo's last hour of October's last Thursday comes twice.
    expect(boundsOf('2026-03-29', 'Asia/Beirut')).toEqual(['2026-03-28T22:00:00.000Z', '2026-03-29T21:00:00.000Z', 23]);
    expect(boundsOf('2026-11-01', 'America/Havana')).toEqual(['2026-11-01T04:00:00.000Z', '2026-11-02T05:00:00.000Z', 25]);
    expect(boundsOf('2026-10-29', 'Africa/Cairo')).toEqual(['2026-10-28T21:00:00.000Z', '2026-10-29T22:00:00.000Z', 25]);
    expect(boundsOf('2026-10-30', 'Africa/Cairo')[2]).toBe(24);
  });

  test('a day that a zone leapt over has no length', () => {
    expect(boundsOf('2011-12-30', 'Pacific/Apia')[2]).toBe(0);
  });

  test('every quarter hour of two years belongs to the day whose bounds hold it', () => {
    for (const zone of ['Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'Africa/Cairo', 'America/Havana']) {
      for (let slot = Date.parse('2026-01-01') / 900_000; slot < Date.parse('2028-01-01') / 900_000; slot += 7) {
        const { startMs, endMs } = dayBounds(dayOfSlot(slot, zone), zone);
        if (slot * 900_000 < startMs || slot * 900_000 >= endMs) throw new Error(`${zone} ${new Date(slot * 900_000).toISOString()}`);
      }
    }
  });
});

test('an instant belongs to the day of its quarter hour', () => {
  expect(dayText(dayAt(Date.parse('2026-03-01T18:14:59.999Z'), 'Asia/Kathmandu'))).toBe('2026-03-01');
  expect(dayText(dayAt(Date.parse('2026-03-01T18:15:00Z'), 'Asia/Kathmandu'))).toBe('2026-03-02');
});

test('the hours of a week, quarter hour by quarter hour: the missing ones are not there, those that come twice are twice', () => {
  const count = (day: string, zone: string) => {
    const hours = [...weekHoursOf(dayOf(day), zone)];
    return [hours.length, hours.filter((hour) => hour % 24 === 2).length, Math.floor(hours[0] / 24)];
  };
  expect(count('2026-03-29', 'Europe/Berlin')).toEqual([92, 0, 6]);
  expect(count('2026-10-25', 'Europe/Berlin')).toEqual([100, 8, 6]);
  expect(count('2026-03-30', 'Asia/Kathmandu')).toEqual([96, 4, 0]);
});

test('the zone in force is that of the time asked for', () => {
  const spans = [
    { fromMs: Number.NEGATIVE_INFINITY, zone: 'UTC' },
    { fromMs: 100 * 900_000, zone: 'Asia/Tokyo' },
  ];
  expect([0, 100 * 900_000 - 1, 100 * 900_000].map((ms) => zoneAt(spans, ms))).toEqual(['UTC', 'UTC', 'Asia/Tokyo']);
  expect(dayText(dayInZones(60 + 2, spans))).toBe('1970-01-01');
  expect(dayText(dayInZones(100 + 56, spans))).toBe('1970-01-03');
});
