import type { Pool } from 'pg';
import { namePostgresError } from '../sinks/postgres-client.ts';
import type { ClosedAlert } from './book.ts';
import type { AlertJson, AlertStore, AlertWriter } from './store.ts';
import { type AlertRecord, alertJson, PAUSES } from './types.ts';

/** All but what `alertJson` calls otherwise than its column. */
const COLUMNS =
  'alert_id text, kind text, severity text, subject_kind text, subject_id text, phase text, ordinal bigint, owner text, holds boolean, summary text, ended_by text';
const NAMES = COLUMNS.replaceAll(/ (text|bigint|boolean)/g, '');
const time = (name: string): string => `to_timestamp(${name} / 1000.0)`;

const WRITE = `
  insert into exposure_stream.alert as held (${NAMES}, raised_at, updated_at, ended_at, payload, epoch, version)
  select ${NAMES}, ${time('raised_ms')}, ${time('updated_ms')}, ${time('ended_ms')},
    jsonb_build_object('description', description, 'next_step', next_step, 'facts', facts), $2, $3
  from jsonb_to_recordset($1::jsonb) as incoming
    (${COLUMNS}, description text, next_step text, facts jsonb, raised_ms double precision, updated_ms double precision, ended_ms double precision)
  order by alert_id
  on conflict (alert_id) do update set summary = excluded.summary, holds = excluded.holds, updated_at = excluded.updated_at,
    ended_at = excluded.ended_at, ended_by = excluded.ended_by, payload = excluded.payload, epoch = excluded.epoch, version = excluded.version
  where held.ended_at is null and (held.epoch, held.version) <= (excluded.epoch, excluded.version)
  returning alert_id, xmax = 0 as is_new`;

const PAUSE = 'select exposure_stream.pause_experiment($1)';

const ms = (column: string): string => `round(extract(epoch from ${column})::float8 * 1000)`;

const CLOSED = `
  select alert_id as id, ${ms('ended_at')} as "endedAtMs", acknowledged_at is not null as acknowledged
  from exposure_stream.alert where alert_id = any($1) and ended_at is not null`;

/** A row as `alertJson` has it; of the table `alert`. */
export const ALERT_JSON = `jsonb_build_object('alert_id', alert_id, 'kind', kind, 'severity', severity, 'subject_kind', subject_kind,
    'subject_id', subject_id, 'phase', phase, 'ordinal', ordinal, 'owner', owner, 'status', case when ended_at is null then 'open' else 'ended' end,
    'holds', holds, 'summary', summary, 'description', payload->'description', 'next_step', payload->'next_step', 'facts', payload->'facts',
    'raised_ms', ${ms('raised_at')}, 'updated_ms', ${ms('updated_at')}, 'ended_ms', ${ms('ended_at')}, 'ended_by', ended_by)`;

const OPEN = `
  select ${ALERT_JSON} as alert from exposure_stream.alert where ended_at is null order by raised_at desc, alert_id limit $1`;

type Client = { query(text: string, values?: unknown[]): Promise<{ rows: object[] }> };

const pauses = ({ facts, subject }: AlertRecord): boolean => facts[PAUSES] === true && subject.kind === 'experiment';

/** With a connection that is inside of a transaction of its own, or with a pool. Resolves with the ids that were not there. */
export async function writeAlerts(client: Client, { epoch, version }: AlertWriter, alerts: readonly AlertRecord[]): Promise<Set<string>> {
  const { rows } = await client.query(WRITE, [JSON.stringify(alerts.map(alertJson)), epoch, version]);
  return new Set((rows as { alert_id: string; is_new: boolean }[]).filter(({ is_new }) => is_new).map(({ alert_id }) => alert_id));
}

/** The table `alert`. */
export class PostgresAlertStore implements AlertStore {
  readonly #pool: Pool;

  /** The pool is ended by `close`. */
  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async write(writer: AlertWriter, alerts: readonly AlertRecord[]): Promise<void> {
    try {
      if (alerts.some(pauses)) await this.#writeAndPause(writer, alerts);
      else await writeAlerts(this.#pool, writer, alerts);
    } catch (error) {
      throw namePostgresError(error, 'Alerts were not written');
    }
  }

  /**
   * An alert and the pause that comes with it are there together or not at all, so that it is paused once: who sets the status
   * afterwards has the last word. But where pausing is not allowed the alert is written all the same, and then it rejects.
   */
  async #writeAndPause(writer: AlertWriter, alerts: readonly AlertRecord[]): Promise<void> {
    const client = await this.#pool.connect();
    let refused: unknown = null;
    try {
      await client.query('begin');
      const added = await writeAlerts(client, writer, alerts);
      for (const alert of alerts) {
        if (!pauses(alert) || alert.endedAtMs !== null || !added.has(alert.id)) continue;
        await client.query('savepoint pausing');
        try {
          await client.query(PAUSE, [alert.subject.id]);
        } catch (error) {
          refused = error;
          await client.query('rollback to savepoint pausing');
        }
      }
      await client.query('commit');
      client.release();
    } catch (error) {
      client.release(true);
      throw error;
    }
    if (refused !== null) throw refused;
  }

  async closed(ids: readonly string[]): Promise<ClosedAlert[]> {
    return (await this.#query(CLOSED, [ids], 'Acknowledgements were not read')) as ClosedAlert[];
  }

  async open(limit: number): Promise<AlertJson[]> {
    const rows = await this.#query(OPEN, [limit], 'Alerts were not read');
    return (rows as { alert: AlertJson }[]).map(({ alert }) => alert);
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #query(text: string, values: unknown[], doing: string): Promise<unknown[]> {
    try {
      return (await this.#pool.query<object>(text, values)).rows;
    } catch (error) {
      throw namePostgresError(error, doing);
    }
  }
}
