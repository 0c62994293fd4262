/** What survives a crash of a reconciler whose store is in memory. */

import type { HourlyRow } from '../src/sinks/totals.ts';
import type { Adjustment } from '../src/topology/adjustments.ts';
import { adjustmentsOf } from './adjust.ts';
import type { LockState } from './lock.ts';
import type { Measures } from './quality.ts';
import type { Booked, RunHead, RunStatus } from './store.ts';
import {
  type Amounts,
  compareCuts,
  compareEntities,
  type Delta,
  type Entity,
  type Kind,
  type SourcePosition,
  type StreamHour,
  type TruthHour,
} from './types.ts';

/** One row of a truth view. */
export interface Booking extends Entity {
  hourMs: number;
  amount: number;
  count: number;
  bookedAtMs: number;
}

export interface KeptRun {
  head: RunHead;
  status: RunStatus;
  deltas: readonly Delta[];
  /** The how-many-eth decision it was. */
  decided: number;
}

interface Correction extends Amounts {
  /** The booking bound of the last run that said so. */
  bookedBeforeMs: number;
}

export const keyOf = ({ kind, entityId, allocationVersion, variantId, hourMs }: Entity & { hourMs: number }): string =>
  JSON.stringify([kind, entityId, allocationVersion, variantId, hourMs]);

const NO_MEASURES: Measures = {
  rowCountRatio: null,
  nullShare: null,
  staleHours: null,
  wrongColumns: null,
  baselineRatio: null,
  unassignedShare: null,
  duplicateShare: null,
};

/** Truth, runs and adjustments. `rows` and `positions` are the stream's own, as its flushes left them. */
export class MemoryLedger {
  rows: () => readonly HourlyRow[] = () => [];
  positions: () => readonly SourcePosition[] = () => [];
  nowMs: () => number = () => 0;
  bookings: Booking[] = [];
  completeMs: Record<Kind, number> = { spend: Number.NEGATIVE_INFINITY, exposure: Number.NEGATIVE_INFINITY };
  measures: Measures = NO_MEASURES;
  correctedUnits: (entity: Entity) => number = () => 0;
  readonly runs: KeptRun[] = [];
  readonly adjustments = new Map<string, Adjustment>();
  readonly corrections = new Map<string, Correction>();
  decisions = 0;
  /** By check, when it gave its first result. */
  readonly firstMs = new Map<string, number>();
  locked = false;

  run(runId: string): KeptRun | undefined {
    return this.runs.find(({ head }) => head.runId === runId);
  }

  /** Everything the views show of spend, by (campaign, hour): what a reader sums. */
  shown(): Map<string, Amounts> {
    return new Map(this.streamHours('spend', () => true).map((hour) => [JSON.stringify([hour.entityId, hour.hourMs]), hour.shown]));
  }

  streamHours(kind: Kind, wanted: (hourMs: number) => boolean): StreamHour[] {
    const found = new Map<string, StreamHour>();
    for (const row of this.rows()) {
      if (row.kind !== kind || !wanted(row.hourMs)) continue;
      const hour = streamHourOf(row);
      found.set(keyOf(hour), hour);
    }
    if (kind === 'spend') {
      for (const [key, { spendMicros, impressions, ...rest }] of this.adjustments) {
        if (!wanted(rest.hourMs)) continue;
        const hour = found.get(key) ?? emptyHour(rest.campaignId, rest.hourMs);
        found.set(key, { ...hour, shown: { amount: spendMicros, count: impressions }, adjustedAt: rest });
      }
      for (const [key, { amount, count }] of this.corrections) {
        const [, entityId, , , hourMs] = JSON.parse(key);
        if (!wanted(hourMs)) continue;
        const hour = found.get(key) ?? emptyHour(entityId, hourMs);
        found.set(key, { ...hour, shown: { amount: hour.shown.amount + amount, count: hour.shown.count + count }, isCorrected: true });
      }
    }
    return [...found.values()].sort(inOrder);
  }

  truthHours(kind: Kind, { sinceMs, beforeMs }: Booked, wanted: (booking: Booking) => boolean): TruthHour[] {
    const found = new Map<string, TruthHour>();
    for (const booking of this.bookings) {
      if (booking.kind !== kind || booking.bookedAtMs >= beforeMs || !wanted(booking)) continue;
      const { amount, count, bookedAtMs, ...key } = booking;
      const hour = found.get(keyOf(key)) ?? { ...key, amount: 0, count: 0, credits: 0, bookedSince: 0 };
      found.set(keyOf(key), hour);
      hour.amount += amount;
      hour.count = (hour.count ?? 0) + count;
      if (amount < 0) hour.credits -= amount;
      if (sinceMs !== null && bookedAtMs >= sinceMs) hour.bookedSince += amount;
    }
    return [...found.values()].sort(inOrder);
  }

