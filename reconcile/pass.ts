/** What is gathered while entities go by, and what it comes to. */
import { deltasOf } from './adjust.ts';
import { type Context, classifyEntity } from './classify.ts';
import { compareAll } from './compare.ts';
import { Footprint } from './footprint.ts';
import { Breaker } from './hold.ts';
import { addMoney, type Budgets, MoneyBook, NO_MONEY } from './money.ts';
import { type CheckResult, gateReason } from './quality.ts';
import type { ReconcileOptions } from './run.ts';
import type { Draft, RunAlert, RunHead, RunOutcome, RunSummary } from './store.ts';
import { driftRatio, Tally } from './tally.ts';
import type { ComparedEntity, Delta, StreamHour, TruthHour } from './types.ts';
import { Worst } from './worst.ts';

const KEEP_AT_ONCE = 2000;

export class Pass {
  readonly #head: RunHead;
  readonly #options: ReconcileOptions;
  readonly #context: Context;
  readonly #tally = new Tally();
  readonly #footprint = new Footprint();
  readonly #worst = new Worst();
  readonly #breaker = new Breaker();
  readonly #draft: Draft;
  readonly #money: MoneyBook;
  #toKeep: Delta[] = [];

  /** @param draft gets all that is found, some at a time */
  constructor({ head, draft }: { head: RunHead; draft: Draft }, options: ReconcileOptions, context: Context & { budgets: Budgets }) {
    this.#head = head;
    this.#draft = draft;
    this.#options = options;
    this.#context = context;
    this.#tally.begin(head);
    this.#money = new MoneyBook(context.budgets, head.scope.fromMs);
  }

  async take(stream: AsyncIterable<StreamHour>, truth: AsyncIterable<TruthHour>): Promise<void> {
    const { cut, lockedMs } = this.#head;
    const at = { untilMs: cut.untilMs, bookedBeforeMs: cut.bookedBeforeMs, lockedMs };
    for await (const entity of compareAll(stream, truth, { tolerance: this.#options.tolerance, bounds: cut })) {
      this.#one(entity, at);
      if (this.#toKeep.length >= KEEP_AT_ONCE) await this.#keep();
    }
    await this.#keep();
  }

  outcome(checks: readonly CheckResult[], dryRun: boolean): RunOutcome {
    this.#tally.check();
    const { kinds, campaigns, actions } = this.#tally;
    const money = this.#money.take();
    const heldBecause = gateReason(checks) ?? this.#breaker.holdReason(campaigns, this.#options.hold);
    const summary: RunSummary = {
      kinds,
      driftRatio: driftRatio(kinds),
      campaigns,
      adjusted: actions.adjust,
      corrected: actions.correct,
      superseded: actions.superseded,
      heldBecause,
      money: money.reduce(addMoney, NO_MONEY),
      ...this.#footprint.take(),
    };
    return {
      head: this.#head,
      status: dryRun ? 'dry_run' : heldBecause === null ? 'applying' : 'held',
      summary,
      deltas: this.#worst.take(),
      money,
      checks,
      alerts: alertsOf(this.#head, summary, checks, this.#options),
      inputFingerprint: this.#tally.inputFingerprint(),
      resultFingerprint: this.#tally.resultFingerprint(),
    };
  }

  #one(entity: ComparedEntity, at: { untilMs: number; bookedBeforeMs: number; lockedMs: number }): void {
    const deltas = deltasOf(entity, classifyEntity(entity, this.#context), at);
    this.#tally.add(entity, deltas);
    this.#footprint.add(entity, deltas);
    this.#breaker.add(entity, deltas);
    for (const delta of deltas) {
      this.#worst.add(delta);
      this.#toKeep.push(delta);
    }
    if (entity.kind === 'spend') this.#money.add(entity);
  }

  async #keep(): Promise<void> {
    if (this.#toKeep.length > 0) await this.#draft.add(this.#toKeep);
    this.#toKeep = [];
  }
}

function alertsOf(
  { runId, scope }: RunHead,
  { heldBecause, driftRatio: drift, movedShare }: RunSummary,
  checks: readonly CheckResult[],
  { alertDriftRatio, alertBackfillRatio }: ReconcileOptions,
): RunAlert[] {
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const alerts: RunAlert[] = [];
  if (heldBecause !== null) {
    const next = `Look at it, then apply it with \`exposure-stream reconcile --approve ${runId}\` or mend the truth`;
    alerts.push({ kind: 'reconcile_held', severity: 'page', says: `Run ${runId} is held: ${heldBecause}. ${next}` });
  }
  if (gateReason(checks) !== null) alerts.push({ kind: 'quality_gate', severity: 'page', says: gateReason(checks) as string });
  if (scope.isBackfill && movedShare > alertBackfillRatio)
    alerts.push({
      kind: 'backfill_moved',
      severity: 'ticket',
      says: `The backfill ${runId} moves ${percent(movedShare)} of what was shown`,
    });
  if (drift > alertDriftRatio)
    alerts.push({ kind: 'reconcile_drift', severity: 'ticket', says: `Spend differs from the truth by ${percent(drift)} (run ${runId})` });
  return alerts;
}
