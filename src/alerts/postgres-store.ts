import type { Pool } from 'pg';
import { namePostgresError } from '../sinks/postgres-client.ts';
import type { ClosedAlert } from './book.ts';
import type { AlertJson, AlertStore, AlertWriter } from './store.ts';
import { type AlertRecord, alertJson } from './types.ts';

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
  where held.ended_at is null and (held.epoch, held.version) <= (excluded.epoch, excluded.version)`;

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

/** With a connection that is inside of a transaction of its own, or with a pool. */
export async function writeAlerts(
  client: { query(text: string, values: unknown[]): Promise<unknown> },
  { epoch, version }: AlertWriter,
  alerts: readonly AlertRecord[],
): Promise<void> {
  await client.query(WRITE, [JSON.stringify(alerts.map(alertJson)), epoch, version]);
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
      await writeAlerts(this.#pool, writer, alerts);
    } catch (error) {
      throw namePostgresError(error, 'Alerts were not written');
    }
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
