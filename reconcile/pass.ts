/** What is gathered while entities go by, and what it comes to. */
import { deltasOf } from './adjust.ts';
import { type Context, classifyEntity } from './classify.ts';
import { compareAll } from './compare.ts';
import { Footprint } from './footprint.ts';
import { holdReason } from './hold.ts';
import { addMoney, type Budgets, type CampaignDay, moneyOf, NO_MONEY } from './money.ts';
import { type CheckResult, gateReason } from './quality.ts';
import type { ReconcileOptions } from './run.ts';
import type { RunAlert, RunHead, RunOutcome, RunSummary } from './store.ts';
import { driftRatio, resultFingerprint, Tally } from './tally.ts';
import type { ComparedEntity, StreamHour, TruthHour } from './types.ts';

export class Pass {
  readonly #head: RunHead;
  readonly #options: ReconcileOptions;
  readonly #context: Context;
  readonly #tally = new Tally();
  readonly #footprint = new Footprint();
  #money: CampaignDay[] = [];

  constructor(head: RunHead, options: ReconcileOptions, context: Context) {
    this.#head = head;
    this.#options = options;
    this.#context = context;
  }

  async take(stream: AsyncIterable<StreamHour>, truth: AsyncIterable<TruthHour>, budgets: Budgets): Promise<void> {
    const { cut, lockedMs } = this.#head;
    const at = { untilMs: cut.untilMs, bookedBeforeMs: cut.bookedBeforeMs, lockedMs };
    for await (const entity of compareAll(stream, truth, { tolerance: this.#options.tolerance, bounds: cut })) {
      this.#one(entity, budgets, at);
    }
  }

  outcome(checks: readonly CheckResult[], dryRun: boolean): RunOutcome {
    this.#tally.check();
    const { deltas, kinds, campaigns } = this.#tally;
    const heldBecause = gateReason(checks) ?? holdReason(deltas, campaigns, this.#options.hold);
    const summary: RunSummary = {
      kinds,
      driftRatio: driftRatio(kinds),
      campaigns,
      adjusted: deltas.filter(({ action }) => action === 'adjust').length,
      corrected: deltas.filter(({ action }) => action === 'correct').length,
      superseded: deltas.filter(({ action }) => action === 'superseded').length,
      heldBecause,
      money: this.#money.reduce(addMoney, NO_MONEY),
      ...this.#footprint.take(),
    };
    return {
      head: this.#head,
      status: dryRun ? 'dry_run' : heldBecause === null ? 'applying' : 'held',
      summary,
      deltas,
      money: this.#money,
      checks,
      alerts: alertsOf(this.#head, summary, checks, this.#options),
      inputFingerprint: this.#tally.inputFingerprint(),
      resultFingerprint: resultFingerprint(deltas),
    };
  }

  #one(entity: ComparedEntity, budgets: Budgets, at: { untilMs: number; bookedBeforeMs: number; lockedMs: number }): void {
    const deltas = deltasOf(entity, classifyEntity(entity, this.#context), at);
    this.#tally.add(entity, deltas);
    this.#footprint.add(entity, deltas);
    if (entity.kind === 'spend') this.#money.push(...moneyOf(entity, budgets));
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
