import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CellTable } from '../../src/state/cells.ts';
import { SegmentCells } from '../../src/topology/evaluate-segments.ts';

test('a group’s chain has each of its cells once, however they came and however many were chained before', () => {
  const cell = fc.record({
    group: fc.nat(8),
    source: fc.nat(3),
    segment: fc.nat(5),
    units: fc.integer({ min: 1, max: 9 }),
    chain: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(cell, { maxLength: 200 }), (arrivals) => {
      const table = new CellTable(1);
      const segments = new SegmentCells(table);
      const expected = new Map<string, number>();
      for (const { group, source, segment, units, chain } of arrivals) {
        table.add(table.at(group, source, segment), 0, units);
        segments.chain(chain);
        const name = `${group}/${segment}`;
        expected.set(name, (expected.get(name) ?? 0) + units);
      }
      const seen = new Map<string, number>();
      for (let group = 0; group <= 9; group++)
        segments.each(group, (segment, units) => {
          const name = `${group}/${segment}`;
          seen.set(name, (seen.get(name) ?? 0) + units);
        });
      expect([...seen].sort()).toEqual([...expected].sort());
    }),
  );
});
