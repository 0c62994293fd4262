/**
 * One run: cut ─ compare ─ classify ─ decide (one transaction) ─ produce ─ done. Every await is a place to crash: before the
 * decision nothing has happened but the run's row; after it everything that is left to do stands in the store, and the next
 * start does it first, under the same id. Adjustments are absolute, so producing them again has no second effect.
 */
import { asError, type ErrorCode, StreamError } from '../src/errors.ts';
import type { RegistrySource } from '../src/sinks/registry.ts';
import { writeAdjustments } from '../src/topology/adjustments.ts';
import { partitionOf } from '../src/topology/sources/murmur2.ts';
import type { Clock, LogWriter, OutRecord } from '../src/topology/types.ts';
import { budgetsOf } from './budgets.ts';
import type { Tolerance } from './compare.ts';
import { closedUntilMs, type ExpectedSources, untilOf } from './cut.ts';
import type { GuardrailResult } from './guardrail-run.ts';
import type { HoldLimits } from './hold.ts';
import { firstHourMs, lockOf } from './lock.ts';
import type { Budgets } from './money.ts';
import { Pass } from './pass.ts';
import { judgeQuality } from './quality.ts';
import { resetsBetween } from './resets.ts';
import type { Draft, ReconcileStore, RunHead, RunOutcome, Scope, Snapshot } from './store.ts';
import { type Cut, DAY_MS, KINDS, type Kind } from './types.ts';

/** Evaluate holds hours for 8 days, and some slack for zones. */
const RESEND_DAYS = 11;

export interface ReconcileOptions {
  tolerance: Tolerance;
  explainedShare: number;
  hold: HoldLimits;
  lockDays: number;
  allowedLatenessMs: number;
  /** Drift of spend above this share raises an alert; so does a backfill that moves more than the other. */
  alertDriftRatio: number;
  alertBackfillRatio: number;
  shadowMs: number;
  /** How far `truth_complete` may be behind. */
  staleHours: number;
  alwaysShadow: readonly string[];
  waitMs: number;
}

export interface ReconcilerParts {
  store: ReconcileStore;
  writer: LogWriter;
  registry: RegistrySource;
  partialsTopic: string;
  expected: () => Promise<ExpectedSources>;
  clock: Clock;
  /** Looks at guardrails, each hour, whatever becomes of the run; `runId` null where it has failed. None where it is missing. */
  guardrails?: (runId: string | null) => Promise<readonly GuardrailResult[]>;
  options: ReconcileOptions;
  versions: { code: string; config: string };
}

export interface RunRequest {
  /** Null: the start of this hour. */
  untilMs: number | null;
  /** Null: the days that are not locked. */
  scope: Scope | null;
  dryRun: boolean;
}

/** Interrupted runs that were finished before, and those that were given up. */
interface Finished {
  finished: string[];
  failed: { runId: string; because: string }[];
}

export interface RunReport extends RunOutcome, Readonly<Finished> {
  guardrails: readonly GuardrailResult[];
  /** Why guardrails were not looked at, though the run is well; null when they were. */
  guardrailsFailed: Error | null;
}

export class Reconciler {
  readonly #parts: ReconcilerParts;

  constructor(parts: ReconcilerParts) {
    this.#parts = parts;
  }

  /** Finishes what was interrupted, then runs, then looks at guardrails. A dry run does the second only. Rejects with `reconcile_busy`. */
  run(request: RunRequest): Promise<RunReport> {
    return this.#alone(async () => {
      const work = async () => {
        const before: Finished = request.dryRun ? { finished: [], failed: [] } : await this.#finishPending();
        return { ...before, outcome: await this.#perform(request, null) };
      };
      const run = await settled(work());
      const look = async () => (request.dryRun ? [] : ((await this.#parts.guardrails?.(run.value?.outcome.head.runId ?? null)) ?? []));
      const guardrails = await settled(look());
      if (run.value === null) throw run.error;
      const { outcome, ...before } = run.value;
      return { ...outcome, ...before, guardrails: guardrails.value ?? [], guardrailsFailed: guardrails.error };
    });
  }

  /** Applies a held run. Rejects with `not_approved`. */
  approve(runId: string): Promise<{ finished: readonly string[]; adjusted: number; corrected: number }> {
    return this.#alone(async () => {
      const { finished } = await this.#finishPending();
      const approval = await this.#parts.store.approve(runId);
      if (!approval.approved) throw new StreamError('not_approved', `Run ${runId} was not applied: ${approval.because}`);
      await this.#apply(runId);
      return { finished, adjusted: approval.adjusted, corrected: approval.corrected };
    });
  }

