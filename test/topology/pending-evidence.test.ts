import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CellTable, ROW, TO_COMMIT } from '../../src/state/cells.ts';
import { PendingEvidence } from '../../src/topology/pending-evidence.ts';

const evidence = fc.record({
  group: fc.nat(20),
  hour: fc.integer({ min: 495_000, max: 495_003 }),
  column: fc.constantFrom(0, 2, 4, 6),
  micros: fc.oneof(fc.nat(1000), fc.constant(undefined)),
});

test('evidence that waits comes to what putting each into its cell at once does, in cells of the same order, whenever it is settled', () => {
  const rounds = fc.array(fc.array(evidence, { maxLength: 70 }), { maxLength: 5 });
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

const rowsOf = (table: CellTable): number[][] =>
  Array.from({ length: table.size }, (_, index) => [...table.rows(Int32Array.of(index)).subarray(0, ROW.columns + table.columns)]);
