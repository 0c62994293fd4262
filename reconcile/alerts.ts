/**
 * Alerts of a run, where the stream's own go: rows in Postgres, delivered by any `run` that evaluates. They are raised in the
 * transaction that decides the run, and ended in the one that says it is applied: so whoever finishes or approves a run, and wherever
 * another has died, nothing goes unsaid. One a kind stays open until it is acknowledged, and is brought up to date by each run for
 * which it still holds; so an hourly job does not raise an alert an hour. What was acknowledged stays quiet until a run has been
 * applied since.
 */
import type { PoolClient } from 'pg';
import type { AlertKind, SubjectKind } from '../src/alerts/kinds.ts';
import { writeAlerts } from '../src/alerts/postgres-store.ts';
import { type AlertDraft, alertId } from '../src/alerts/types.ts';
import type { GuardrailResult } from './guardrail-run.ts';
import type { RunOutcome } from './store.ts';

const SUBJECT = { kind: 'reconciler' as SubjectKind, id: 'spend' };
/** Over when runs go through and none is held any more; the others wait for a person. */
const OVER_WHEN_APPLIED: readonly AlertKind[] = ['reconcile_held', 'quality_gate'];

const NEXT_STEPS: Record<string, string> = {
  reconcile_held:
    'Look at the run’s table (reconcile --dry-run). If billing is right, reconcile --approve; if it is not, mend it: the next run goes through by itself.',
  quality_gate: 'Mend the data, or the check’s limit; the next run goes through by itself.',
  backfill_moved: 'Compare both fingerprints and the run’s rows in reconcile_delta before anybody uses the new totals.',
  reconcile_drift: 'Read the run’s classes: which cause takes most of it, and is it still going on?',
};

export const draftsOf = ({ alerts, head, summary }: Pick<RunOutcome, 'alerts' | 'head' | 'summary'>): AlertDraft[] =>
  alerts.map(({ kind, severity, says }) => ({
    kind,
    subject: SUBJECT,
    phase: '',
    severity,
    owner: '',
    summary: says,
    description: `Run ${head.runId} compared ${summary.campaigns} campaigns; drift ${(100 * summary.driftRatio).toFixed(3)} %.`,
    nextStep: NEXT_STEPS[kind],
    facts: { run: head.runId, drift_ratio: summary.driftRatio, adjusted: summary.adjusted, corrected: summary.corrected },
  }));

export const draftOfGuardrail = ({ experimentId, metric, variantId, arm, control, logE, paused }: GuardrailResult): AlertDraft => ({
  kind: 'guardrail_violated',
  subject: { kind: 'experiment', id: experimentId },
  phase: `${metric}/${variantId}`,
  severity: 'page',
  owner: '',
  summary: `Guardrail ${metric} of ${experimentId} is violated by ${variantId}${paused ? '; the experiment was paused' : ''}`,
  description: `${arm.events} of ${arm.units} exposed units against ${control.events} of ${control.units} in the control; ln e = ${logE.toFixed(2)}.`,
  nextStep: paused
    ? 'Decide whether the experiment ends; it is paused until somebody sets its status.'
    : 'Decide whether to pause the experiment: its guardrail opts out of that.',
  facts: { metric, variant: variantId, log_e: logE, paused },
});

const BEFORE = `
  select count(*) filter (where ended_at is not null)::integer as ended,
    coalesce(bool_or(acknowledged_at > coalesce((select max(finished_at) from exposure_stream.reconcile_run where status = 'applied' and run_id <> $5), '-infinity')), false) as quiet
  from exposure_stream.alert where kind = $1 and subject_kind = $2 and subject_id = $3 and phase = $4`;
const END = `
  update exposure_stream.alert set ended_at = now(), updated_at = now(), ended_by = 'withdrawn', holds = false
  where kind = any($1) and ended_at is null and not exists (select from exposure_stream.reconcile_run where status = 'held')`;

/** Inside of the transaction of what they speak of. */
export async function raiseAlerts(
  client: PoolClient,
  drafts: readonly AlertDraft[],
  { runId, nowMs }: { runId: string; nowMs: number },
): Promise<void> {
  for (const draft of drafts) {
    const { kind, subject, phase } = draft;
    const { rows } = await client.query<{ ended: number; quiet: boolean }>(BEFORE, [kind, subject.kind, subject.id, phase, runId]);
    const [{ ended: ordinal, quiet }] = rows;
    if (quiet) continue;
    const at = { raisedAtMs: nowMs, updatedAtMs: nowMs, endedAtMs: null, endedBy: null };
    await writeAlerts(client, { epoch: 0, version: nowMs }, [{ ...draft, ...at, id: alertId(draft, ordinal), ordinal, holds: true }]);
  }
}

/** A run goes through. */
export async function endHeldAlerts(client: PoolClient): Promise<void> {
  await client.query(END, [OVER_WHEN_APPLIED]);
}
