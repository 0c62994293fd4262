import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BLOCK, EventColumns } from '../../src/operators/event-columns.ts';
import { CellTable } from '../../src/state/cells.ts';
import { PendingSpend } from '../../src/topology/pending-spend.ts';

const SLOT_MS = 900_000;
const START_MS = 1_980_000 * SLOT_MS;

const impression = fc.record({
  /** Not yet known where it is new in the block. */
  group: fc.oneof({ arbitrary: fc.nat(4), weight: 6 }, { arbitrary: fc.nat(3000), weight: 1 }),
  isNew: fc.oneof({ arbitrary: fc.constant(false), weight: 9 }, { arbitrary: fc.constant(true), weight: 1 }),
  slot: fc.oneof({ arbitrary: fc.constant(1), weight: 8 }, { arbitrary: fc.nat(3), weight: 1 }),
  ms: fc.nat(SLOT_MS - 1),
  micros: fc.nat(1000),
});
type Impression = typeof impression extends fc.Arbitrary<infer T> ? T : never;

const timeOf = ({ slot, ms }: Impression): number => START_MS + slot * SLOT_MS + ms;

/** As Contribution counts a block. */
function count(pending: PendingSpend, block: readonly Impression[]): void {
  const columns = new EventColumns();
  const groups = new Int32Array(BLOCK);
  const records = Uint8Array.from(block.keys());
  for (const [i, one] of block.entries()) {
    columns.eventTs[i] = timeOf(one);
    columns.spendMicros[i] = one.micros;
    groups[i] = one.isNew ? -1 : one.group;
  }
  const left = pending.add(columns, groups, records, block.length);
  for (let k = 0; k < left; k++) {
    const one = block[pending.left[k]];
    pending.addOne(one.group, timeOf(one), one.micros);
  }
  if (2 * left > block.length) pending.moveTo(timeOf(block[block.length - 1]));
}

test('what is added up comes to what adding each to its cell does, whichever quarter hours and groups there are, and whenever it is settled', () => {
  let added = 0;
  const portion = fc.constantFrom(0, 1, 5, 100, Number.POSITIVE_INFINITY);
  const rounds = fc.array(fc.tuple(fc.array(impression, { minLength: 1, maxLength: BLOCK }), portion), { maxLength: 30 });
  fc.assert(
    fc.property(rounds, (blocks) => {
      const table = new CellTable(2);
      const alone = new CellTable(2);
      const pending = new PendingSpend(table);
      for (const [block, settled] of blocks) {
        const before = table.size;
        count(pending, block);
        added += table.size === before ? 1 : 0;
        for (const one of block) alone.addTwo(alone.at(one.group, 0, Math.floor(timeOf(one) / SLOT_MS)), one.micros, 1);
        pending.settleNext(settled);
      }
      pending.settle();
      expect(table.size).toBe(alone.size);
      for (let i = 0; i < alone.size; i++) {
        const index = table.find(alone.groupOf(i), 0, alone.timeOf(i));
        expect([table.get(index, 0), table.get(index, 1)]).toEqual([alone.get(i, 0), alone.get(i, 1)]);
        expect(table.isTouched(index)).toBe(true);
      }
    }),
  );
  expect(added).toBeGreaterThan(0);
});

test('a sum that would not be exact any more is refused by name, in the cell and before it gets there', () => {
  const most: Impression = { group: 0, isNew: false, slot: 0, ms: 0, micros: Number.MAX_SAFE_INTEGER };
  const one = { ...most, micros: 1 };
  const overflow = expect.objectContaining({ code: 'total_overflow' });
  const [inSum, inCell] = [new PendingSpend(new CellTable(2)), new PendingSpend(new CellTable(2))];
  for (const pending of [inSum, inCell]) count(pending, [{ ...one, micros: 0 }]);
  count(inSum, [most]);
  expect(() => count(inSum, [one])).toThrow(overflow);
  count(inCell, [most]);
  inCell.settle();
  count(inCell, [one]);
  expect(() => inCell.settle()).toThrow(overflow);
});

test('what is added between two portions of settling is not lost, though all groups that there is room for are listed', () => {
  const table = new CellTable(2);
  const pending = new PendingSpend(table);
  const all = Array.from({ length: BLOCK }, (_, group) => ({ group, isNew: false, slot: 1, ms: 0, micros: 1 }));
  pending.moveTo(timeOf(all[0]));
  for (let round = 0; round < 3; round++) {
    count(pending, all);
    expect(pending.settleNext(10)).toBe(false);
  }
  pending.settle();
  expect(all.map(({ group }) => table.get(table.find(group, 0, START_MS / SLOT_MS + 1), 0))).toEqual(all.map(() => 3));
});
