/** The program as a person starts it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

export interface Ended {
  code: number;
  out: string;
  err: string;
  seconds: number;
}

/** Nothing of this process's environment but what Node needs. */
export function cli(args: readonly string[], environment: Record<string, string> = {}): Promise<Ended> {
  const began = performance.now();
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env['PATH'], ...environment }, maxBuffer: 64 << 20 };
    const child = execFile(process.execPath, [MAIN, ...args], options, (_error, out, err) => {
      resolve({ code: child.exitCode ?? -1, out, err, seconds: (performance.now() - began) / 1000 });
    });
  });
}
