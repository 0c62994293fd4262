/** What a check found, and how it is shown. */
import { codeOf, ERRORS, type ErrorCode, StreamError } from '../errors.ts';
import { type Host, printJson } from './host.ts';
import { markOf, type Status } from './paint.ts';

export interface Finding {
  /** What was looked at, e.g. `kafka`. */
  name: string;
  status: Status;
  says: string;
  /** Of what is not ok: what to do about it. */
  todo?: string;
  /** Of an error: decides the exit code. */
  code?: ErrorCode;
}

/** Whatever was thrown, as a finding. */
export const failedCheck = (name: string, error: unknown, todo: string): Finding => {
  const says = error instanceof Error ? error.message : String(error);
  return { name, status: 'error', says: /[.!?]$/.test(says) ? says : `${says}.`, todo, code: codeOf(error) };
};

export const notInTime = (name: string, withinMs: number, todo: string): Finding => ({
  name,
  status: 'error',
  says: `No answer within ${withinMs / 1000} s.`,
  todo,
});

/** A setting that is wrong ends with 2, what is wrong elsewhere with 1. */
export function exitCodeOf(findings: readonly Finding[]): number {
  const errors = findings.filter(({ status }) => status === 'error');
  if (errors.length === 0) return 0;
  return errors.some(({ code }) => code !== undefined && ERRORS[code].action === 'exit_2') ? 2 : 1;
}

export function showFindings(host: Host, findings: readonly Finding[], asJson: boolean): void {
  if (asJson) {
    const checks = findings.map(({ name, status, says, todo }) => ({ name, status, says, todo: todo ?? null }));
    printJson(host, { checks, ok: exitCodeOf(findings) === 0 });
    return;
  }
  for (const { name, status, says, todo } of findings) {
    host.out.write(`${markOf(host, status)} ${name.padEnd(12)} ${says}${todo === undefined ? '' : ` ${todo}`}\n`);
  }
  const count = (status: Status) => findings.filter((finding) => finding.status === status).length;
  const [errors, warnings] = [count('error'), count('warning')];
  host.out.write(errors + warnings === 0 ? 'All is well.\n' : `${plural(errors, 'error')}, ${plural(warnings, 'warning')}.\n`);
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** Hosts and database of a URL or a comma list of them, without user and password. */
export const placeOf = (urls: string): string =>
  urls
    .split(',')
    .map((text) =>
      text
        .replace(/^[a-z]+:\/\//i, '')
        .replace(/^.*@/, '')
        .replace(/\?.*$/, ''),
    )
    .join(',');

/** Text that may hold the secrets of a URL, without them. */
export const withoutSecrets = (text: string, urls: readonly string[]): string => {
  const secrets = urls.flatMap((url) => [...url.matchAll(/:([^:@/\s]+)@/g)].flatMap(([, secret]) => [secret, decoded(secret)]));
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

export const isStreamError = (error: unknown, code: ErrorCode): boolean => error instanceof StreamError && error.code === code;
