import {
  type FlushResult,
  HOURLY_AMOUNTS,
  type HourlyBatch,
  type HourlyRow,
  isBehind,
  type PositionRow,
  type TotalsSink,
} from './totals.ts';

interface Fence {
  epoch: number;
  version: number;
}

/** Awaited before and after each effect, so that a simulator decides what fails and when; throwing is a crash there. */
export type StepHook = (label: string) => Promise<void>;

const keyOf = (row: HourlyRow): string => JSON.stringify([row.kind, row.entityId, row.allocationVersion, row.variantId, row.hourMs]);

const larger = (stored: HourlyRow, row: HourlyRow): HourlyRow => ({
  ...row,
  ...Object.fromEntries(HOURLY_AMOUNTS.map((name) => [name, Math.max(stored[name], row[name])])),
});

/** What survives a crash of its writers: share one between the sinks of a simulation. */
export class MemoryTotalsStore {
  readonly #rows = new Map<string, { row: HourlyRow; fence: Fence }>();
  readonly #positions = new Map<string, PositionRow>();
  readonly #fences = new Map<number, Fence>();

  apply(batch: HourlyBatch): FlushResult {
    const fence = { epoch: batch.epoch, version: batch.version };
    const stored = this.#fences.get(batch.partialsPartition);
    if (stored && isBehind(fence, stored)) return 'fenced';
    this.#fences.set(batch.partialsPartition, fence);
    for (const row of batch.rows) {
      const before = this.#rows.get(keyOf(row));
      if (before && isBehind(fence, before.fence)) continue;
      this.#rows.set(keyOf(row), { row: before && batch.keepLarger ? larger(before.row, row) : { ...row }, fence });
    }
    for (const at of batch.positions) this.#positions.set(JSON.stringify([batch.partialsPartition, at.topic, at.partition]), { ...at });
    return 'written';
  }

  rows(): HourlyRow[] {
    return [...this.#rows.values()].map((held) => held.row);
  }

  /** As Postgres keys them: by the task of evaluate that knows them. */
  sourcePositions(): (PositionRow & { partialsPartition: number })[] {
    return [...this.#positions].map(([key, at]) => ({ ...at, partialsPartition: JSON.parse(key)[0] }));
  }

  positions(): PositionRow[] {
    return [...this.#positions.values()];
  }
}

/** Hourly totals in memory, for demo, replay and the simulation. */
export class MemoryTotals implements TotalsSink {
  readonly store: MemoryTotalsStore;
  readonly #step: StepHook | undefined;

  constructor(store: MemoryTotalsStore = new MemoryTotalsStore(), step?: StepHook) {
    this.store = store;
    this.#step = step;
  }

  async flush(batch: HourlyBatch): Promise<FlushResult> {
    await this.#step?.('totals.before');
    const result = this.store.apply(batch);
    await this.#step?.('totals.after');
    return result;
  }

  async close(): Promise<void> {}
}
