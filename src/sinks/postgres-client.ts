import { DatabaseError, Pool, type PoolClient } from 'pg';
import { asError, StreamError } from '../errors.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** A little above the server's own limit on a statement, whose answer says more. */
const QUERY_TIMEOUT_MS = 25_000;
const STATEMENT_TIMEOUT_MS = 20_000;
/** What pg says when it has waited long enough. */
const TIMED_OUT = 'Query read timeout';

/**
 * TLS and all else come from the URL (`sslmode`, `sslrootcert`, …). Connects when first used. A query that gets no answer
 * within `queryTimeoutMs` fails, so that a server that hangs is one that does not answer; 0 waits for ever.
 */
export const openPool = (databaseUrl: string, max = 4, queryTimeoutMs = QUERY_TIMEOUT_MS): Pool => {
  const pool = new Pool({
    connectionString: databaseUrl,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    application_name: 'exposure-stream',
  });
  // A connection that breaks while nobody uses it: the next use opens another one or says why not.
  pool.on('error', () => {});
  // And one that somebody holds, such as a lock's: what is asked of it next says so. An event that nobody hears ends the process.
  pool.on('connect', (client) => client.on('error', () => {}));
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
    await client.query(
      `${begin}; set local statement_timeout = ${STATEMENT_TIMEOUT_MS}; set local idle_in_transaction_session_timeout = '60s'`,
    );
    const result = await body(client);
    await client.query('commit');
    return result;
  } catch (error) {
    // A rollback would wait behind the query that hangs; the server rolls back when the connection goes.
    const hangs = asError(error).message === TIMED_OUT;
    const failed = hangs ? error : await client.query('rollback').then(() => null, asError);
    if (failed !== null) broken = asError(failed);
    throw error;
  } finally {
    client.release(broken);
  }
};
