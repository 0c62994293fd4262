import { DatabaseError, Pool, type PoolClient } from 'pg';
import { asError, StreamError } from '../errors.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/** TLS and all else come from the URL (`sslmode`, `sslrootcert`, …). Connects when first used. */
export const openPool = (databaseUrl: string, max = 4): Pool => {
  const pool = new Pool({
    connectionString: databaseUrl,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'exposure-stream',
  });
  // A connection that breaks while nobody uses it: the next use opens another one or says why not.
  pool.on('error', () => {});
  return pool;
};

/** undefined_table, undefined_column, undefined_function, invalid_schema_name */
const SCHEMA_STATES = new Set(['42P01', '42703', '42883', '3F000']);

/** What went wrong in words only: connection errors may carry the URL, and so the password, in their fields. */
export const namePostgresError = (error: unknown, doing: string): StreamError => {
  if (error instanceof StreamError) return error;
  if (error instanceof TypeError || error instanceof RangeError) throw error;
  const { message, name } = asError(error);
  const text = message || (error as NodeJS.ErrnoException).code || name;
  if (error instanceof DatabaseError && SCHEMA_STATES.has(error.code ?? '')) {
    return new StreamError('schema_missing', `${doing}: ${text}. Run \`exposure-stream migrate\`.`);
  }
  return new StreamError('postgres_unreachable', `${doing}: ${text}.`);
};

/**
 * One transaction; rolled back when `body` throws. A client that dies inside it holds no lock longer than a minute.
 * Sends nothing at connection time that a pooler such as PgBouncer would refuse.
 */
export const inTransaction = async <Result>(
  pool: Pool,
  body: (client: PoolClient) => Promise<Result>,
  begin = 'begin',
): Promise<Result> => {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(`${begin}; set local statement_timeout = '60s'; set local idle_in_transaction_session_timeout = '60s'`);
    const result = await body(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((failed) => {
      broken = asError(failed);
    });
    throw error;
  } finally {
    client.release(broken);
  }
};
