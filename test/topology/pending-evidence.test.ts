import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CELL_BLOCK, CellTable, ROW, TO_COMMIT } from '../../src/state/cells.ts';
import { PendingEvidence } from '../../src/topology/pending-evidence.ts';

const evidence = fc.record({
  group: fc.nat(20),
  hour: fc.integer({ min: 495_000, max: 495_003 }),
  column: fc.constantFrom(0, 2, 4, 6),
  micros: fc.oneof(fc.nat(1000), fc.constant(undefined)),
});

test('evidence that waits comes to what putting each into its cell at once does, in cells of the same order, whenever it is settled', () => {
  const rounds = fc.array(fc.array(evidence, { maxLength: 3 * CELL_BLOCK, size: 'max' }), { maxLength: 5 });
  fc.assert(
    fc.property(rounds, (portions) => {
      const table = new CellTable(8);
      const alone = new CellTable(8);
      const pending = new PendingEvidence(table);
      for (const portion of portions) {
        for (const { group, hour, column, micros } of portion) {
          pending.add({ group, hour, column }, micros);
          const index = alone.at(group, 0, hour);
          alone.add(index, column, 1);
          if (micros !== undefined) alone.add(index, column + 1, micros);
          alone.touch(index);
        }
        pending.settle();
        expect(rowsOf(table)).toEqual(rowsOf(alone));
        expect([...table.takeChanged(TO_COMMIT)]).toEqual([...alone.takeChanged(TO_COMMIT)]);
      }
    }),
  );
});

test('what cannot be added is refused once: it is neither tried again nor in the way of what comes', () => {
  const table = new CellTable(8);
  const pending = new PendingEvidence(table);
  const tooMuch = expect.objectContaining({ code: 'total_overflow' });
  const place = { group: 0, hour: 0, column: 0 };
  pending.add(place, Number.MAX_SAFE_INTEGER);
  pending.add(place, 1);
  expect(() => pending.settle()).toThrow(tooMuch);
  const rows = rowsOf(table);
  pending.settle();
  expect(rowsOf(table)).toEqual(rows);
  for (let i = 1; i < CELL_BLOCK; i++) pending.add({ ...place, column: 2 }, 1);
  expect(() => pending.add(place, 1)).toThrow(tooMuch);
  for (let i = 0; i < CELL_BLOCK; i++) pending.add({ ...place, column: 4 }, 2);
  expect(table.get(0, 3)).toBe(CELL_BLOCK - 1);
  expect([table.get(0, 4), table.get(0, 5)]).toEqual([CELL_BLOCK, 2 * CELL_BLOCK]);
});

const rowsOf = (table: CellTable): number[][] =>
  Array.from({ length: table.size }, (_, index) => [...table.rows(Int32Array.of(index)).subarray(0, ROW.columns + table.columns)]);
