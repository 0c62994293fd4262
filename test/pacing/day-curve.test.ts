import { expect, test } from 'vitest';
import { dayCurve } from '../../src/pacing/day-curve.ts';

const DAY = 24 * 3_600_000;
const plan = { curve: 'even', capMicros: 2200, shares: null, day: Date.parse('2026-06-01') / DAY, zone: 'UTC' } as const;
/** Shares by hour of the week. */
const week = (share: (hour: number) => number) => Float64Array.from({ length: 168 }, (_, i) => share(i % 24));

test('an even day is done after 22 of its 24 parts', () => {
  const curve = dayCurve(plan);
  expect(curve).toHaveLength(25);
  expect(curve.slice(0, 3)).toEqual([0, 100, 200]);
  expect(curve.slice(21)).toEqual([2100, 2200, 2200, 2200]);
});

test('a day of 23 or of 25 hours carries the full cap, at 24ths of its own length', () => {
  for (const day of ['2026-03-29', '2026-10-25'])
    expect(dayCurve({ ...plan, day: Date.parse(day) / DAY, zone: 'Europe/Berlin' })).toEqual(dayCurve(plan));
});

test('an accelerated day plans all of it from the beginning', () => {
  expect(dayCurve({ ...plan, curve: 'accelerated' })).toEqual(new Array(25).fill(2200));
});

test('a predicted day follows the shares of its weekday, and is done at the same place', () => {
  const curve = dayCurve({ ...plan, curve: 'predicted', shares: week((hour) => (hour >= 8 && hour < 18 ? 0.1 : 0)) });
  expect(curve.slice(0, 9)).toEqual(new Array(9).fill(0));
  expect([curve[9], curve[13], curve[18], curve[24]]).toEqual([220, 1100, 2200, 2200]);
});

test('a predicted day uses Monday’s hours on a Monday, in the campaign’s zone', () => {
  const mondays = Float64Array.from({ length: 168 }, (_, i) => (i === 9 ? 1 : 0));
  const at = (zone: string, day: string) => dayCurve({ ...plan, curve: 'predicted', shares: mondays, zone, day: Date.parse(day) / DAY });
  expect(at('Asia/Kathmandu', '2026-06-01').slice(8, 12)).toEqual([0, 0, 2200, 2200]);
  expect(at('Asia/Kathmandu', '2026-06-02')).toEqual(dayCurve(plan));
});

test('without shares, or with none before the finish, a predicted day is even', () => {
  expect(dayCurve({ ...plan, curve: 'predicted' })).toEqual(dayCurve(plan));
  expect(dayCurve({ ...plan, curve: 'predicted', shares: week((hour) => (hour === 23 ? 1 : 0)) })).toEqual(dayCurve(plan));
});

test('a curve never falls and ends at the cap, also on days whose hours are missing or come twice, up to 2^53 − 1', () => {
  for (const capMicros of [0, 1, 7, 2200, Number.MAX_SAFE_INTEGER])
    for (const day of ['2026-03-29', '2026-10-25', '2026-06-01'])
      for (const shares of [null, week((hour) => (hour % 5) / 7)]) {
        const curve = dayCurve({ curve: 'predicted', capMicros, shares, day: Date.parse(day) / DAY, zone: 'Europe/Berlin' });
        expect(curve.every((micros, i) => Number.isSafeInteger(micros) && (i === 0 || micros >= curve[i - 1]))).toBe(true);
        expect(curve[24]).toBe(capMicros);
      }
});
