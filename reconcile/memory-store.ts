/** The store in memory, for the simulation and for stories: what survives a crash of the reconciler is in `MemoryLedger`. */

import { StreamError } from '../src/errors.ts';
import type { StepHook } from '../src/sinks/memory-totals.ts';
import type { HourlyRow } from '../src/sinks/totals.ts';
import type { Adjustment } from '../src/topology/adjustments.ts';
import { adjustmentsOf } from './adjust.ts';
import { checkId, type Measures } from './quality.ts';
import {
  type Approval,
  type Booked,
  notHeld,
  type ReconcileStore,
  type RunHead,
  type RunOutcome,
  type RunStatus,
  type Scope,
  type Snapshot,
} from './store.ts';
import {
  type Amounts,
  compareCuts,
  compareEntities,
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
  outcome: RunOutcome | null;
}

const keyOf = ({ kind, entityId, allocationVersion, variantId, hourMs }: Entity & { hourMs: number }): string =>
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
  readonly corrections = new Map<string, Amounts>();
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
        found.set(key, { ...hour, shown: { amount: hour.shown.amount + amount, count: hour.shown.count + count } });
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

  /** What applying a run does to the views. */
  apply({ head, deltas }: Pick<RunOutcome, 'head' | 'deltas'>): void {
    for (const adjustment of adjustmentsOf(deltas, head.cut)) {
      const key = keyOf({ kind: 'spend', entityId: adjustment.campaignId, allocationVersion: 0, variantId: '', hourMs: adjustment.hourMs });
      const standing = this.adjustments.get(key);
      if (!standing || compareCuts(standing, adjustment) <= 0) this.adjustments.set(key, adjustment);
    }
    for (const delta of deltas) {
      if (delta.action !== 'correct') continue;
      const before = this.corrections.get(keyOf(delta)) ?? { amount: 0, count: 0 };
      this.corrections.set(keyOf(delta), { amount: before.amount + delta.delta.amount, count: before.count + delta.delta.count });
    }
  }
}

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
  evidence: { late: 0, duplicate: 0, suspected: 0, invalidTraffic: 0 },
});

function streamHourOf(row: HourlyRow): StreamHour {
  const { kind, entityId, allocationVersion, variantId, hourMs } = row;
  const isSpend = kind === 'spend';
  const raw = isSpend ? { amount: row.spendMicros, count: row.impressions } : { amount: row.units, count: row.units };
  const evidence = isSpend
    ? { late: row.lateMicros, duplicate: row.duplicateMicros, suspected: row.suspectedMicros, invalidTraffic: row.invalidTrafficMicros }
    : { late: row.lateRecords, duplicate: row.duplicateRecords, suspected: row.suspectedRecords, invalidTraffic: 0 };
  return { kind, entityId, allocationVersion, variantId, hourMs, raw, shown: raw, adjustedAt: null, evidence };
}

/** A process's way to the ledger; `step` is awaited before and after each effect, and throwing there is a crash. */
export class MemoryReconcileStore implements ReconcileStore {
  readonly #ledger: MemoryLedger;
  readonly #step: StepHook;

  constructor(ledger: MemoryLedger, step: StepHook = async () => {}) {
    this.#ledger = ledger;
    this.#step = step;
  }

  async lock(): Promise<(() => Promise<void>) | null> {
    await this.#step('lock before');
    if (this.#ledger.locked) return null;
    this.#ledger.locked = true;
    return async () => {
      this.#ledger.locked = false;
    };
  }

  async pending(): Promise<{ head: RunHead; status: 'started' | 'applying' }[]> {
    await this.#step('pending');
    return this.#ledger.runs.flatMap(({ head, status }) => (status === 'started' || status === 'applying' ? [{ head, status }] : []));
  }

  async snapshot(): Promise<Snapshot> {
    await this.#step('snapshot');
    return snapshotOf(this.#ledger, this.#step);
  }

  async begin(head: RunHead): Promise<void> {
    await this.#effect('begin', () => {
      const run = this.#ledger.run(head.runId);
      if (run) run.head = head;
      else this.#ledger.runs.push({ head, status: 'started', outcome: null });
    });
  }

