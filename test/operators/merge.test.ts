import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeCell } from '../../src/operators/merge.ts';
import { CellTable, TO_COMMIT } from '../../src/state/cells.ts';

const growth = new Float64Array(8);

const tables = (columns: number) => {
  const sources = new CellTable(columns);
  const totals = new CellTable(columns);
  const take = (source: number, ...values: number[]) =>
    mergeCell(sources, totals, { group: 1, source, time: 5 }, { values: Float64Array.from(values), growth });
  const total = () => Array.from({ length: columns }, (_, c) => totals.get(totals.at(1, 0, 5), c));
  return { sources, totals, take, total };
};

test('sources add up; a repeat or an older value changes nothing and leaves nothing to commit', () => {
  const { sources, take, total } = tables(2);
  expect(take(0, 10, 1)).toBe(true);
  expect(take(3, 5, 2)).toBe(true);
  expect(total()).toEqual([15, 3]);
  sources.takeChanged(TO_COMMIT);
  expect(take(0, 10, 1)).toBe(false);
  expect(take(3, 4, 1)).toBe(false);
  expect(total()).toEqual([15, 3]);
  expect(sources.changed(TO_COMMIT)).toBe(0);
  expect(take(3, 9, 2)).toBe(true);
  expect([total(), [...growth.subarray(0, 2)]]).toEqual([
    [19, 3],
    [4, 0],
  ]);
});

test('a zombie that sends an older value in between takes nothing away', () => {
  const { take, total } = tables(1);
  for (const value of [1, 5, 3, 5, 2, 6]) take(0, value);
  expect(total()).toEqual([6]);
});

test('whatever comes in whatever order, repeated or not: the total is the sum of each source’s largest', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(1000), fc.nat(1000)), { minLength: 1, maxLength: 60 }), (arrivals) => {
      const { take, total } = tables(2);
      for (const [source, a, b] of arrivals) take(source, a, b);
      const largest = (column: 1 | 2): number =>
        [0, 1, 2, 3].reduce((sum, source) => sum + Math.max(0, ...arrivals.filter(([of]) => of === source).map((one) => one[column])), 0);
      expect(total()).toEqual([largest(1), largest(2)]);
    }),
  );
});

test('a total takes exactly 2^53 − 1, and one more stops by name', () => {
  const { take, total } = tables(1);
  take(0, Number.MAX_SAFE_INTEGER - 1);
  take(1, 1);
  expect(total()).toEqual([Number.MAX_SAFE_INTEGER]);
  expect(() => take(2, 1)).toThrow(expect.objectContaining({ code: 'total_overflow' }));
  expect(() => take(3, Number.MAX_SAFE_INTEGER)).toThrow(expect.objectContaining({ code: 'total_overflow' }));
});
