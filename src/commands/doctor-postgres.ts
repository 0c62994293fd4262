/** Does Postgres answer, is the schema there, may this user use it, and does the registry make sense? */
import type { Pool } from 'pg';
import type { Settings } from '../config.ts';
import { schemaVersion } from '../sinks/migrations.ts';
import { namePostgresError, openPool } from '../sinks/postgres-client.ts';
import { PostgresRegistry } from '../sinks/postgres-registry.ts';
import type { Clock } from '../topology/types.ts';
import { type Finding, failedCheck, placeOf, withoutSecrets } from './doctor-report.ts';

const MIGRATE = 'Run `exposure-stream migrate`.';
const ZONES_NAMED = 5;

const READ = ['campaign', 'budget', 'experiment', 'variant', 'allocation', 'registry_version', 'stream_epoch'];
const WRITTEN = ['stream_count', 'stream_position', 'stream_fence', 'alert', 'alert_delivery'];
const RIGHTS = `
  select name, privilege from unnest($1::text[]) name, unnest($2::text[]) privilege
  where not coalesce(has_table_privilege('exposure_stream.' || name, privilege), false)`;

export async function checkPostgres(settings: Settings, clock: Clock): Promise<Finding[]> {
  const { DATABASE_URL: url } = settings.env;
  const pool = openPool(url, 1);
  try {
    const client = await pool.connect();
    client.release();
    const connected: Finding = { name: 'postgres', status: 'ok', says: `Connected to ${placeOf(url)}.` };
    return [connected, ...(await checkSchema(pool, clock))];
  } catch (error) {
    const failure = namePostgresError(error, `Postgres at ${placeOf(url)}`);
    const finding = failedCheck('postgres', failure, todoOf(error, url));
    return [{ ...finding, says: withoutSecrets(finding.says, [url]) }];
  } finally {
    // Waits for its connection, which a server that has stopped answering never ends.
    pool.end().catch(() => undefined);
  }
}

function todoOf(error: unknown, url: string): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === '28P01' || code === '28000') return 'Check user and password in DATABASE_URL (or DATABASE_URL_FILE), and pg_hba.conf.';
  if (code === '3D000') return 'Create the database, or name another one in DATABASE_URL.';
  return `Start Postgres, or set DATABASE_URL (now ${placeOf(url)}).`;
}

async function checkSchema(pool: Pool, clock: Clock): Promise<Finding[]> {
  const name = 'schema';
  const { newest, missing } = await schemaVersion(pool);
  if (missing.length > 0) {
    const says = newest === null ? 'The schema exposure_stream is missing.' : `Migrations have not run: ${missing.join(', ')}.`;
    return [{ name, status: 'error', says, todo: MIGRATE, code: 'schema_missing' }];
  }
  const lacking = await lackingRights(pool);
  if (lacking.length > 0) {
    const says = `This user lacks rights: ${lacking.join(', ')}.`;
    return [{ name, status: 'error', says, todo: 'Grant them, or name the schema’s owner in DATABASE_URL.' }];
  }
  return [{ name, status: 'ok', says: `Up to date (${newest}), with the rights needed.` }, ...(await checkRegistry(pool, clock))];
}

async function lackingRights(pool: Pool): Promise<string[]> {
  const ask = async (tables: string[], privileges: string[]) =>
    (await pool.query<{ name: string; privilege: string }>(RIGHTS, [tables, privileges])).rows;
  const lacking = [...(await ask(READ, ['select'])), ...(await ask(WRITTEN, ['select', 'insert', 'update']))];
  const { rows } = await pool.query<{ allowed: boolean }>("select has_database_privilege(current_database(), 'temporary') as allowed");
  return [...lacking.map(({ name, privilege }) => `${privilege} on ${name}`), ...(rows[0].allowed ? [] : ['temporary tables'])];
}

async function checkRegistry(pool: Pool, clock: Clock): Promise<Finding[]> {
  const name = 'registry';
  const bad: string[] = [];
  const warn = (fields: { campaignId?: string; timeZone?: string }): void => {
    if (fields.campaignId !== undefined) bad.push(`${JSON.stringify(fields.timeZone)} of campaign ${JSON.stringify(fields.campaignId)}`);
  };
  try {
    const registry = await new PostgresRegistry(pool, { clock, log: { warn: warn as () => void } }).load();
    const held = `${registry.campaigns.size} campaigns, ${registry.experiments.size} experiments`;
    if (bad.length === 0) return [{ name, status: 'ok', says: `Read: ${held}.` }];
    const shown = bad.slice(0, ZONES_NAMED).join(', ') + (bad.length > ZONES_NAMED ? ` and ${bad.length - ZONES_NAMED} more` : '');
    const says = `Time zones that are none, so that UTC is used: ${shown}.`;
    return [{ name, status: 'warning', says, todo: 'Correct exposure_stream.campaign.time_zone to an IANA name.' }];
  } catch (error) {
    return [failedCheck(name, error, MIGRATE)];
  }
}
