/** What a run does to the views, when it is decided or approved. */
import type { PoolClient } from 'pg';
import * as sql from './queries.ts';

const SHOWING = "hashtextextended('exposure_stream.reconcile.showing', 0)";

/** Inside of a transaction. How many hours it has adjusted, and how many locked ones corrected. */
export async function showIn(client: PoolClient, runId: string): Promise<{ adjusted: number; corrected: number }> {
  const counts: number[] = [];
  // The lock of the session may have gone with a connection. What a locked hour lacks is not asked by two at once.
  await client.query(`select pg_advisory_xact_lock(${SHOWING})`);
  for (const text of [sql.ADJUST, sql.CORRECT_ROWS, sql.CORRECT]) counts.push((await client.query(text, [runId])).rowCount ?? 0);
  return { adjusted: counts[0], corrected: counts[2] };
}
