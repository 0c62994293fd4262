/**
 * What a run finds, kept in a temporary table of one connection until the run is decided: memory does not grow with what differs,
 * and of a run that dies nothing is left. Then one transaction makes it history.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pool, PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { asError, StreamError } from '../src/errors.ts';
import { copyChunks, copyLine } from '../src/sinks/copy-text.ts';
import type { Clock } from '../src/topology/types.ts';
import { draftsOf, raiseAlerts } from './alerts.ts';
import * as sql from './queries.ts';
import { nameRefusal } from './rows.ts';
import { beginValues, DELTA_COLUMNS, deltaLine } from './run-rows.ts';
import { showIn } from './show.ts';
import type { Draft, RunHead, RunOutcome } from './store.ts';
import { DAY_MS, type Delta } from './types.ts';

const FOUND = 'create temporary table reconcile_found (like exposure_stream.reconcile_delta)';
const KEEP = `insert into exposure_stream.reconcile_delta (${DELTA_COLUMNS}) select ${DELTA_COLUMNS} from reconcile_found`;
/** deadlock_detected, serialization_failure: evaluate flushes the same rows; the transaction is simply done again. */
const AGAIN = new Set(['40P01', '40001']);
const TRIES = 5;

export class PostgresDraft implements Draft {
  readonly #client: PoolClient;
  readonly #head: RunHead;
  readonly #clock: Clock;
  /** UTC days of hours that only the truth has. */
  readonly #days = new Set<number>();

  private constructor(client: PoolClient, head: RunHead, clock: Clock) {
    this.#client = client;
    this.#head = head;
    this.#clock = clock;
  }

  static async open(pool: Pool, { head, clock }: { head: RunHead; clock: Clock }): Promise<PostgresDraft> {
    const client = await pool.connect();
    try {
      await client.query(FOUND);
    } catch (error) {
      client.release(asError(error));
      throw error;
    }
    return new PostgresDraft(client, head, clock);
  }

  async add(deltas: readonly Delta[]): Promise<void> {
    for (const { stream, hourMs } of deltas) if (stream === null) this.#days.add(Math.floor(hourMs / DAY_MS));
    try {
      await this.#copy(`reconcile_found (${DELTA_COLUMNS})`, deltas, (delta) => deltaLine(this.#head.runId, delta));
    } catch (error) {
      throw nameRefusal(error, 'What was found was not kept');
    }
  }

  async decide(outcome: RunOutcome): Promise<void> {
    try {
      if (outcome.status === 'applying') await this.#ensureDays();
      await inTransactionAgain(this.#client, () => this.#decide(outcome));
    } catch (error) {
      throw nameRefusal(error, 'The run was not decided');
    }
  }

  /** The connection ends, and the table with it. */
  async close(): Promise<void> {
    this.#client.release(true);
  }

  async #decide({ head, status, summary, inputFingerprint, resultFingerprint, ...rest }: RunOutcome): Promise<void> {
    const client = this.#client;
    const { runId } = head;
    if (status === 'dry_run') await client.query(sql.BEGIN, beginValues(head, 'started'));
    const { rowCount } = await client.query(sql.DECIDE, [runId, status, JSON.stringify(summary), inputFingerprint, resultFingerprint]);
    if (rowCount === 0) throw new StreamError('reconcile_busy', `Run ${runId} was finished by another process meanwhile`);
    await client.query(KEEP);
    await this.#copy(`exposure_stream.reconcile_money (${MONEY_COLUMNS})`, rest.money, (day) => moneyLine(runId, day));
    await this.#copy(`exposure_stream.dq_result (${CHECK_COLUMNS})`, rest.checks, (result) => checkLine(runId, result));
    const drafts = draftsOf({ head, summary, alerts: rest.alerts });
    if (status !== 'dry_run') await raiseAlerts(client, drafts, { runId, nowMs: this.#clock.now().wallMs });
    if (status === 'applying') await showIn(client, runId);
  }

  /** Hours that only the truth has are to lie in the partition of their day too. Best effort: the default partition serves as well. */
  async #ensureDays(): Promise<void> {
    for (const day of this.#days) {
      const made = this.#client.query("select exposure_stream.ensure_stream_count_day(date '1970-01-01' + $1::integer)", [day]);
      await made.catch(() => {});
    }
  }

  async #copy<Item>(into: string, items: readonly Item[], line: (item: Item) => string): Promise<void> {
    if (items.length === 0) return;
    await pipeline(Readable.from(copyChunks(items, line)), this.#client.query(copyFrom(`copy ${into} from stdin`)));
  }
}

/** One transaction, however long it takes; done again where evaluate stood in its way. */
export async function inTransactionAgain<Result>(client: PoolClient, body: () => Promise<Result>): Promise<Result> {
  for (let left = TRIES; ; left--) {
    try {
      await client.query("begin; set local statement_timeout = 0; set local idle_in_transaction_session_timeout = '60s'");
      const result = await body();
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch(() => {}); // what went wrong is said by the first error
      if (left <= 1 || !AGAIN.has((error as { code?: string }).code ?? '')) throw error;
    }
  }
}

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