  async decide(outcome: RunOutcome): Promise<void> {
    await this.#effect('decide', () => {
      const { head, status } = outcome;
      for (const { check } of outcome.checks) {
        if (!this.#ledger.firstMs.has(checkId(check))) this.#ledger.firstMs.set(checkId(check), head.cut.bookedBeforeMs);
      }
      if (status === 'dry_run') return void this.#ledger.runs.push({ head, status, outcome });
      const run = this.#ledger.run(head.runId);
      if (run?.status !== 'started') throw new StreamError('reconcile_busy', `Run ${head.runId} was finished by another process`);
      Object.assign(run, { status, outcome });
      if (status === 'applying') this.#ledger.apply(outcome);
    });
  }

  async approve(runId: string): Promise<Approval> {
    await this.#step('approve before');
    const run = this.#ledger.run(runId);
    if (run === undefined) return { approved: false, because: 'there is no such run' };
    if (run.status !== 'held') return { approved: false, because: notHeld(run.status) };
    run.status = 'applying';
    this.#ledger.apply(run.outcome as RunOutcome);
    await this.#step('approve after');
    return { approved: true };
  }

  async *standing(runId: string, fromMs: number): AsyncGenerator<Adjustment[], void> {
    await this.#step('standing');
    const { outcome, head } = this.#ledger.run(runId) as KeptRun;
    const own = new Set(adjustmentsOf(outcome?.deltas ?? [], head.cut).map(({ campaignId, hourMs }) => `${hourMs} ${campaignId}`));
    const wanted = ({ campaignId, hourMs }: Adjustment): boolean => hourMs >= fromMs || own.has(`${hourMs} ${campaignId}`);
    const all = [...this.#ledger.adjustments.values()].filter(wanted);
    if (all.length > 0) yield all;
  }

  async applied(runId: string): Promise<void> {
    await this.#effect('applied', () => {
      const run = this.#ledger.run(runId) as KeptRun;
      run.status = 'applied';
      for (const other of this.#ledger.runs)
        if (other.status === 'held' && compareCuts(other.head.cut, run.head.cut) < 0) other.status = 'superseded';
    });
  }

  async summaryOf(runId: string) {
    const run = this.#ledger.run(runId);
    if (!run?.outcome) return null;
    return { head: run.head, status: run.status, summary: run.outcome.summary, deltas: [...run.outcome.deltas] };
  }

  async close(): Promise<void> {}

  async #effect(label: string, effect: () => void): Promise<void> {
    await this.#step(`${label} before`);
    effect();
    await this.#step(`${label} after`);
  }
}

/** What the ledger held at that moment, whatever happens to it later. */
function snapshotOf(ledger: MemoryLedger, step: StepHook): Snapshot {
  const held = { spend: ledger.streamHours('spend', () => true), exposure: ledger.streamHours('exposure', () => true) };
  const bookings = [...ledger.bookings];
  const frozen = new MemoryLedger();
  frozen.bookings = bookings;
  const inScope =
    ({ fromMs, toMs }: Scope) =>
    ({ hourMs }: { hourMs: number }): boolean =>
      hourMs >= fromMs && hourMs < toMs;
  const last = ledger.runs
    .filter(({ status, head }) => status === 'applied' && !head.scope.isBackfill)
    .map(({ head }) => head.cut)
    .sort(compareCuts)
    .at(-1);
  return {
    nowMs: ledger.nowMs(),
    positions: ledger.positions().map((at) => ({ ...at })),
    completeMs: { ...ledger.completeMs },
    last: last ?? null,
    stream: (kind, scope) => slowly(held[kind].filter(inScope(scope)), step),
    truth: (kind, scope, booked) => slowly(frozen.truthHours(kind, booked, inScope(scope)), step),
    locked: ({ fromMs }, booked) => {
      const isNew = ({ hourMs, bookedAtMs }: Booking): boolean =>
        hourMs < fromMs && bookedAtMs >= (booked.sinceMs ?? Number.POSITIVE_INFINITY) && bookedAtMs < booked.beforeMs;
      const touched = new Set(bookings.filter((one) => one.kind === 'spend' && isNew(one)).map((one) => keyOf(one)));
      const stream = held.spend.filter((hour) => touched.has(keyOf(hour)));
      return {
        stream: slowly(stream, step),
        truth: slowly(
          frozen.truthHours('spend', booked, (one) => touched.has(keyOf(one))),
          step,
        ),
      };
    },
    correctedUnits: async () => ledger.correctedUnits,
    measures: async () => ({ measures: ledger.measures, firstMs: ledger.firstMs }),
    close: async () => {},
  };
}

async function* slowly<Row>(rows: readonly Row[], step: StepHook): AsyncGenerator<Row, void> {
  await step('rows');
  yield* rows;
}
