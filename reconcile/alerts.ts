/**
 * Alerts of a run, where the stream's own go: rows in Postgres, delivered by any `run` that evaluates. One a kind stays open until
 * it is acknowledged, and is brought up to date by each run for which it still holds; so an hourly job does not raise an alert an
 * hour. What was acknowledged stays quiet until a run has been applied since.
 */
import type { Pool } from 'pg';
import type { AlertKind, SubjectKind } from '../src/alerts/kinds.ts';
import { PostgresAlertStore } from '../src/alerts/postgres-store.ts';
import { type AlertDraft, alertId } from '../src/alerts/types.ts';
import { namePostgresError } from '../src/sinks/postgres-client.ts';
import type { GuardrailResult } from './guardrail-run.ts';
import type { RunReport } from './run.ts';

const SUBJECT = { kind: 'reconciler' as SubjectKind, id: 'spend' };
/** Over when a run goes through; the others wait for a person. */
const OVER_WHEN_APPLIED: readonly AlertKind[] = ['reconcile_held', 'quality_gate'];

const NEXT_STEPS: Record<string, string> = {
  reconcile_held:
    'Look at the run’s table (reconcile --dry-run). If billing is right, reconcile --approve; if it is not, mend it: the next run goes through by itself.',
  quality_gate: 'Mend the data, or the check’s limit; the next run goes through by itself.',
  backfill_moved: 'Compare both fingerprints and the run’s rows in reconcile_delta before anybody uses the new totals.',
  reconcile_drift: 'Read the run’s classes: which cause takes most of it, and is it still going on?',
};

const draftsOf = ({ alerts, head, summary }: RunReport): AlertDraft[] =>
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

const draftOfGuardrail = ({ experimentId, metric, variantId, arm, control, logE, paused }: GuardrailResult): AlertDraft => ({
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
  update exposure_stream.alert set ended_at = now(), updated_at = now(), ended_by = 'withdrawn', holds = false where kind = any($1) and ended_at is null`;

/** Raises what this run has to say, and ends what is over. Rejects with `postgres_unreachable`. */
export async function announce(
  pool: Pool,
  report: RunReport,
  { guardrails, nowMs }: { guardrails: readonly GuardrailResult[]; nowMs: number },
): Promise<void> {
  if (report.status === 'dry_run') return;
  const store = new PostgresAlertStore(pool);
  const violated = guardrails.filter(({ verdict }) => verdict === 'VIOLATED').map(draftOfGuardrail);
  try {
    if (report.status === 'applying') await pool.query(END, [OVER_WHEN_APPLIED]);
    for (const draft of [...draftsOf(report), ...violated]) {
      const { kind, subject, phase } = draft;
      const { rows } = await pool.query<{ ended: number; quiet: boolean }>(BEFORE, [
        kind,
        subject.kind,
        subject.id,
        phase,
        report.head.runId,
      ]);
      const [{ ended: ordinal, quiet }] = rows;
      if (quiet) continue;
      const at = { raisedAtMs: nowMs, updatedAtMs: nowMs, endedAtMs: null, endedBy: null };
      await store.write({ epoch: 0, version: nowMs }, [{ ...draft, ...at, id: alertId(draft, ordinal), ordinal, holds: true }]);
    }
  } catch (error) {
    throw namePostgresError(error, 'The run’s alerts were not written');
  }
}