  lock(): LockState {
    const runs = this.runs.filter(({ status }) => status !== 'dry_run').map(({ head }) => head);
    const first = runs.filter(({ scope }) => !scope.isBackfill);
    const none = (ms: number): number | null => (Number.isFinite(ms) ? ms : null);
    return {
      lockedMs: none(runs.reduce((most, { lockedMs }) => Math.max(most, lockedMs), Number.NEGATIVE_INFINITY)),
      beganMs: none(first.reduce((least, { scope }) => Math.min(least, scope.fromMs), Number.POSITIVE_INFINITY)),
    };
  }

  /** What applying a run does to the views. */
  apply({ head, deltas }: Pick<KeptRun, 'head' | 'deltas'>): { adjusted: number; corrected: number } {
    const lockedMs = this.lock().lockedMs ?? Number.NEGATIVE_INFINITY;
    const isHistory = (delta: Delta): boolean => delta.hourMs < lockedMs || this.corrections.has(keyOf(delta));
    const { bookedBeforeMs } = head.cut;
    let adjusted = 0;
    for (const adjustment of adjustmentsOf(
      deltas.filter((delta) => !isHistory(delta)),
      head.cut,
    )) {
      const key = keyOf({ kind: 'spend', entityId: adjustment.campaignId, allocationVersion: 0, variantId: '', hourMs: adjustment.hourMs });
      const standing = this.adjustments.get(key);
      if (standing && compareCuts(standing, adjustment) > 0) continue;
      this.adjustments.set(key, adjustment);
      adjusted++;
    }
    let corrected = 0;
    const shown = new Map(this.streamHours('spend', () => true).map((hour) => [keyOf(hour), hour.shown]));
    for (const delta of deltas) {
      if (delta.action !== 'correct' && !(delta.action === 'adjust' && isHistory(delta))) continue;
      const before = this.corrections.get(keyOf(delta)) ?? { amount: 0, count: 0, bookedBeforeMs };
      const now = shown.get(keyOf(delta)) ?? { amount: 0, count: 0 };
      const amount = (delta.truth?.amount ?? 0) - now.amount;
      const count = delta.truth === null ? -now.count : (delta.truth.count ?? now.count) - now.count;
      if (before.bookedBeforeMs > bookedBeforeMs || (amount === 0 && count === 0)) continue;
      this.corrections.set(keyOf(delta), { amount: before.amount + amount, count: before.count + count, bookedBeforeMs });
      corrected++;
    }
    return { adjusted, corrected };
  }

  /** The applied run that was decided after this one over some of its hours. */
  newerThan(held: KeptRun): string | null {
    return this.runs.find((run) => run.status === 'applied' && isNewer(run, held))?.head.runId ?? null;
  }
}

export const isNewer = (newer: KeptRun, { head: { scope }, decided }: KeptRun): boolean =>
  newer.decided > decided && newer.head.scope.fromMs < scope.toMs && scope.fromMs < newer.head.scope.toMs;

const inOrder = (a: Entity & { hourMs: number }, b: Entity & { hourMs: number }): number => compareEntities(a, b) || a.hourMs - b.hourMs;

const emptyHour = (entityId: string, hourMs: number): StreamHour => ({
  kind: 'spend',
  entityId,
  allocationVersion: 0,
  variantId: '',
  hourMs,
  shown: { amount: 0, count: 0 },
  raw: { amount: 0, count: 0 },
  adjustedAt: null,
  isCorrected: false,
  evidence: { late: 0, duplicate: 0, suspected: 0, invalidTraffic: 0 },
});

function streamHourOf(row: HourlyRow): StreamHour {
  const { kind, entityId, allocationVersion, variantId, hourMs } = row;
  const isSpend = kind === 'spend';
  const raw = isSpend ? { amount: row.spendMicros, count: row.impressions } : { amount: row.units, count: row.units };
  const evidence = isSpend
    ? { late: row.lateMicros, duplicate: row.duplicateMicros, suspected: row.suspectedMicros, invalidTraffic: row.invalidTrafficMicros }
    : { late: row.lateRecords, duplicate: row.duplicateRecords, suspected: row.suspectedRecords, invalidTraffic: 0 };
  return { kind, entityId, allocationVersion, variantId, hourMs, raw, shown: raw, adjustedAt: null, isCorrected: false, evidence };
}
