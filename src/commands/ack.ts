/** `ack`: somebody has seen an alert. It ends here; evaluate reads that, and no longer holds it to be open. */
import { StreamError } from '../errors.ts';
import { namePostgresError, openPool } from '../sinks/postgres-client.ts';
import { type CommonOptions, type Host, printJson, settingsOf } from './host.ts';

export interface AckOptions extends CommonOptions {
  note: string;
}

interface Row {
  alert_id: string;
  kind: string;
  summary: string;
  acknowledged_at: Date | null;
  acknowledged_note: string | null;
  ended_by: string | null;
}

/** Clocks differ: an alert never ends before it was raised. */
const ACKNOWLEDGE = `
  update exposure_stream.alert
  set acknowledged_at = greatest(now(), raised_at), acknowledged_note = $2, ended_at = greatest(now(), raised_at), ended_by = 'acknowledged'
  where alert_id = $1 and ended_at is null
  returning alert_id, kind, summary, acknowledged_at, acknowledged_note, ended_by`;
/** One that had ended by itself has been seen now too. */
const NOTE = `
  update exposure_stream.alert
  set acknowledged_at = coalesce(acknowledged_at, greatest(now(), raised_at)), acknowledged_note = coalesce(acknowledged_note, $2)
  where alert_id = $1
  returning alert_id, kind, summary, acknowledged_at, acknowledged_note, ended_by`;

/** Resolves with the exit code; a second time changes nothing. Rejects with code `alert_unknown`. */
export async function ack(host: Host, alertId: string, options: AckOptions): Promise<number> {
  const settings = settingsOf(host, options);
  const note = options.note.trim();
  if (note === '') throw new StreamError('bad_setting', '--note is empty: expected who has taken the alert, or what was found');
  const pool = openPool(settings.env.DATABASE_URL, 1);
  try {
    const [ended] = (await pool.query<Row>(ACKNOWLEDGE, [alertId, note])).rows;
    const row = ended ?? (await pool.query<Row>(NOTE, [alertId, note])).rows[0];
    if (row === undefined)
      throw new StreamError('alert_unknown', `There is no alert ${alertId}: /api/v1/alerts and every message about one have its id.`);
    if (options.json) printJson(host, { ...row, already: ended === undefined });
    else host.out.write(`${textOf(row, ended === undefined)}\n`);
    return 0;
  } catch (error) {
    throw namePostgresError(error, 'The alert was not acknowledged');
  } finally {
    await pool.end();
  }
}

function textOf(row: Row, already: boolean): string {
  const at = row.acknowledged_at?.toISOString();
  return already
    ? `Alert ${row.alert_id} was over already; acknowledged ${at}: ${row.acknowledged_note}`
    : `Alert ${row.alert_id} is acknowledged: ${row.summary}`;
}
