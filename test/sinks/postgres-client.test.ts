import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, type MockInstance, test, vi } from 'vitest';
import { inTransaction, namePostgresError, openPool } from '../../src/sinks/postgres-client.ts';

/** Lets everybody in (AuthenticationOk, ReadyForQuery), and answers nothing after that. */
const GREETING = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);
const QUERY_TIMEOUT_MS = 50;

let server: Server;
let sockets: Socket[];
let url: string;

beforeEach(async () => {
  sockets = [];
  server = createServer((socket) => {
    sockets.push(socket);
    socket.once('data', () => socket.write(GREETING));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `postgres://u:hunter2@127.0.0.1:${(server.address() as AddressInfo).port}/db`;
});

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

test('a Postgres that lets us in and then hangs does not answer: the query fails by name, the connection goes, the pool ends', async () => {
  const pool = openPool(url, 1, QUERY_TIMEOUT_MS);
  const error = await pool.query('select 1').catch((failed: unknown) => namePostgresError(failed, 'The registry was not read'));
  expect(error).toMatchObject({ code: 'postgres_unreachable', message: 'The registry was not read: Query read timeout.' });
  if (!sockets[0].closed) await once(sockets[0], 'close');
  await pool.end();
});

test('a transaction that hangs is given up once, without waiting for its rollback too', async () => {
  const pool = openPool(url, 1, QUERY_TIMEOUT_MS);
  const queries: MockInstance[] = [];
  pool.on('connect', (client) => queries.push(vi.spyOn(client, 'query')));
  await expect(inTransaction(pool, () => Promise.resolve())).rejects.toThrow('Query read timeout');
  if (!sockets[0].closed) await once(sockets[0], 'close');
  expect(queries.map((query) => query.mock.calls)).toEqual([[[expect.stringMatching(/^begin;/)]]]);
  await pool.end();
});
