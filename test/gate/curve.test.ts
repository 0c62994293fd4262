import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CURVE_POINTS, formatCurve, parseCurve, slopeMicrosPerSAt, targetMicrosAt } from '../../src/gate/curve.ts';

const HOUR = 3_600_000;
const START = 20_000 * 24 * HOUR;
const day = (hours: number) => ({ startMs: START, endMs: START + hours * HOUR });
/** Even over 22 of 24 parts. */
const even = (cap: number) => Array.from({ length: CURVE_POINTS }, (_, at) => Math.floor((cap * Math.min(at, 22)) / 22));

describe('the plan of a day', () => {
  const curve = even(22_000_000);

  it('goes straight from point to point, and stands still outside the day', () => {
    const at = (hours: number) => targetMicrosAt(curve, day(24), START + hours * HOUR);
    expect([-1, 0, 0.5, 1, 11, 22, 23, 24, 30].map(at)).toEqual([
      0, 0, 500_000, 1_000_000, 11_000_000, 22_000_000, 22_000_000, 22_000_000, 22_000_000,
    ]);
  });

  it.each([23, 24, 25])('has its 25 points in a day of %i hours, and all of the cap at its end', (hours) => {
    const { endMs } = day(hours);
    expect(targetMicrosAt(curve, day(hours), START + (11 * hours * HOUR) / 24)).toBe(11_000_000);
    expect(targetMicrosAt(curve, day(hours), endMs)).toBe(22_000_000);
    expect(targetMicrosAt(curve, day(hours), endMs - 1)).toBe(22_000_000);
  });

  it('grows by its slope, which is 0 where all is spent and outside the day', () => {
    const slope = (hours: number) => slopeMicrosPerSAt(curve, day(24), START + hours * HOUR);
    expect([-1, 0, 5, 21.99, 22, 24].map(slope)).toEqual([
      0,
      expect.closeTo(277.78, 2),
      expect.closeTo(277.78, 2),
      expect.closeTo(277.78, 2),
      0,
      0,
    ]);
  });

  it('that gives everything at once has no slope', () => {
    const all = new Array<number>(CURVE_POINTS).fill(5_000_000);
    expect(targetMicrosAt(all, day(24), START)).toBe(5_000_000);
    expect(slopeMicrosPerSAt(all, day(24), START + 1)).toBe(0);
  });

  it('of a day without length is at its beginning: nothing is divided by nothing', () => {
    expect(targetMicrosAt(curve, { startMs: START, endMs: START }, START)).toBe(0);
    expect(slopeMicrosPerSAt(curve, { startMs: START, endMs: START }, START)).toBe(0);
  });

  it('never falls between its points, and is never above the next one', () => {
    const steps = fc.array(fc.nat({ max: 300_000_000_000_000 }), { minLength: CURVE_POINTS, maxLength: CURVE_POINTS });
    fc.assert(
      fc.property(steps, fc.nat({ max: 25 * HOUR }), fc.nat({ max: HOUR }), fc.constantFrom(23, 24, 25), (steps, atMs, laterMs, hours) => {
        let sum = 0;
        const curve = steps.map((step) => (sum += step));
        const target = targetMicrosAt(curve, day(hours), START + atMs);
        expect(Number.isSafeInteger(target)).toBe(true);
        expect(targetMicrosAt(curve, day(hours), START + atMs + laterMs)).toBeGreaterThanOrEqual(target);
        expect(target).toBeLessThanOrEqual(curve[Math.min(24, Math.ceil((atMs * 24) / (hours * HOUR)))]);
      }),
    );
  });
});

describe('a curve as text', () => {
  it('comes back as it was', () => {
    const curve = even(Number.MAX_SAFE_INTEGER / 2);
    expect(parseCurve(formatCurve(curve))).toEqual(curve);
  });

  it.each([
    ['', 'nothing'],
    [even(100).slice(1).join(','), '24 points'],
    [[...even(100), 100].join(','), '26 points'],
    [even(100).with(3, 99).join(','), 'a plan that falls'],
    [`${even(100).slice(1).join(',')},`, 'an empty point'],
    [even(100).join(',').replace('4', '4.5'), 'fractions'],
    [even(100).join(',').replace('4', '-4'), 'negative amounts'],
    [
      even(100)
        .with(24, 2 ** 53)
        .join(','),
      'more than 2^53 − 1',
    ],
  ])('%s is no curve: %s', (text) => {
    expect(parseCurve(text)).toBeNull();
  });
});
