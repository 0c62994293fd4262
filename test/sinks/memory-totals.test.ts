import { expect, it } from 'vitest';
import { MemoryTotals, MemoryTotalsStore } from '../../src/sinks/memory-totals.ts';
import { batchOf, spendRow, totalsSinkConformance } from '../conformance/totals-sink.ts';

totalsSinkConformance('MemoryTotals', async () => {
  const store = new MemoryTotalsStore();
  return {
    sink: () => new MemoryTotals(store),
    rows: async () => store.rows(),
    positions: async () => store.positions(),
    close: async () => {},
  };
});

it('a crash before the effect leaves nothing, one after it leaves everything', async () => {
  const crashAt = (label: string) => async (reached: string) => {
    if (reached === label) throw new Error('crash');
  };
  const store = new MemoryTotalsStore();
  const batch = batchOf([spendRow('c', 1)]);
  await expect(new MemoryTotals(store, crashAt('totals.before')).flush(batch)).rejects.toThrow('crash');
  expect(store.rows()).toEqual([]);
  await expect(new MemoryTotals(store, crashAt('totals.after')).flush(batch)).rejects.toThrow('crash');
  expect(store.rows()).toEqual(batch.rows);
});
