import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { makeProgram } from '../../src/commands/program.ts';
import { ENVIRONMENT } from '../../src/config.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { readText } from './tables.ts';

interface Service {
  image: string;
  command?: string[];
  environment?: Record<string, string>;
  ports?: string[];
}

const { services } = parse(readText('deploy/compose.yaml'), { merge: true }) as { services: Record<string, Service> };
const ours = Object.entries(services).filter(([, { image }]) => image.startsWith('exposure-stream'));
const dockerfile = readText('deploy/Dockerfile');

const silent = { write: () => undefined };
const host = { environment: {}, clock: new SystemClock(), out: silent, err: silent, stopping: new AbortController().signal };
const program = makeProgram(host, () => undefined);

/** Names of commands and options that the program does not know. */
function unknownIn(words: readonly string[]): string[] {
  const [name, ...rest] = words;
  const command = program.commands.find((known) => known.name() === name);
  if (command === undefined) return [name];
  const known = new Set(command.options.map((option) => option.long));
  return rest.filter((word) => word.startsWith('--') && !known.has(word));
}

describe('compose', () => {
  it('calls only commands and options that the program has', () => {
    const calls = ours.map(([, { command = [] }]) =>
      command
        .join(' ')
        .replace(/^exec node \S+ /, '')
        .split(' '),
    );
    expect(calls.map(([name]) => name).sort()).toEqual(['generate', 'migrate', 'run']);
    expect(calls.flatMap(unknownIn)).toEqual([]);
  });

  it('sets only settings that exist', () => {
    const names = ours.flatMap(([, { environment = {} }]) => Object.keys(environment));
    const inImage = [...dockerfile.matchAll(/\b([A-Z]+_[A-Z_]+)=\S/g)].map(([, name]) => name);
    const unknown = [...names, ...inImage].filter((name) => !Object.hasOwn(ENVIRONMENT, name));
    expect(unknown.sort()).toEqual(['NODE_ENV', 'NODE_IMAGE']);
  });

  it('opens ports to this machine only', () => {
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(3);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('keeps state where the image has a folder for it', () => {
    const [, folder] = /STATE_DIR=(\S+)/.exec(dockerfile) ?? [];
    expect(readText('deploy/compose.yaml')).toContain(`- state:${folder}\n`);
    expect(dockerfile).toContain(`VOLUME ${folder}\n`);
  });
});

describe('the cron examples', () => {
  it('schedule only commands that exist', () => {
    const table = readText('deploy/cron/crontab.example');
    const lines = table.split('\n').filter((line) => /^\d/.test(line));
    const calls = lines.flatMap((line) =>
      [...line.matchAll(/npx exposure-stream ([^)&|>]+)/g)].map(([, words]) => words.trim().split(' ')),
    );
    const jobs = ['doctor', 'reconcile'].map((name) => {
      const job = parse(readText(`deploy/cron/${name}-cronjob.yaml`));
      return (job.spec.jobTemplate.spec.template.spec.containers[0] as { args: string[] }).args;
    });
    expect(calls).toHaveLength(lines.length);
    expect([...calls, ...jobs].flatMap(unknownIn)).toEqual([]);
  });
});
