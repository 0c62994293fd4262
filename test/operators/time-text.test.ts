import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRfc3339 } from '../../src/operators/time-text.ts';

const SHAPE = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;

/** The contract's sentences with a regular expression and Date. */
function naive(text: string): number {
  const match = SHAPE.exec(text);
  if (match === null) return Number.NaN;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  const [fraction = '', sign = '+', offsetHour = '0', offsetMinute = '0'] = match.slice(7);
  if (hour > 23 || minute > 59 || second > 59 || Number(offsetHour) > 23 || Number(offsetMinute) > 59) return Number.NaN;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCFullYear() !== year || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return Number.NaN;
  date.setUTCHours(hour, minute, second, Number(fraction.slice(0, 3).padEnd(3, '0')));
  const offsetMs = (sign === '-' ? -1 : 1) * (Number(offsetHour) * 60 + Number(offsetMinute)) * 60_000;
  const ms = date.getTime() - offsetMs;
  return ms >= 0 && ms <= 8.64e15 ? ms : Number.NaN;
}

/** Parsed in the middle of a buffer whose neighbours would make other texts of it. */
function parse(text: string): number {
  const bytes = Buffer.from(`2${text}0Z+01:00`, 'utf8');
  return parseRfc3339(bytes, 1, 1 + Buffer.byteLength(text));
}

describe('RFC 3339 texts', () => {
  it.each([
    ['2026-01-01T00:00:00Z', 1_767_225_600_000],
    ['1970-01-01T00:00:00Z', 0],
    ['1969-12-31T23:30:00-01:00', 1_800_000],
    ['2024-02-29T12:00:00.5+05:45', 1_709_187_300_500],
    ['2000-02-29T00:00:00.0019999-00:00', 951_782_400_001],
    ['9999-12-31T23:59:59.999-23:59', 253_402_387_139_999],
    [`2026-01-01T00:00:00.${'9'.repeat(1000)}Z`, 1_767_225_600_999],
  ])('%s is an instant', (text, ms) => {
    expect(parse(text)).toBe(ms);
    expect(naive(text)).toBe(ms);
  });

  it.each([
    '2026-02-30T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2100-02-29T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-12-31T23:59:60Z',
    '2026-01-01T00:00:00',
    '2026-01-01T00:00:00.Z',
    '2026-01-01T00:00:00.5',
    '2026-01-01T00:00:00,5Z',
    '2026-01-01t00:00:00Z',
    '2026-01-01T00:00:00z',
    '2026-01-01 00:00:00Z',
    '2026-01-01T00:00Z',
    '2026-01-01',
    '20260101T000000Z',
    '2026-01-01T00:00:00+0530',
    '2026-01-01T00:00:00+05',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00+00:60',
    '2026-01-01T00:00:00Z ',
    ' 2026-01-01T00:00:00Z',
    '2026-01-01T00:00:00ZZ',
    '+2026-01-01T00:00:00Z',
    '99x9-01-01T00:00:00Z',
    '1969-12-31T23:59:59.999Z',
    '1970-01-01T00:00:00+00:01',
    '0000-01-01T00:00:00Z',
    '２026-01-01T00:00:00Z',
    '',
  ])('%s is none', (text) => {
    expect(parse(text)).toBeNaN();
    expect(naive(text)).toBeNaN();
  });

  it('agrees with Date on every day of five centuries', () => {
    const days = Array.from({ length: 183_000 }, (_, day) => day * 86_400_000);
    expect(days.filter((ms) => parse(new Date(ms).toISOString()) !== ms)).toEqual([]);
  });

  it('agrees with a naive reading on random instants, offsets and fractions', () => {
    const two = fc.integer({ min: 0, max: 99 }).map((n) => String(n).padStart(2, '0'));
    const instant = fc.date({ min: new Date(-1e11), max: new Date(253_402_300_799_999), noInvalidDate: true });
    const zone = fc.oneof(
      fc.constant('Z'),
      fc.tuple(fc.constantFrom('+', '-'), two, two).map(([sign, hours, minutes]) => `${sign}${hours}:${minutes}`),
    );
    fc.assert(
      fc.property(instant, zone, fc.stringMatching(/^(\.[0-9]{1,6})?$/), (date, offset, fraction) => {
        const text = date.toISOString().slice(0, 19) + fraction + offset;
        expect(parse(text)).toBe(naive(text));
      }),
      { numRuns: 5000, seed: 1 },
    );
  });

  it('agrees with a naive reading on texts with one or two wrong characters', () => {
    const place = fc.integer({ min: 0, max: 29 });
    const character = fc.constantFrom(...'0123456789TZtz:-+. x/;@');
    fc.assert(
      fc.property(place, character, place, character, fc.constantFrom('Z', '+01:30', '-12:00'), (i, a, j, b, offset) => {
        const characters = [...`2024-02-29T23:59:59.123${offset}`];
        characters[i % characters.length] = a;
        if (j < characters.length) characters[j] = b;
        const text = characters.join('');
        expect(parse(text)).toBe(naive(text));
      }),
      { numRuns: 20_000, seed: 2 },
    );
  });
});
