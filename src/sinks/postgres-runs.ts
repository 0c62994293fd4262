/** What evaluate exports of the reconciler, which runs elsewhere and only for a moment: so a run that is missing shows too. */
import type { Pool } from 'pg';
import { namePostgresError } from './postgres-client.ts';

export interface LastRuns {
  /** When the last run was applied, epoch seconds; null before the first. Backfills and dry runs are none. */
  succeededS: number | null;
  /** Of the last run that has decided anything. */
  driftRatio: number | null;
  /** Runs that wait for a person. */
  held: number;
}

/** Each from an index over few of the history's rows. */
const LAST_RUNS = `
  select
    (select extract(epoch from finished_at)::float8 from exposure_stream.reconcile_run
      where status = 'applied' and not is_backfill order by cut_event_time desc, cut_booked_at desc limit 1) as "succeededS",
    (select (summary->>'driftRatio')::float8 from exposure_stream.reconcile_run
      where decided_at is not null and status not in ('dry_run', 'failed') and not is_backfill order by started_at desc limit 1) as "driftRatio",
    (select count(*)::integer from exposure_stream.reconcile_run where status = 'held') as held`;

export async function readLastRuns(pool: Pool): Promise<LastRuns> {
  try {
    return (await pool.query<LastRuns>(LAST_RUNS)).rows[0];
  } catch (error) {
    throw namePostgresError(error, 'The runs of the reconciler were not read');
  }
}
