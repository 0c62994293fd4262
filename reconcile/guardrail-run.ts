/** Looks at every guardrail of every running experiment, writes each look down, and pauses what is violated. */
import type { Pool } from 'pg';
import { inTransaction, namePostgresError } from '../src/sinks/postgres-client.ts';
import { draftOfGuardrail, raiseAlerts } from './alerts.ts';
import { type ArmCounts, FIRST_LOOK, type Guardrail, harmOf, type Look, logEOf, lookAgain, type Verdict, verdictOf } from './guardrails.ts';

const GUARDRAILS = `
  select guardrail.experiment_id as "experimentId", metric, direction, tolerance, auto_pause as "autoPause",
    (select variant_id from exposure_stream.variant where variant.experiment_id = guardrail.experiment_id order by position, variant_id limit 1) as control
  from exposure_stream.guardrail join exposure_stream.experiment using (experiment_id)
  where experiment.status not in ('paused', 'ended', 'stopped') order by 1, 2`;

/** Of each arm: exposed units, and those with an event of the metric since their exposure (experiment_outcome_unit). */
const COUNTS = `
  select variant_id as "variantId", count(*)::float8 as units, count(*) filter (where exists (
    select from exposure_stream.experiment_outcome outcome
    where outcome.experiment_id = first.experiment_id and outcome.unit_id = first.unit_id and outcome.metric = $2
      and outcome.event_ts >= first.event_ts))::float8 as events
  from exposure_stream.first_exposure first where experiment_id = $1 group by 1 order by 1`;

const BEFORE = `
  select control_units::float8 as "controlUnits", control_events::float8 as "controlEvents", units::float8 as units, events::float8 as events,
    log_e as "logE"
  from exposure_stream.guardrail_result where experiment_id = $1 and metric = $2 and variant_id = $3 order by looked_at desc limit 1`;

const KEEP = `
  insert into exposure_stream.guardrail_result
    (experiment_id, metric, variant_id, looked_at, run_id, control_units, control_events, units, events, log_e, log_e_value, verdict, paused)
  values ($1, $2, $3, clock_timestamp(), $4, $5, $6, $7, $8, $9, $10, $11, $12)`;

export interface GuardrailResult {
  experimentId: string;
  metric: string;
  variantId: string;
  control: ArmCounts;
  arm: ArmCounts;
  logE: number;
  /** UNKNOWN: it cannot be looked at. */
  verdict: Verdict | 'UNKNOWN';
  paused: boolean;
  /** Why it is UNKNOWN; null where it is not. */
  because: string | null;
}

interface Row extends Omit<Guardrail, 'harm'> {
  direction: string;
  control: string | null;
}

interface BeforeRow extends ArmCounts {
  controlUnits: number;
  controlEvents: number;
  logE: number[];
}

export interface GuardrailOptions {
  runId: string;
  alphas: { violated: number; warning: number };
  nowMs: number;
}

export async function lookAtGuardrails(pool: Pool, options: GuardrailOptions): Promise<GuardrailResult[]> {
  try {
    const { rows } = await pool.query<Row>(GUARDRAILS);
    const results: GuardrailResult[] = [];
    for (const row of rows) results.push(...(await lookAt(pool, row, options)));
    return results;
  } catch (error) {
    throw namePostgresError(error, 'Guardrails were not looked at');
  }
}

/** One transaction: a look and what it leads to, its alert too, are written together, so that one that is repeated after a crash finds nothing new. */
async function lookAt(pool: Pool, row: Row, { runId, alphas, nowMs }: GuardrailOptions): Promise<GuardrailResult[]> {
  const harm = harmOf(row.direction);
  if (harm === null) return [unknown(row, `its direction is ${JSON.stringify(row.direction)}, neither increase nor decrease`)];
  if (row.control === null) return [unknown(row, 'the experiment has no variant registered')];
  const { experimentId, metric, tolerance, autoPause } = row;
  const { rows } = await pool.query<ArmCounts & { variantId: string }>(COUNTS, [experimentId, metric]);
  const control = rows.find(({ variantId }) => variantId === row.control);
  if (control === undefined) return [unknown(row, `nobody has been exposed to the control, ${row.control}`)];
  return await inTransaction(pool, async (client) => {
    const results: GuardrailResult[] = [];
    for (const arm of rows) {
      if (arm === control) continue;
      const { rows: kept } = await client.query<BeforeRow>(BEFORE, [experimentId, metric, arm.variantId]);
      const look = lookAgain({ harm, tolerance }, kept.length === 0 ? FIRST_LOOK : lookOf(kept[0]), control, arm);
      const logE = logEOf(look);
      const verdict = verdictOf(logE, alphas);
      let paused = false;
      if (verdict === 'VIOLATED' && autoPause) {
        const done = await client.query<{ paused: boolean }>('select exposure_stream.pause_experiment($1) as paused', [experimentId]);
        paused = done.rows[0].paused;
      }
      const counts = [control.units, control.events, arm.units, arm.events];
      await client.query(KEEP, [experimentId, metric, arm.variantId, runId, ...counts, look.logE, logE, verdict, paused]);
      results.push({ experimentId, metric, variantId: arm.variantId, control, arm, logE, verdict, paused, because: null });
    }
    await raiseAlerts(client, results.filter(({ verdict: is }) => is === 'VIOLATED').map(draftOfGuardrail), { runId, nowMs });
    return results;
  });
}

const unknown = ({ experimentId, metric }: Row, because: string): GuardrailResult => {
  const nobody = { units: 0, events: 0 };
  return { experimentId, metric, variantId: '', control: nobody, arm: nobody, logE: 0, verdict: 'UNKNOWN', paused: false, because };
};

const lookOf = ({ controlUnits, controlEvents, units, events, logE }: BeforeRow): Look => ({
  control: { units: controlUnits, events: controlEvents },
  arm: { units, events },
  logE,
});