  /** A held run is never applied. Rejects with `not_approved`. */
  reject(runId: string): Promise<void> {
    return this.#alone(async () => {
      const done = await this.#parts.store.reject(runId);
      if (!done.rejected) throw new StreamError('not_approved', `Run ${runId} was not rejected: ${done.because}`);
    });
  }

  async #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const release = await this.#parts.store.lock(this.#parts.options.waitMs);
    if (release === null) throw new StreamError('reconcile_busy', 'Another reconcile is at work; this one has done nothing');
    try {
      return await work();
    } finally {
      await release();
    }
  }

  /** One that cannot be finished, whatever is tried, stands in nobody's way. */
  async #finishPending(): Promise<Finished> {
    const done: Finished = { finished: [], failed: [] };
    for (const { head, status } of await this.#parts.store.pending()) {
      try {
        if (status === 'applying') await this.#apply(head.runId);
        else await this.#perform({ untilMs: head.cut.untilMs, scope: head.scope, dryRun: false }, head);
        done.finished.push(head.runId);
      } catch (error) {
        if (!isOfInput(error)) throw error;
        done.failed.push({ runId: head.runId, because: error.message });
      }
    }
    return done;
  }

  /** @param begun the run to finish: it keeps its id and its bounds */
  async #perform(request: RunRequest, begun: RunHead | null): Promise<RunOutcome> {
    const { store, registry, clock, expected } = this.#parts;
    const sources = await expected();
    const budgets = budgetsOf(await registry.load());
    const snapshot = await store.snapshot();
    let [draft, outcome, runId]: [Draft | null, RunOutcome | null, string | null] = [null, null, null];
    try {
      try {
        const head = this.#head(request, { snapshot, sources, begun, startedMs: clock.now().wallMs });
        draft = await store.begin(head, request.dryRun);
        runId = request.dryRun ? null : head.runId;
        outcome = await this.#compute({ head, draft }, { snapshot, budgets, dryRun: request.dryRun });
      } finally {
        await snapshot.close();
      }
      await draft.decide(outcome);
    } catch (error) {
      if (runId !== null && isOfInput(error)) await store.fail(runId, error.message);
      throw error;
    } finally {
      await draft?.close();
    }
    if (outcome.status === 'applying') await this.#apply(outcome.head.runId);
    return outcome;
  }

  #head(
    { untilMs, scope }: RunRequest,
    { snapshot, sources, begun, startedMs }: { snapshot: Snapshot; sources: ExpectedSources; begun: RunHead | null; startedMs: number },
  ): RunHead {
    const { allowedLatenessMs, lockDays } = this.#parts.options;
    if (untilMs !== null && untilMs > snapshot.nowMs) {
      // The lock would go there and never back, and adjustments of such a cut outrank those of every run until then.
      const [bound, now] = [untilMs, snapshot.nowMs].map((ms) => new Date(ms).toISOString());
      throw new StreamError('bad_setting', `--until ${bound} lies ahead of the clock of Postgres, which says ${now}`);
    }
    const until = untilOf(untilMs ?? snapshot.nowMs);
    const lockedMs = lockOf(until, lockDays, snapshot.lock);
    const closedMs = Object.fromEntries(
      KINDS.map((kind) => [kind, closedUntilMs(kind, snapshot.positions, { expected: sources, allowedLatenessMs })]),
    ) as Cut['closedMs'];
    const bookedBeforeMs = begun?.cut.bookedBeforeMs ?? snapshot.nowMs;
    // What billing has completed since the run began, it has booked since, and this run does not look at.
    const completeMs = begun ? leastOf(begun.cut.completeMs, snapshot.completeMs) : snapshot.completeMs;
    const cut: Cut = { untilMs: until, bookedBeforeMs, positions: snapshot.positions, closedMs, completeMs };
    if (scope !== null && scope.fromMs >= until)
      throw new StreamError(
        'bad_setting',
        `--from ${new Date(scope.fromMs).toISOString()} is not before ${new Date(until).toISOString()}, the end of what can be compared`,
      );
    const hours = begun?.scope ?? scope ?? { fromMs: firstHourMs(until, lockDays, snapshot), toMs: until, isBackfill: false };
    return {
      runId: begun?.runId ?? runIdOf(until, bookedBeforeMs),
      cut,
      scope: { ...hours, toMs: Math.min(hours.toMs, until) },
      lockedMs,
      startedMs,
      codeVersion: this.#parts.versions.code,
      configVersion: this.#parts.versions.config,
    };
  }

  async #compute(
    { head, draft }: { head: RunHead; draft: Draft },
    { snapshot, budgets, dryRun }: { snapshot: Snapshot; budgets: Budgets; dryRun: boolean },
  ): Promise<RunOutcome> {
    const { options } = this.#parts;
    const { cut, scope } = head;
    const booked = { sinceMs: snapshot.last?.cut.bookedBeforeMs ?? null, beforeMs: cut.bookedBeforeMs };
    const pass = new Pass({ head, draft }, options, {
      budgets,
      explainedShare: options.explainedShare,
      settledMs: settledOf(snapshot.last, scope),
      resets: resetsBetween(snapshot.last?.cut.positions ?? null, cut.positions, await this.#parts.expected()),
      correctedUnits: await snapshot.correctedUnits(),
    });
    for (const kind of KINDS) await pass.take(snapshot.stream(kind, scope), snapshot.truth(kind, scope, booked));
    if (!scope.isBackfill && booked.sinceMs !== null) {
      const locked = await snapshot.locked(scope.fromMs, booked);
      await pass.take(locked.stream, locked.truth);
    }
    const measures = await snapshot.measures(scope);
    const { shadowMs, staleHours, alwaysShadow } = options;
    const checks = judgeQuality(measures.measures, {
      nowMs: cut.bookedBeforeMs,
      shadowMs,
      staleHours,
      alwaysShadow,
      firstMs: measures.firstMs,
    });
    return pass.outcome(checks, dryRun);
  }

  /** Sends what must stand, then says so. Everything that stands goes again: evaluate may have lost what it had. */
  async #apply(runId: string): Promise<void> {
    const { store, writer, partialsTopic: topic, clock, expected } = this.#parts;
    const { partialsPartitions } = await expected();
    const fromMs = clock.now().wallMs - RESEND_DAYS * DAY_MS;
    for await (const adjustments of store.standing(runId, fromMs)) {
      const byPartition = new Map<number, typeof adjustments>();
      for (const adjustment of adjustments) {
        const key = Buffer.from(adjustment.campaignId);
        const partition = partitionOf(key, 0, key.length, partialsPartitions);
        const some = byPartition.get(partition);
        if (some) some.push(adjustment);
        else byPartition.set(partition, [adjustment]);
      }
      const records: OutRecord[] = [];
      for (const [partition, some] of byPartition)
        for (const value of writeAdjustments(some)) records.push({ topic, partition, key: null, value });
      await writer.send(records);
    }
    await store.applied(runId);
  }
}

