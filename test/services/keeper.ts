import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';

/**
 * Reads `add PID SIGNAL` and `drop PID` until its input ends, which it does however the parent ended, SIGKILL included;
 * then ends what was added, by process group, and removes the folder.
 */
const WATCHDOG = `
trap '' INT TERM HUP
kept=
while read -r verb pid signal; do
  if [ "$verb" = add ]; then kept="$kept $pid:$signal"; continue; fi
  rest=
  for one in $kept; do [ "\${one%:*}" = "$pid" ] || rest="$rest $one"; done
  kept=$rest
done
for one in $kept; do kill -s "\${one#*:}" -- "-\${one%:*}" 2>/dev/null; done
if [ -n "$kept" ]; then sleep 0.5; fi
for one in $kept; do kill -s KILL -- "-\${one%:*}" 2>/dev/null; done
rm -rf -- "$1"
`;

export interface Launch {
  command: string;
  args: readonly string[];
  /** For `SIGKILL` nothing is asked politely. */
  stopSignal: 'SIGKILL' | 'SIGQUIT';
  options?: Pick<SpawnOptions, 'cwd' | 'uid' | 'gid' | 'env'>;
}

/** A process in a group of its own, ended by that group only. */
export class Kept {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #stopSignal: NodeJS.Signals;
  readonly #logFile: string;
  readonly #ended: Promise<unknown[]>;

  constructor(child: ChildProcess & { pid: number }, stopSignal: NodeJS.Signals, logFile: string) {
    this.pid = child.pid;
    this.#child = child;
    this.#stopSignal = stopSignal;
    this.#logFile = logFile;
    this.#ended = once(child, 'exit');
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  logTail(): string {
    return readFileSync(this.#logFile, 'utf8').split('\n').slice(-20).join('\n');
  }

  /** Everything it has printed, from all its starts under that name. */
  log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  /** The exit code once it has ended; null when a signal ended it. */
  async exitCode(): Promise<number | null> {
    this.#child.ref();
    const [code] = await this.#ended;
    return code as number | null;
  }

  async stop(): Promise<void> {
    await this.end(this.#stopSignal, 5_000);
  }

  /** Sends the signal, and SIGKILL to what is still there after `ms`. Resolves with the exit code, null when force was needed. */
  async end(signal: NodeJS.Signals, ms: number): Promise<number | null> {
    if (this.running) {
      const force = setTimeout(() => this.#signal('SIGKILL'), ms);
      this.#signal(signal);
      await this.exitCode();
      clearTimeout(force);
    }
    return this.exitCode();
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** Owns a temporary folder and processes; both end with this process, however it ends. Keeps no event loop alive. */
export class Keeper {
  readonly folder: string;
  readonly #watchdog: ChildProcess & { stdin: Writable };
  readonly #kept = new Set<Kept>();

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'exposure-stream-'));
    // Postgres may run as another user and has to reach its own folder below.
    chmodSync(this.folder, 0o711);
    this.#watchdog = spawn('sh', ['-c', WATCHDOG, 'sh', this.folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    this.#watchdog.unref();
    (this.#watchdog.stdin as Writable & { unref(): void }).unref();
  }

  /** Starts a process; its output goes to `<name>.log` in the folder. */
  launch(name: string, { command, args, stopSignal, options }: Launch): Kept {
    const logFile = join(this.folder, `${name}.log`);
    const log = openSync(logFile, 'a');
    const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    child.unref();
    child.on('error', () => undefined);
    if (child.pid === undefined) throw new Error(`${command} could not be started`);
    this.#watchdog.stdin.write(`add ${child.pid} ${stopSignal.slice(3)}\n`);
    const kept = new Kept(Object.assign(child, { pid: child.pid }), stopSignal, logFile);
    this.#kept.add(kept);
    child.once('exit', () => {
      this.#kept.delete(kept);
      if (this.#watchdog.stdin.writable) this.#watchdog.stdin.write(`drop ${kept.pid}\n`);
    });
    return kept;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#kept].map((kept) => kept.stop()));
    if (this.#watchdog.exitCode !== null) return;
    this.#watchdog.ref();
    this.#watchdog.stdin.end();
    await once(this.#watchdog, 'exit');
  }
}
