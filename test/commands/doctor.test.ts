import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cli } from './cli.ts';

const SECRET = 'hunter2';
const servers: Server[] = [];

/** A port where something listens that is none of our services. */
async function listening(connected: (socket: Socket) => void = () => undefined): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.unref();
    connected(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

afterAll(() => {
  for (const server of servers) server.close();
});

const emptyFolder = () => mkdtempSync(join(tmpdir(), 'exposure-stream-doctor-'));
const environmentOf = (place: string, stateDir = emptyFolder()) => ({
  KAFKA_BROKERS: place,
  REDIS_URL: `redis://:${SECRET}@${place}`,
  DATABASE_URL: `postgres://someone:${SECRET}@${place}/db`,
  STATE_STORE: 'dir',
  STATE_DIR: stateDir,
});

interface Check {
  name: string;
  status: string;
  says: string;
  todo: string | null;
}
const checksOf = (out: string): Check[] => (JSON.parse(out) as { checks: Check[] }).checks;

/** Asks for a password and refuses it. */
const postgresThatRefuses = (socket: Socket): void => {
  let asked = false;
  socket.on('data', () => {
    if (!asked) socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
    asked = true;
    const fields = Buffer.from('SFATAL\0C28P01\0Mpassword authentication failed for user "someone"\0\0');
    const length = Buffer.alloc(4);
    length.writeInt32BE(fields.length + 4);
    if (asked) socket.end(Buffer.concat([Buffer.from('E'), length, fields]));
  });
};

describe('doctor', () => {
  it('with nothing running names each service and what to do, ends soon with 1, and shows no password', async () => {
    const { code, out, err, seconds } = await cli(['doctor', '--json'], environmentOf('127.0.0.1:1'));
    expect(code).toBe(1);
    const wrong = checksOf(out).filter(({ status }) => status === 'error');
    expect(wrong.map(({ name }) => name)).toEqual(['kafka', 'redis', 'postgres']);
    for (const { says, todo } of wrong) expect(`${says} ${todo}`).toMatch(/127\.0\.0\.1:1.* Start .*_(BROKERS|URL)/);
    expect(out + err).not.toContain(SECRET);
    expect(seconds).toBeLessThan(8);
  });

  it('waits for no one who does not answer', async () => {
    const { code, out, seconds } = await cli(['doctor', '--json'], environmentOf(await listening()));
    expect(code).toBe(1);
    expect(checksOf(out).filter(({ status }) => status === 'error')).toHaveLength(3);
    expect(seconds).toBeLessThan(8);
  });

  it('names a password that Postgres refuses', async () => {
    const { out } = await cli(['doctor'], environmentOf(await listening(postgresThatRefuses)));
    expect(out).toMatch(/error +postgres .*password authentication failed.* Check user and password in DATABASE_URL/);
    expect(out).not.toContain(SECRET);
  });

  it('a wrong setting ends with 2', async () => {
    const { code, out } = await cli(['doctor', '--json'], { HTTP_PORT: 'x' });
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      checks: [{ name: 'settings', status: 'error', says: expect.stringContaining('HTTP_PORT') }],
    });
  });

  it.each([
    ['read-only', (path: string) => mkdirSync(path, { mode: 0o555 })],
    ['a file', (path: string) => writeFileSync(path, '')],
  ])('names a state folder that is %s', async (_what, make) => {
    const path = join(emptyFolder(), 'state');
    make(path);
    const { code, out } = await cli(['doctor', '--json'], environmentOf('127.0.0.1:1', path));
    expect(code).not.toBe(0);
    const state = checksOf(out).find(({ name }) => name === 'state');
    expect(state).toMatchObject({ status: 'error', says: expect.stringContaining(path), todo: expect.stringContaining('STATE_DIR') });
  });

  it('names a hash seed that is none, and leaves nothing behind where there was no folder', async () => {
    const held = emptyFolder();
    writeFileSync(join(held, 'hash-seed'), 'lost');
    const { out } = await cli(['doctor'], environmentOf('127.0.0.1:1', held));
    expect(out).toMatch(/error +state .*hash-seed does not hold 16 hex digits/);
    const above = emptyFolder();
    await cli(['doctor'], environmentOf('127.0.0.1:1', join(above, 'a', 'b')));
    expect(readdirSync(above)).toEqual([]);
  });
});
