import { describe, expect, test } from 'vitest';
import { expectedOf, isTooMuch, type PlatformHour, platformDraft } from '../../src/pacing/platform.ts';

const HOUR = 500_000;
const NOBODY = new Map<number, number>();
const seen = (micros: number, elapsed: number, parts: Partial<PlatformHour['parts']> = {}): PlatformHour => ({
  hour: HOUR,
  elapsed,
  micros,
  parts: { campaign: [], advertiser: [], surface: [], ...parts },
});

describe('what is expected of an hour', () => {
  const weeks = (...micros: number[]) => new Map(micros.map((value, i) => [HOUR - 168 * (micros.length - i), value]));

  test('is the forecast where there is one', () => {
    expect(expectedOf(HOUR, new Map([[HOUR * 3_600_000, 70]]), weeks(10, 20))).toEqual({ micros: 70, from: 'forecast' });
  });

  test('is the median of the same weekday and hour over 14 days', () => {
    expect(expectedOf(HOUR, NOBODY, weeks(10, 20))).toEqual({ micros: 15, from: 'median' });
    expect(expectedOf(HOUR, NOBODY, weeks(20))).toEqual({ micros: 20, from: 'median' });
  });

  test('leaves out an hour that nobody was there to read; one without spend counts', () => {
    const history = (...hours: [number, number][]) => new Map([[HOUR - 400, 10], ...hours]);
    const [last, before] = [HOUR - 168, HOUR - 336];
    expect(expectedOf(HOUR, NOBODY, history([before, 100]))).toEqual({ micros: 100, from: 'median' });
    expect(expectedOf(HOUR, NOBODY, history([last, 80]))).toEqual({ micros: 80, from: 'median' });
    expect(expectedOf(HOUR, NOBODY, history([before, 0], [last, 80]))).toEqual({ micros: 40, from: 'median' });
    expect(expectedOf(HOUR, NOBODY, history([HOUR - 1, 80]))).toEqual({ micros: null, from: 'too_little_history' });
  });

  test('is nothing with fewer than 7 days, and says so', () => {
    expect(expectedOf(HOUR, NOBODY, new Map([[HOUR - 167, 10]]))).toEqual({ micros: null, from: 'too_little_history' });
    expect(expectedOf(HOUR, NOBODY, NOBODY)).toEqual({ micros: null, from: 'too_little_history' });
  });
});

test('spend is too much above 140 % of the whole hour, or of its part that is over once that is a quarter', () => {
  expect(isTooMuch(seen(141, 0.1), 100)).toBe(true);
  expect(isTooMuch(seen(139, 1), 100)).toBe(false);
  expect(isTooMuch(seen(36, 0.25), 100)).toBe(true);
  expect(isTooMuch(seen(34, 0.25), 100)).toBe(false);
  expect(isTooMuch(seen(34, 0.2), 100)).toBe(false);
  expect(isTooMuch(seen(34, 1), 0)).toBe(false);
});

describe('the alert says whether it is one or everyone', () => {
  const culprit = (parts: Partial<PlatformHour['parts']>) => platformDraft(seen(200, 1, parts), { micros: 100, from: 'median' });

  test('one campaign that explains most of the excess', () => {
    const draft = culprit({
      campaign: [
        { name: 'c1', micros: 95, yesterday: 10 },
        { name: 'c2', micros: 20, yesterday: 15 },
      ],
    });
    expect(draft.description).toContain('The campaign c1 alone explains 85 %');
    expect(draft.facts['culprit']).toEqual({ split: 'campaign', name: 'c1', share: 0.85 });
  });

  test('an advertiser where no single campaign does, then a surface', () => {
    const small = Array.from({ length: 5 }, (_, i) => ({ name: `c${i}`, micros: 30, yesterday: 10 }));
    expect(culprit({ campaign: small, advertiser: [{ name: 'acme', micros: 120, yesterday: 30 }] }).facts['culprit']).toMatchObject({
      split: 'advertiser',
      name: 'acme',
    });
    expect(culprit({ campaign: small, surface: [{ name: 'feed', micros: 190, yesterday: 95 }] }).facts['culprit']).toMatchObject({
      split: 'surface',
      name: 'feed',
    });
  });

  test('everyone where nobody does', () => {
    const many = Array.from({ length: 10 }, (_, i) => ({ name: `c${i}`, micros: 20, yesterday: 10 }));
    expect(culprit({ campaign: many }).description).toContain('it is everyone');
  });
});
