import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { configCommand } from '../../src/commands/config.ts';
import type { Host } from '../../src/commands/host.ts';
import { exampleFile, referencePages } from '../../src/commands/reference.ts';
import { FILE_SCHEMA, loadSettings } from '../../src/config.ts';
import { SystemClock } from '../../src/topology/clock.ts';

const hostOf = (environment: Record<string, string>) => {
  const texts: string[] = [];
  const write = (text: string) => texts.push(text);
  const host: Host = { environment, clock: new SystemClock(), out: { write }, err: { write }, stopping: new AbortController().signal };
  return { host, shown: () => texts.join('') };
};

describe('config', () => {
  it('prints an example that changes nothing when it is loaded', () => {
    const { host, shown } = hostOf({});
    expect(configCommand(host, { example: true })).toBe(0);
    expect(loadSettings({ CONFIG_FILE: 'x' }, shown)).toEqual({
      ...loadSettings({}, () => ''),
      env: { ...loadSettings({}, () => '').env, CONFIG_FILE: 'x' },
    });
    // Every setting is there by name, not only by its default.
    expect(parse(exampleFile())).toEqual(FILE_SCHEMA.parse({}));
  });

  it('prints the settings in force without secrets', () => {
    const { host, shown } = hostOf({ REDIS_URL: 'redis://:hunter2@r', DATABASE_URL: 'postgres://u:hunter2@p/d', HTTP_PORT: '81' });
    expect(configCommand(host, { json: true })).toBe(0);
    expect(shown()).not.toContain('hunter2');
    expect(JSON.parse(shown())).toMatchObject({ environment: { HTTP_PORT: 81, REDIS_URL: '(hidden)' }, time: { windowMs: 60_000 } });
  });
});

describe('the reference', () => {
  it.each(Object.entries(referencePages()))('%s says what the tables say (else: node scripts/reference.ts)', (name, text) => {
    const path = join(import.meta.dirname, '..', '..', 'deploy', 'reference', name);
    expect(existsSync(path) && readFileSync(path, 'utf8')).toBe(text);
  });
});
