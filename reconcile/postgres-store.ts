/** The store in Postgres. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pool, PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { asError, StreamError } from '../src/errors.ts';
import { copyChunks, copyLine } from '../src/sinks/copy-text.ts';
import { inTransaction, namePostgresError } from '../src/sinks/postgres-client.ts';
import type { Adjustment } from '../src/topology/adjustments.ts';
import type { Clock } from '../src/topology/types.ts';
import { draftsOf, endHeldAlerts, raiseAlerts } from './alerts.ts';
import { openSnapshot } from './postgres-snapshot.ts';
import * as sql from './queries.ts';
import { adjustmentOf, readRows } from './rows.ts';
import { beginValues, DELTA_COLUMNS, type DeltaRow, deltaLine, deltaOfRow, headOf, type RunRow } from './run-rows.ts';
import { type Approval, notHeld, type ReconcileStore, type RunHead, type RunOutcome, type RunStatus, type Snapshot } from './store.ts';
import { DAY_MS } from './types.ts';

const LOCK = "hashtextextended('exposure_stream.reconcile', 0)";
const SHOWING = "hashtextextended('exposure_stream.reconcile.showing', 0)";
const LOOK_AGAIN_MS = 250;
/** deadlock_detected, serialization_failure: evaluate flushes the same rows; the transaction is simply done again. */
const AGAIN = new Set(['40P01', '40001']);
const TRIES = 5;

export interface PostgresStoreOptions {
  clock: Clock;
}

export class PostgresReconcileStore implements ReconcileStore {
  readonly #pool: Pool;
  readonly #options: PostgresStoreOptions;

  /** The pool waits for answers without a limit of its own (openPool's `queryTimeoutMs` 0), has at least three connections, and is ended by `close`. */
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

  begin(head: RunHead): Promise<void> {
    return named('The run was not begun', async () => {
      await this.#pool.query(sql.BEGIN, beginValues(head, 'started'));
    });
  }

  decide(outcome: RunOutcome): Promise<void> {
    return named('The run was not decided', async () => {
      await this.#ensureDays(outcome);
      await this.#again((client) => this.#decide(client, outcome));
    });
  }

  approve(runId: string): Promise<Approval> {
    return named('The run was not approved', async () => {
      const { rows } = await this.#pool.query<{ status: RunStatus; newer: string | null }>(sql.NEWER, [runId]);
      if (rows.length === 0) return { approved: false, because: 'there is no such run' };
      const [{ status, newer }] = rows;
      if (status !== 'held' || newer !== null) return { approved: false, because: notHeld(status, newer) };
      return await this.#again(async (client) => {
        const { rowCount } = await client.query(sql.APPROVE, [runId]);
        if (rowCount === 0) return { approved: false, because: 'another process has it' };
        return { approved: true, ...(await showIn(client, runId)) };
      });
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

  summaryOf(runId: string) {
    return named('The run was not read', async () => {
      const { rows } = await this.#pool.query<RunRow>(sql.RUN, [runId]);
      if (rows.length === 0) return null;
      const { rows: deltas } = await this.#pool.query<DeltaRow>(sql.DELTAS, [runId]);
      return { head: headOf(rows[0]), status: rows[0].status, summary: rows[0].summary, deltas: deltas.map(deltaOfRow) };
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #decide(client: PoolClient, outcome: RunOutcome): Promise<void> {
    const { head, status, summary, inputFingerprint, resultFingerprint } = outcome;
    const { runId } = head;
    if (status === 'dry_run') await client.query(sql.BEGIN, beginValues(head, 'started'));
    const { rowCount } = await client.query(sql.DECIDE, [runId, status, JSON.stringify(summary), inputFingerprint, resultFingerprint]);
    if (rowCount === 0) throw new StreamError('reconcile_busy', `Run ${runId} was finished by another process meanwhile`);
    await copy(client, `reconcile_delta (${DELTA_COLUMNS})`, outcome.deltas, (delta) => deltaLine(runId, delta));
    await copy(client, `reconcile_money (${MONEY_COLUMNS})`, outcome.money, (day) => moneyLine(runId, day));
    await copy(client, `dq_result (${CHECK_COLUMNS})`, outcome.checks, (result) => checkLine(runId, result));
    if (status !== 'dry_run') await raiseAlerts(client, draftsOf(outcome), { runId, nowMs: this.#options.clock.now().wallMs });
    if (status === 'applying') await showIn(client, runId);
  }

  async #again<Result>(body: (client: PoolClient) => Promise<Result>): Promise<Result> {
    for (let left = TRIES; ; left--) {
      try {
        return await inTransaction(this.#pool, async (client) => {
          await client.query('set local statement_timeout = 0');
          return body(client);
        });
      } catch (error) {
        if (left <= 1 || !AGAIN.has((error as { code?: string }).code ?? '')) throw error;
      }
    }
  }

  /** Hours that only the truth has are to lie in the partition of their day too. Best effort: the default partition serves as well. */
  async #ensureDays({ deltas, status }: RunOutcome): Promise<void> {
    if (status !== 'applying') return;
    const days = new Set(deltas.flatMap(({ stream, hourMs }) => (stream === null ? [Math.floor(hourMs / DAY_MS)] : [])));
    for (const day of days) {
      const made = this.#pool.query("select exposure_stream.ensure_stream_count_day(date '1970-01-01' + $1::integer)", [day]);
      await made.catch(() => {});
    }
  }
}

async function showIn(client: PoolClient, runId: string): Promise<{ adjusted: number; corrected: number }> {
  const counts: number[] = [];
  // The lock of the session may have gone with a connection. What a locked hour lacks is not asked by two at once.
  await client.query(`select pg_advisory_xact_lock(${SHOWING})`);
  for (const text of [sql.ADJUST, sql.CORRECT_ROWS, sql.CORRECT]) counts.push((await client.query(text, [runId])).rowCount ?? 0);
  return { adjusted: counts[0], corrected: counts[2] };
}

const copy = async <Item>(client: PoolClient, into: string, items: readonly Item[], line: (item: Item) => string): Promise<void> => {
  if (items.length === 0) return;
  await pipeline(Readable.from(copyChunks(items, line)), client.query(copyFrom(`copy exposure_stream.${into} from stdin`)));
};

const MONEY_COLUMNS =
  'run_id, campaign_id, day, cap_micros, shown_micros, truth_micros, credited_micros, unseen_micros, absorbed_micros, ' +
  'over_tolerance_micros, make_good_micros, under_delivered_micros, catch_up_micros';
const moneyLine = (runId: string, day: RunOutcome['money'][number]): string =>
  copyLine([
    runId,
    day.campaignId,
    new Date(day.day * DAY_MS).toISOString().slice(0, 10),
    day.capMicros,
    day.shownMicros,
    day.truthMicros,
    day.creditedMicros,
    day.unseenMicros,
    day.absorbedMicros,
    day.overToleranceMicros,
    day.makeGoodMicros,
    day.underDeliveredMicros,
    `{${day.catchUpMicros.join(',')}}`,
  ]);

const CHECK_COLUMNS = 'run_id, check_name, check_version, priority, sla_hours, mode, passed, measured, threshold, detail';
const checkLine = (runId: string, { check, mode, passed, measured }: RunOutcome['checks'][number]): string => {
  const limit = measured < check.least ? check.least : check.most;
  const detail = JSON.stringify({ says: check.says, least: String(check.least), most: String(check.most) });
  return copyLine([runId, check.name, check.version, `P${check.priority}`, check.slaHours, mode, passed, measured, limit, detail]);
};

async function named<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw namePostgresError(error, doing);
  }
}
