/** Redis and Postgres under watch: whoever writes, at that moment what is visible is held against the truth. */
import { MemoryCounterStore, type StoredCounter } from '../../src/sinks/memory-counters.ts';
import { MemoryTotalsStore } from '../../src/sinks/memory-totals.ts';
import { type FlushResult, type HourlyBatch, type HourlyRow, isBehind } from '../../src/sinks/totals.ts';
import type { CounterWrite } from '../../src/topology/types.ts';

interface Fence {
  epoch: number;
  version: number;
}

export interface Watcher {
  counter(key: string, before: StoredCounter | null, after: StoredCounter): void;
  hour(row: HourlyRow, before: HourlyRow | undefined): void;
}

export class WatchedCounters extends MemoryCounterStore {
  watcher: Watcher | null = null;

  override compareAndSet(fence: Fence, write: CounterWrite): Fence | null {
    const before = this.get(write.key);
    const higher = super.compareAndSet(fence, write);
    const after = this.get(write.key);
    if (after !== null && after !== before) this.watcher?.counter(write.key, before, after);
    return higher;
  }

  override moveMarker(key: string, fence: Fence, expected: Fence | null): Fence | 'lost' {
    const before = this.get(key);
    const moved = super.moveMarker(key, fence, expected);
    const after = this.get(key);
    if (after !== null && after !== before) this.watcher?.counter(key, before, after);
    return moved;
  }
}

export const hourName = (row: HourlyRow): string =>
  JSON.stringify([row.kind, row.entityId, row.allocationVersion, row.variantId, row.hourMs]);

export class WatchedTotals extends MemoryTotalsStore {
  watcher: Watcher | null = null;
  readonly #seen = new Map<string, HourlyRow>();
  readonly #fences = new Map<number, Fence>();

  override apply(batch: HourlyBatch): FlushResult {
    const result = super.apply(batch);
    const before = this.#fences.get(batch.partialsPartition);
    if (result === 'written') {
      if (before && isBehind(batch, before)) throw new Error('hourly totals of a lower version were written');
      this.#fences.set(batch.partialsPartition, { epoch: batch.epoch, version: batch.version });
    }
    if (result === 'fenced') return result;
    for (const row of this.rows()) {
      const name = hourName(row);
      const seen = this.#seen.get(name);
      if (row === seen) continue;
      this.watcher?.hour(row, seen);
      this.#seen.set(name, row);
    }
    return result;
  }
}
