import { MemoryLedger } from '../../reconcile/memory-ledger.ts';
import { MemoryReconcileStore } from '../../reconcile/memory-store.ts';
import type { HourlyRow } from '../../src/sinks/totals.ts';
import { DAY, type StoreBed, UNTIL } from '../conformance/reconcile-bed.ts';
import { reconcileStories } from '../conformance/reconcile-store.ts';

reconcileStories('memory', async (): Promise<StoreBed> => {
  const ledger = new MemoryLedger();
  const rows = new Map<string, HourlyRow>();
  let nowMs = UNTIL + 30 * DAY;
  ledger.nowMs = () => ++nowMs;
  return {
    open: () => new MemoryReconcileStore(ledger),
    stream: async (some, positions) => {
      for (const row of some) rows.set(JSON.stringify([row.kind, row.entityId, row.variantId, row.hourMs]), row);
      ledger.rows = () => [...rows.values()];
      ledger.positions = () => positions;
    },
    book: async (some, agoMs = 0) => void ledger.bookings.push(...some.map((one) => ({ ...one, bookedAtMs: ++nowMs - agoMs }))),
    complete: async (untilMs) => {
      ledger.completeMs = { spend: untilMs, exposure: untilMs };
    },
    shown: async () => ledger.shown(),
    statusOf: async (runId) => ledger.run(runId)?.status ?? null,
    close: async () => {},
  };
});
