/** What a run reads and keeps, as ports: Postgres keeps them in production, memory in the simulation. */
import type { Adjustment } from '../src/topology/adjustments.ts';
import type { LockState } from './lock.ts';
import type { CampaignDay, MoneyTotals } from './money.ts';
import type { CheckResult, Measures } from './quality.ts';
import type { KindTotal } from './tally.ts';
import { type Cut, DAY_MS, type Delta, type Entity, type Kind, type SourcePosition, type StreamHour, type TruthHour } from './types.ts';

/** Hours looked at: from inclusive, to exclusive, epoch ms. */
export interface Scope {
  fromMs: number;
  toMs: number;
  isBackfill: boolean;
}

export interface RunHead {
  runId: string;
  cut: Cut;
  scope: Scope;
  /** Hours before this are history. */
  lockedMs: number;
  startedMs: number;
  codeVersion: string;
  configVersion: string;
}

/**
 * started ─► applying ─► applied
 *        ├─► held ─► applying (by --approve), rejected (by --reject), or superseded when a newer run is applied
 *        └─► failed: what it reads cannot be reconciled. A dry run is written once, as `dry_run`.
 */
export type RunStatus = 'started' | 'held' | 'applying' | 'applied' | 'dry_run' | 'superseded' | 'failed' | 'rejected';

export interface RunSummary {
  kinds: Record<Kind, KindTotal>;
  driftRatio: number;
  campaigns: number;
  adjusted: number;
  corrected: number;
  superseded: number;
  /** Why nothing is applied; null when it is. */
  heldBecause: string | null;
  money: MoneyTotals;
  /** SHA-256 of all that the views show of spend in these hours, before the run and with it applied; how much of it moves. */
  before: string;
  after: string;
  movedShare: number;
}

export interface RunAlert {
  kind: 'reconcile_held' | 'reconcile_drift' | 'backfill_moved' | 'quality_gate';
  severity: 'page' | 'ticket';
  /** What is wrong, in one sentence. */
  says: string;
}

export interface RunOutcome {
  head: RunHead;
  status: 'held' | 'applying' | 'dry_run';
  summary: RunSummary;
  /** The largest, at most 20,000, in order; the run's draft had them all. */
  deltas: readonly Delta[];
  money: readonly CampaignDay[];
  checks: readonly CheckResult[];
  alerts: readonly RunAlert[];
  inputFingerprint: string;
  resultFingerprint: string;
}

/** One repeatable-read snapshot: everything that is read through it belongs together. */
export interface Snapshot {
  /** The store's clock, epoch ms: the booking bound of a new run. */
  readonly nowMs: number;
  readonly positions: readonly SourcePosition[];
  readonly completeMs: Record<Kind, number>;
  /** The last run that was applied, backfills apart; null before the first. */
  readonly last: Pick<RunHead, 'cut' | 'scope' | 'lockedMs'> | null;
  readonly lock: LockState;
  /** Sorted by entity, then hour. */
  stream(kind: Kind, scope: Scope): AsyncIterable<StreamHour>;
  /** The same; bookings before `bookedBeforeMs`. */
  truth(kind: Kind, scope: Scope, booked: Booked): AsyncIterable<TruthHour>;
  /**
   * Both sides of those locked hours of spend before `fromMs` that were booked in again in `booked`; of hours that runs have looked at
   * (LockState.beganMs) also a day longer ago: a booking is seen when its transaction ends, and dated when it begins.
   */
  locked(fromMs: number, booked: Booked): Promise<{ stream: AsyncIterable<StreamHour>; truth: AsyncIterable<TruthHour> }>;
  /** Net units that corrections of assignments have moved to or from a variant. */
  correctedUnits(): Promise<(entity: Entity) => number>;
  /** For the data-quality checks, and when each (`name/version`) gave its first result. */
  measures(scope: Scope): Promise<{ measures: Measures; firstMs: ReadonlyMap<string, number> }>;
  close(): Promise<void>;
}

/** Transactions that book are done within this. */
export const STRAGGLERS_MS = DAY_MS;

/** Bookings before one time; `sinceMs` tells the new ones apart, null where there was no run before. */
export interface Booked {
  sinceMs: number | null;
  beforeMs: number;
}

/** Why a run cannot be approved. `newer` is the id of a run that was applied, though decided later, over hours of this one. */
export const notHeld = (status: RunStatus, newer: string | null): string =>
  newer === null || status === 'applied'
    ? `it is ${status}, not held`
    : `it was held, but a newer run was applied since: run ${newer}, decided later over the same hours`;

/** How many hours it has adjusted, and how many locked ones corrected: some may have been locked since it was computed. */
export type Approval = { approved: true; adjusted: number; corrected: number } | { approved: false; because: string };

/** What a run finds, while it finds it. Nobody else sees it before it is decided. */
export interface Draft {
  add(deltas: readonly Delta[]): Promise<void>;
  /**
   * One transaction: the run, what was added, results and alerts; with `applying` also what the views show. Rejects with
   * `reconcile_busy` when the run is not `started` any more: another process has finished it.
   */
  decide(outcome: RunOutcome): Promise<void>;
  /** Drops what was not decided. */
  close(): Promise<void>;
}

export interface ReconcileStore {
  /** Nobody else reconciles until the returned function is called or this process dies. Null when it was not to be had in time. */
  lock(waitMs: number): Promise<(() => Promise<void>) | null>;
  /** Runs that were interrupted, oldest first. */
  pending(): Promise<{ head: RunHead; status: 'started' | 'applying' }[]>;
  snapshot(): Promise<Snapshot>;
  /** Persists the cut, but of a dry run. One that is finished after an interruption keeps its id and bounds and takes new positions. */
  begin(head: RunHead, dryRun: boolean): Promise<Draft>;
  /**
   * held → applying, and what the views show with it, in one transaction: hours that were locked since are corrected, by what then is
   * missing. Not where a run that was decided later over the same hours has been applied.
   */
  approve(runId: string): Promise<Approval>;
  /** held → rejected. */
  reject(runId: string): Promise<{ rejected: true } | { rejected: false; because: string }>;
  /** started → failed, with the reason. */
  fail(runId: string, because: string): Promise<void>;
  /** What evaluate must hold: this run's adjustments, and every one that stands for hours from `fromMs` on. */
  standing(runId: string, fromMs: number): AsyncIterable<Adjustment[]>;
  /** applying → applied; held ones over some of its hours that were decided before it become superseded. */
  applied(runId: string): Promise<void>;
  close(): Promise<void>;
}
