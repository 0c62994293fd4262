import { expect, test } from 'vitest';
import { FIRST, judgeExposure, MAX_VARIANTS, NEWLY_CONTAMINATED, OTHER_VARIANT, SAME_VARIANT } from '../../src/operators/first-exposure.ts';
import { UnitStore } from '../../src/state/units.ts';

const unit = { experiment: 0, hi: 1, lo: 2, payload: 0 };

test('a unit never moves, and is contaminated once', () => {
  const units = new UnitStore();
  const verdicts = [3, 3, 4, 5, 4, 3].map((variant) => {
    const verdict = judgeExposure(units, unit, variant);
    expect(unit.payload).toBe(units.get(0, 1, 2));
    return verdict;
  });
  expect(verdicts).toEqual([FIRST, SAME_VARIANT, NEWLY_CONTAMINATED, OTHER_VARIANT, OTHER_VARIANT, SAME_VARIANT]);
});

test('the last variant that an experiment may have is told apart from the first', () => {
  const units = new UnitStore();
  const last = MAX_VARIANTS - 1;
  expect([last, last, 0, last, 0].map((variant) => judgeExposure(units, unit, variant))).toEqual([
    FIRST,
    SAME_VARIANT,
    NEWLY_CONTAMINATED,
    SAME_VARIANT,
    OTHER_VARIANT,
  ]);
});

test('the same unit of another experiment is another unit', () => {
  const units = new UnitStore();
  expect([judgeExposure(units, unit, 0), judgeExposure(units, { ...unit, experiment: 1 }, 1)]).toEqual([FIRST, FIRST]);
});
