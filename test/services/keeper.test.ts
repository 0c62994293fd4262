import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it, vi } from 'vitest';
import { Keeper } from './keeper.ts';

const SLEEPER = { command: 'sleep', args: ['1000'], stopSignal: 'SIGKILL' } as const;

const PARENT = `
import { Keeper } from ${JSON.stringify(join(import.meta.dirname, 'keeper.ts'))};
const keeper = new Keeper();
const kept = keeper.launch('sleep', ${JSON.stringify(SLEEPER)});
console.log(JSON.stringify({ pid: kept.pid, folder: keeper.folder }));
if (process.argv[1] === 'wait') setInterval(() => undefined, 1_000);
`;

/** One that has ended but that nobody has collected (a container without init) counts as ended. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync('/proc/self/stat') || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

it.each([
  ['is killed without warning', 'wait', 'SIGKILL'],
  ['is interrupted', 'wait', 'SIGINT'],
  ['comes to its end and forgets to stop them', 'leave', null],
] as const)('what was started ends, and its folder goes, when the parent %s', async (_how, mode, signal) => {
  const parent = spawn('node', ['--input-type=module-typescript', '-e', PARENT, mode], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
  const { pid, folder } = JSON.parse(line) as { pid: number; folder: string };
  if (signal) parent.kill(signal);
  await vi.waitFor(() => expect([alive(pid), existsSync(folder)]).toEqual([false, false]), { timeout: 10_000 });
});

it('closing ends everything at once', async () => {
  const keeper = new Keeper();
  const kept = keeper.launch('sleep', SLEEPER);
  expect(alive(kept.pid)).toBe(true);
  await keeper.close();
  expect([kept.running, existsSync(keeper.folder)]).toEqual([false, false]);
});
