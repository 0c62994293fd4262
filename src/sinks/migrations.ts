import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Pool, PoolClient } from 'pg';
import type { Logger } from 'pino';
import { StreamError } from '../errors.ts';
import { inTransaction, namePostgresError, openPool } from './postgres-client.ts';

export interface Migration {
  /** File name, e.g. `001_registry.sql`; files run in the order of their names. */
  name: string;
  sql: string;
  /** SHA-256 of the file, line ends made equal. */
  checksum: string;
  /** Of former forms, which have left every database as this one leaves it: lines `-- formerly: SHA-256` of the file. */
  former: readonly string[];
}

export interface MigrationOptions {
  log: Pick<Logger, 'info' | 'warn'>;
  /** For tests; by default what the package ships in reconcile/sql. */
  migrations?: readonly Migration[];
}

export interface MigrationResult {
  applied: string[];
  /** How many were there before. */
  already: number;
}

const JOURNAL = `
  create schema if not exists exposure_stream;
  create table if not exists exposure_stream.schema_migration (
    name text primary key, checksum text not null, applied_at timestamptz not null default now())`;

/** reconcile/sql of this package, from src as from dist. */
const sqlFolder = (): string => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    if (folder === dirname(folder)) throw new StreamError('unexpected', 'The package is incomplete: no package.json above this file.');
    folder = dirname(folder);
  }
  return join(folder, 'reconcile', 'sql');
};

export const makeMigration = (name: string, text: string): Migration => {
  const sql = text.replaceAll('\r\n', '\n');
  const former = [...sql.matchAll(/^-- formerly: ([0-9a-f]{64})$/gm)].map(([, checksum]) => checksum);
  return { name, sql, checksum: createHash('sha256').update(sql).digest('hex'), former };
};

export const readMigrations = async (folder: string = sqlFolder()): Promise<Migration[]> => {
  const names = (await readdir(folder)).filter((name) => /^\d{3}_\w+\.sql$/.test(name)).sort();
  return Promise.all(names.map(async (name) => makeMigration(name, await readFile(join(folder, name), 'utf8'))));
};

/**
 * Brings the schema up to date: each file in a transaction of its own, under a lock, so that any number of processes may
 * call it at the same time. Files that have run never change: a new one is added, first to widen (old and new programs
 * work), later, when no old program runs any more, to narrow; so files that a newer program has added are no fault here.
 *
 * Rejects with `schema_changed` (a file that has run is another one now), `postgres_unreachable`.
 */
export const migrate = async (database: string | Pool, options: MigrationOptions): Promise<MigrationResult> => {
  const migrations = options.migrations ?? (await readMigrations());
  const pool = typeof database === 'string' ? openPool(database, 1, 0) : database;
  const applied: string[] = [];
  try {
    for (const migration of migrations) {
      const ran = await inTransaction(pool, (client) => applyOnce(client, migration));
      if (!ran) continue;
      applied.push(migration.name);
      options.log.info({ migration: migration.name }, 'Migration applied');
    }
  } catch (error) {
    throw namePostgresError(error, 'The schema exposure_stream was not brought up to date');
  } finally {
    if (pool !== database) await pool.end();
  }
  return { applied, already: migrations.length - applied.length };
};

const applyOnce = async (client: PoolClient, { name, sql, checksum, former }: Migration): Promise<boolean> => {
  await client.query("select pg_advisory_xact_lock(hashtextextended('exposure_stream.migrate', 0))");
  await client.query('set local statement_timeout = 0');
  await client.query("set local client_min_messages = 'warning'");
  const { rows: encoding } = await client.query<{ server_encoding: string }>('show server_encoding');
  if (encoding[0].server_encoding !== 'UTF8') {
    throw new StreamError('bad_setting', `The database’s encoding is ${encoding[0].server_encoding}; ids need UTF8.`);
  }
  await client.query(JOURNAL);
  const { rows } = await client.query<{ checksum: string }>('select checksum from exposure_stream.schema_migration where name = $1', [
    name,
  ]);
  if (rows.length > 0 && ![checksum, ...former].includes(rows[0].checksum)) {
    throw new StreamError(
      'schema_changed',
      `Migration ${name} has run with other content than this package ships: an applied file is never edited.`,
    );
  }
  if (rows.length > 0) return false;
  await client.query(sql);
  await client.query('insert into exposure_stream.schema_migration (name, checksum) values ($1, $2)', [name, checksum]);
  return true;
};

export interface SchemaVersion {
  /** The last migration that has run, null in an empty database. */
  newest: string | null;
  /** Migrations of this package that have not run. */
  missing: string[];
}

/** What `run` and `doctor` ask before they use the schema. Rejects with `postgres_unreachable`. */
export const schemaVersion = async (pool: Pool): Promise<SchemaVersion> => {
  const migrations = await readMigrations();
  try {
    const { rows } = await pool.query<{ journal: string | null }>(
      "select to_regclass('exposure_stream.schema_migration')::text as journal",
    );
    if (rows[0].journal === null) return { newest: null, missing: migrations.map(({ name }) => name) };
    const { rows: ran } = await pool.query<{ name: string }>('select name from exposure_stream.schema_migration order by name');
    const names = new Set(ran.map(({ name }) => name));
    return { newest: ran.at(-1)?.name ?? null, missing: migrations.map(({ name }) => name).filter((name) => !names.has(name)) };
  } catch (error) {
    throw namePostgresError(error, 'The schema’s version could not be read');
  }
};
