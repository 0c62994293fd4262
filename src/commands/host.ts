/** What a command is given: the outside world, so that commands themselves reach for nothing ambient. */
import { readFileSync } from 'node:fs';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Route } from '../alerts/routes.ts';
import { loadRoutes, loadSettings, type Settings } from '../config.ts';
import type { Clock } from '../topology/types.ts';

/** A stream to the terminal or a file. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

export interface Host {
  environment: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  out: Output;
  err: Output;
  /** Aborted by SIGTERM or SIGINT. */
  stopping: AbortSignal;
}

/** Options that every command has. */
export interface CommonOptions {
  config?: string;
  json?: boolean;
}

export const settingsOf = (host: Host, options: CommonOptions): Settings =>
  loadSettings(options.config === undefined ? host.environment : { ...host.environment, CONFIG_FILE: options.config }, (path) =>
    readFileSync(path, 'utf8'),
  );

/** Where alerts go, secrets included. Throws StreamError bad_setting. */
export const routesOf = (host: Host, settings: Settings): Route[] =>
  loadRoutes(settings, host.environment, (path) => readFileSync(path, 'utf8'));

/** Structured logs on standard error, so that standard output holds results only. */
export const loggerOf = (host: Host, settings: Settings): Logger =>
  pino(
    { level: settings.env.LOG_LEVEL, base: { service: 'exposure-stream' }, timestamp: pino.stdTimeFunctions.isoTime },
    host.err as DestinationStream,
  );

/** One JSON object on a line of its own. */
export const printJson = (host: Host, value: unknown): void => {
  host.out.write(`${JSON.stringify(value)}\n`);
};