/** Hours that end at or before this had been compared before; all that a run does not look at had been. */
function settledOf(last: Snapshot['last'], { fromMs, isBackfill }: Scope): Record<Kind, number> {
  if (last === null) return { spend: Number.NEGATIVE_INFINITY, exposure: Number.NEGATIVE_INFINITY };
  const { closedMs, completeMs, untilMs } = last.cut;
  const leastMs = isBackfill ? Number.NEGATIVE_INFINITY : fromMs;
  const of = (kind: Kind): number => Math.max(leastMs, Math.min(closedMs[kind], completeMs[kind], untilMs));
  return { spend: of('spend'), exposure: of('exposure') };
}

const leastOf = (a: Record<Kind, number>, b: Record<Kind, number>): Record<Kind, number> => ({
  spend: Math.min(a.spend, b.spend),
  exposure: Math.min(a.exposure, b.exposure),
});

/** What is the same at the next try: the truth, or the request, is not to be reconciled. */
const OF_INPUT: ReadonlySet<ErrorCode> = new Set(['total_overflow', 'truth_unreadable', 'bad_setting']);
const isOfInput = (error: unknown): error is StreamError => error instanceof StreamError && OF_INPUT.has(error.code);

const settled = <Value>(work: Promise<Value>): Promise<{ value: Value; error: null } | { value: null; error: Error }> =>
  work.then(
    (value) => ({ value, error: null }),
    (error: unknown) => ({ value: null, error: asError(error) }),
  );

/** Names its cut: `20261125T10-mhz1k2x3`. Unique, since only one process reconciles at a time. */
const runIdOf = (untilMs: number, bookedBeforeMs: number): string =>
  `${new Date(untilMs).toISOString().slice(0, 13).replaceAll('-', '')}-${bookedBeforeMs.toString(36)}`;
