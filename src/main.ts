#!/usr/bin/env node
/** The composition root: the only reader of the environment, the only handler of signals. */
import { type Command, CommanderError } from 'commander';
import type { Host } from './commands/host.ts';
import { makeProgram } from './commands/program.ts';
import { actionOf, asError, StreamError } from './errors.ts';
import { SystemClock } from './topology/clock.ts';

const FORCED_EXIT = 130;

async function main(): Promise<number> {
  const stopping = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted && signal === 'SIGINT') process.exit(FORCED_EXIT); // asked twice
      stopping.abort();
    });
  }
  // A pipe that was closed (`| head`) is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  const host: Host = {
    environment: process.env,
    clock: new SystemClock(),
    out: process.stdout,
    err: process.stderr,
    stopping: stopping.signal,
  };
  let code = 0;
  const program: Command = makeProgram(host, (exit) => {
    code = exit;
  });
  try {
    await program.parseAsync(process.argv);
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { message, stack } = asError(error);
    process.stderr.write(error instanceof StreamError ? `exposure-stream: ${message}\n` : `exposure-stream: ${stack}\n`);
    return actionOf(error) === 'exit_2' ? 2 : 1;
  }
}

// Exits rather than waits: a client that still retries in the background must not keep a finished command alive.
main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`exposure-stream: ${asError(error).stack}\n`);
    process.exit(1);
  },
);
