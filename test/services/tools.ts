import { execFile } from 'node:child_process';
import { createHash, randomInt } from 'node:crypto';
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Kept } from './keeper.ts';

export const HOST = '127.0.0.1';
const START_MS = 60_000;

export const run = promisify(execFile);

/** Something that is not installed here; the message says what to install. Anything else that goes wrong is a plain error. */
export class ServiceMissing extends Error {
  override name = 'ServiceMissing';
}

/** The first executable of that name on PATH. */
export function onPath(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Below the ports that systems hand out by themselves (32768 or 49152 upwards): nobody's outgoing connection takes it meanwhile. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_768);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen({ port, host: HOST, exclusive: true }, () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/**
 * What lies in the cache under that name; `make` is called once to fill a folder that then moves there whole, so that
 * neither a crash nor a second process leaves half of it.
 */
export async function cached(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const base = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const target = join(process.env['EXPOSURE_STREAM_CACHE'] || join(base, 'exposure-stream'), name);
  if (existsSync(target)) return target;
  await mkdir(dirname(target), { recursive: true });
  const partial = await mkdtemp(join(dirname(target), `${basename(target)}-`));
  try {
    await make(partial);
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
  return target;
}

export const shortHash = (text: string | Uint8Array): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

/** Runs Maven quietly. Throws ServiceMissing when it is not installed or cannot fetch. */
export async function maven(args: readonly string[], what: string): Promise<void> {
  const mvn = onPath('mvn');
  if (!mvn || !onPath('java')) throw new ServiceMissing(`${what}: Apache Maven and Java (17 or newer) could fetch it, but are not on PATH`);
  try {
    await run(mvn, ['-q', '-B', '--strict-checksums', ...args]);
  } catch (error) {
    const { stdout } = error as { stdout?: string };
    throw new ServiceMissing(`${what}: Maven could not fetch it:\n${(stdout || String(error)).slice(-2_000)}`);
  }
}

/** Waits until `ready` resolves; its last error and the end of the log go into the error when it never does. */
export async function untilReady(name: string, ready: () => Promise<void>, kept?: Kept): Promise<void> {
  const deadline = performance.now() + START_MS;
  let last: unknown;
  while (performance.now() < deadline && kept?.running !== false) {
    try {
      return await ready();
    } catch (error) {
      last = error;
    }
    await sleep(50);
  }
  throw new Error(`${name} did not start (${last instanceof Error ? last.message : String(last)}):\n${kept?.logTail() ?? ''}`);
}
