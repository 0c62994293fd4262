/** Metrics of the reconciler's runs, out of Postgres. */
import type { Pool } from 'pg';
import type { Metrics } from '../metrics.ts';
import { type LastRuns, readLastRuns } from '../sinks/postgres-runs.ts';
import type { Clock } from '../topology/types.ts';

const LOOK_MS = 15_000;

/** Keeps the metrics up to date until told to stop; while Postgres does not answer they stay as they are, and their age shows. */
export async function watchRuns(
  pool: Pool,
  { metrics, clock, stopping }: { metrics: Metrics; clock: Clock; stopping: AbortSignal },
): Promise<void> {
  while (!stopping.aborted) {
    const runs = await readLastRuns(pool).catch(() => null);
    if (runs !== null) showRuns(metrics, runs);
    await clock.sleep(LOOK_MS, stopping);
  }
}

export function showRuns(metrics: Metrics, { succeededS, driftRatio, held }: LastRuns): void {
  if (succeededS !== null) metrics.gauge('reconcile_last_success_timestamp_seconds').set(succeededS);
  if (driftRatio !== null) metrics.gauge('reconcile_drift_ratio').set(driftRatio);
  metrics.gauge('reconcile_held_runs').set(held);
}
