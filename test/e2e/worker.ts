/** One `run` process, seen from outside: its exit, its log, its HTTP. */
import { join } from 'node:path';
import type { Keeper, Kept } from '../services/keeper.ts';
import { HOST } from '../services/tools.ts';
import { until } from './until.ts';

export const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

export interface WorkerOptions {
  name: string;
  keeper: Keeper;
  environment: Readonly<Record<string, string>>;
  /** After `run`. */
  args?: readonly string[];
}

export class Worker {
  readonly name: string;
  /** Ends that nobody asked for: exit code and the end of the log. */
  readonly unexpected: string[] = [];
  readonly #options: WorkerOptions;
  #kept: Kept | null = null;
  readonly #earlierLogs: string[] = [];
  #starts = 0;
  #port: number | null = null;
  #asked = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.name = options.name;
  }

  get alive(): boolean {
    return this.#kept?.running === true;
  }

  /** The log of the process that runs now, or ran last. */
  get log(): string {
    return this.#kept?.log() ?? '';
  }

  /** Of all its starts. */
  get allLogs(): string {
    return [...this.#earlierLogs, this.log].join('\n');
  }

  start(args: readonly string[] = this.#options.args ?? []): this {
    const { keeper, environment, name } = this.#options;
    if (this.#kept !== null) this.#earlierLogs.push(this.#kept.log());
    this.#port = null;
    this.#asked = false;
    const launch = {
      command: process.execPath,
      args: [MAIN, 'run', ...args],
      stopSignal: 'SIGKILL',
      options: { env: environment },
    } as const;
    const kept = keeper.launch(`${name}-${++this.#starts}`, launch);
    this.#kept = kept;
    void kept.exitCode().then((code) => {
      if (!this.#asked) this.unexpected.push(`${name} ended by itself with ${code}: ${kept.logTail()}`);
    });
    return this;
  }

  async kill(): Promise<void> {
    this.#asked = true;
    await this.#kept?.end('SIGKILL', 1000);
  }

  /** SIGTERM; the exit code, or null when it was still there after 10 s. */
  async terminate(): Promise<number | null> {
    this.#asked = true;
    return (await this.#kept?.end('SIGTERM', 10_000)) ?? null;
  }

  /** The exit code of a process that is expected to end by itself. */
  async exit(ms = 30_000): Promise<number | null> {
    this.#asked = true;
    await until(`${this.name} ends by itself`, () => !this.alive, ms);
    return (await this.#kept?.exitCode()) ?? null;
  }

  /** Status and body; status 0 when nobody answers. */
  async get(path: string): Promise<{ status: number; body: string }> {
    this.#port ??= portIn(this.log);
    if (this.#port === null) return { status: 0, body: '' };
    try {
      const response = await fetch(`http://${HOST}:${this.#port}${path}`, { signal: AbortSignal.timeout(3000) });
      return { status: response.status, body: await response.text() };
    } catch {
      return { status: 0, body: '' };
    }
  }

  async ready(ms = 30_000): Promise<void> {
    await until(`${this.name} is ready`, async () => (await this.get('/readyz')).status === 200, ms).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.log.slice(-4000)}`);
    });
  }
}

const portIn = (log: string): number | null => {
  const match = /"port":(\d+)/.exec(log);
  return match === null ? null : Number(match[1]);
};

const SAMPLE = /^exposure_stream_records_total\{([^}]*)\} (\S+)$/gm;

/** `stream/partition/disposition` → records, summed over processes. */
export async function recordsTotal(workers: readonly Worker[]): Promise<Map<string, number>> {
  const total = new Map<string, number>();
  for (const worker of workers) {
    for (const [, labels, value] of (await worker.get('/metrics')).body.matchAll(SAMPLE)) {
      const label = Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, text]) => [name, text]));
      const name = `${label['stream']}/${label['partition']}/${label['disposition']}`;
      if (Number(value) > 0) total.set(name, (total.get(name) ?? 0) + Number(value));
    }
  }
  return total;
}
