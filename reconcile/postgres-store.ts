/** The store in Postgres. */
import type { Pool } from 'pg';
import { asError } from '../src/errors.ts';
import { inTransaction, namePostgresError } from '../src/sinks/postgres-client.ts';
import type { Adjustment } from '../src/topology/adjustments.ts';
import type { Clock } from '../src/topology/types.ts';
import { endHeldAlerts } from './alerts.ts';
import { inTransactionAgain, PostgresDraft } from './postgres-draft.ts';
import { openSnapshot } from './postgres-snapshot.ts';
import * as sql from './queries.ts';
import { adjustmentOf, readRows } from './rows.ts';
import { beginValues, headOf, type RunRow } from './run-rows.ts';
import { showIn } from './show.ts';
import { type Approval, type Draft, notHeld, type ReconcileStore, type RunHead, type RunStatus, type Snapshot } from './store.ts';

const LOCK = "hashtextextended('exposure_stream.reconcile', 0)";
const LOOK_AGAIN_MS = 250;

export interface PostgresStoreOptions {
  clock: Clock;
}

export class PostgresReconcileStore implements ReconcileStore {
  readonly #pool: Pool;
  readonly #options: PostgresStoreOptions;

  /** The pool waits for answers without a limit of its own (openPool's `queryTimeoutMs` 0), has at least four connections, and is ended by `close`. */
  constructor(pool: Pool, options: PostgresStoreOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  /** An advisory lock of a session: it goes with the connection, so a process that dies frees it at once. */
  lock(waitMs: number): Promise<(() => Promise<void>) | null> {
    return named('The lock of the reconciler was not taken', async () => {
      const { clock } = this.#options;
      const client = await this.#pool.connect();
      const untilMs = clock.now().monotonicMs + waitMs;
      for (;;) {
        const { rows } = await client.query<{ got: boolean }>(`select pg_try_advisory_lock(${LOCK}) as got`);
        if (rows[0].got) break;
        if (clock.now().monotonicMs >= untilMs) {
          client.release();
          return null;
        }
        await clock.sleep(LOOK_AGAIN_MS);
      }
      return async () => {
        const failed = await client.query(`select pg_advisory_unlock(${LOCK})`).then(() => undefined, asError);
        client.release(failed);
      };
    });
  }

  pending(): Promise<{ head: RunHead; status: 'started' | 'applying' }[]> {
    return named('Interrupted runs were not read', async () => {
      const { rows } = await this.#pool.query<RunRow & { status: 'started' | 'applying' }>(sql.PENDING);
      return rows.map((row) => ({ head: headOf(row), status: row.status }));
    });
  }

  snapshot(): Promise<Snapshot> {
    return named('The snapshot was not opened', () => openSnapshot(this.#pool));
  }

  begin(head: RunHead, dryRun: boolean): Promise<Draft> {
    return named('The run was not begun', async () => {
      if (!dryRun) await this.#pool.query(sql.BEGIN, beginValues(head, 'started'));
      return await PostgresDraft.open(this.#pool, { head, clock: this.#options.clock });
    });
  }

  approve(runId: string): Promise<Approval> {
    return named('The run was not approved', async () => {
      const { rows } = await this.#pool.query<{ status: RunStatus; newer: string | null }>(sql.NEWER, [runId]);
      if (rows.length === 0) return { approved: false, because: 'there is no such run' };
      const [{ status, newer }] = rows;
      if (status !== 'held' || newer !== null) return { approved: false, because: notHeld(status, newer) };
      const client = await this.#pool.connect();
      try {
        return await inTransactionAgain(client, async (): Promise<Approval> => {
          const { rowCount } = await client.query(sql.APPROVE, [runId]);
          if (rowCount === 0) return { approved: false, because: 'another process has it' };
          return { approved: true, ...(await showIn(client, runId)) };
        });
      } finally {
        client.release();
      }
    });
  }

  reject(runId: string): Promise<{ rejected: true } | { rejected: false; because: string }> {
    return named('The run was not rejected', async () => {
      const { rows } = await this.#pool.query<{ status: RunStatus }>(sql.NEWER, [runId]);
      if (rows.length === 0) return { rejected: false, because: 'there is no such run' };
      const done = await inTransaction(this.#pool, async (client) => {
        const { rowCount } = await client.query(sql.REJECT, [runId]);
        await endHeldAlerts(client);
        return rowCount === 1;
      });
      return done ? { rejected: true } : { rejected: false, because: notHeld(rows[0].status, null) };
    });
  }

  fail(runId: string, because: string): Promise<void> {
    return named('The run was not marked as failed', async () => {
      await this.#pool.query(sql.FAIL, [runId, because]);
    });
  }

  async *standing(runId: string, fromMs: number): AsyncGenerator<Adjustment[], void> {
    const client = await this.#pool.connect();
    try {
      await client.query('begin read only');
      for await (const rows of readRows(client, { name: 'standing', text: sql.STANDING, values: [runId, fromMs] }))
        yield rows.map(adjustmentOf);
      await client.query('commit');
      client.release();
    } catch (error) {
      client.release(asError(error));
      throw namePostgresError(error, 'Adjustments were not read');
    }
  }

  applied(runId: string): Promise<void> {
    return named('The run was not marked as applied', async () => {
      await inTransaction(this.#pool, async (client) => {
        await client.query(sql.MARK_APPLIED, [runId]);
        await client.query(sql.SUPERSEDE, [runId]);
        await endHeldAlerts(client);
      });
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

async function named<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw namePostgresError(error, doing);
  }
}
