/** The store in memory, for the simulation and for stories: what survives a crash of the reconciler is in `MemoryLedger`. */
import { StreamError } from '../src/errors.ts';
import type { StepHook } from '../src/sinks/memory-totals.ts';
import type { Adjustment } from '../src/topology/adjustments.ts';
import { adjustmentsOf } from './adjust.ts';
import { type Booking, isNewer, type KeptRun, keyOf, MemoryLedger } from './memory-ledger.ts';
import { checkId } from './quality.ts';
import {
  type Approval,
  type Draft,
  notHeld,
  type ReconcileStore,
  type RunHead,
  type RunOutcome,
  type Scope,
  type Snapshot,
  STRAGGLERS_MS,
} from './store.ts';
import { compareCuts, type Delta } from './types.ts';

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

  async begin(head: RunHead, dryRun: boolean): Promise<Draft> {
    await this.#effect('begin', () => {
      const run = this.#ledger.run(head.runId);
      if (run) run.head = head;
      else if (!dryRun) this.#ledger.runs.push({ head, status: 'started', deltas: [], decided: 0 });
    });
    const found: Delta[] = [];
    return {
      add: async (deltas) => {
        await this.#step('add');
        found.push(...deltas);
      },
      decide: (outcome) => this.#effect('decide', () => this.#decide(outcome, found)),
      close: async () => {},
    };
  }

  async approve(runId: string): Promise<Approval> {
    await this.#step('approve before');
    const run = this.#ledger.run(runId);
    if (run === undefined) return { approved: false, because: 'there is no such run' };
    const newer = this.#ledger.newerThan(run);
    if (run.status !== 'held' || newer !== null) return { approved: false, because: notHeld(run.status, newer) };
    run.status = 'applying';
    const done = this.#ledger.apply(run);
    await this.#step('approve after');
    return { approved: true, ...done };
  }

  async reject(runId: string): Promise<{ rejected: true } | { rejected: false; because: string }> {
    await this.#step('reject');
    const run = this.#ledger.run(runId);
    if (run?.status !== 'held') return { rejected: false, because: run === undefined ? 'there is no such run' : notHeld(run.status, null) };
    run.status = 'rejected';
    return { rejected: true };
  }

  async fail(runId: string): Promise<void> {
    await this.#effect('fail', () => {
      const run = this.#ledger.run(runId);
      if (run?.status === 'started') run.status = 'failed';
    });
  }

  async *standing(runId: string, fromMs: number): AsyncGenerator<Adjustment[], void> {
    await this.#step('standing');
    const { deltas, head } = this.#ledger.run(runId) as KeptRun;
    const own = new Set(adjustmentsOf(deltas, head.cut).map(({ campaignId, hourMs }) => `${hourMs} ${campaignId}`));
    const wanted = ({ campaignId, hourMs }: Adjustment): boolean => hourMs >= fromMs || own.has(`${hourMs} ${campaignId}`);
    const all = [...this.#ledger.adjustments.values()].filter(wanted);
    if (all.length > 0) yield all;
  }

  async applied(runId: string): Promise<void> {
    await this.#effect('applied', () => {
      const run = this.#ledger.run(runId) as KeptRun;
      run.status = 'applied';
      for (const other of this.#ledger.runs) if (other.status === 'held' && isNewer(run, other)) other.status = 'superseded';
    });
  }

  async close(): Promise<void> {}

  #decide({ head, status, checks }: RunOutcome, deltas: Delta[]): void {
    for (const { check } of checks) {
      if (!this.#ledger.firstMs.has(checkId(check))) this.#ledger.firstMs.set(checkId(check), head.cut.bookedBeforeMs);
    }
    const decided = ++this.#ledger.decisions;
    if (status === 'dry_run') return void this.#ledger.runs.push({ head, status, deltas, decided });
    const run = this.#ledger.run(head.runId);
    if (run?.status !== 'started') throw new StreamError('reconcile_busy', `Run ${head.runId} was finished by another process`);
    Object.assign(run, { status, deltas, decided });
    if (status === 'applying') this.#ledger.apply(run);
  }

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
    .map(({ head }) => head)
    .sort((a, b) => compareCuts(a.cut, b.cut))
    .at(-1);
  return {
    nowMs: ledger.nowMs(),
    positions: ledger.positions().map((at) => ({ ...at })),
    completeMs: { ...ledger.completeMs },
    last: last ?? null,
    lock: ledger.lock(),
    stream: (kind, scope) => slowly(held[kind].filter(inScope(scope)), step),
    truth: (kind, scope, booked) => slowly(frozen.truthHours(kind, booked, inScope(scope)), step),
    locked: async (fromMs, booked) => {
      const sinceMs = booked.sinceMs ?? Number.POSITIVE_INFINITY;
      const [longAgoMs, beganMs] = [sinceMs - STRAGGLERS_MS, ledger.lock().beganMs ?? Number.POSITIVE_INFINITY];
      const isNew = ({ hourMs, bookedAtMs }: Booking): boolean =>
        hourMs < fromMs && bookedAtMs >= (hourMs >= beganMs ? longAgoMs : sinceMs) && bookedAtMs < booked.beforeMs;
      const touched = new Set(bookings.filter((one) => one.kind === 'spend' && isNew(one)).map((one) => keyOf(one)));
      const stream = held.spend.filter((hour) => touched.has(keyOf(hour)));
      return {
        stream: slowly(stream, step),
        truth: slowly(
          frozen.truthHours('spend', { ...booked, sinceMs: longAgoMs }, (one) => touched.has(keyOf(one))),
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
