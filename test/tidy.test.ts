import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { type Ambient, type Finding, findAmbient } from './tidy/ambient.ts';
import { findForm, MAX_LINES } from './tidy/form.ts';
import { findWrongImports } from './tidy/imports.ts';

const ROOT = join(import.meta.dirname, '..');

interface Exception {
  file: string;
  kinds: readonly (Ambient | 'too long')[];
  reason: string;
}

/** Everything else gets time, chance, settings and outputs as arguments (design §3 must 3). */
const ALLOWED: readonly Exception[] = [
  { file: 'src/topology/clock.ts', kinds: ['clock', 'timer'], reason: 'the one place where time comes from' },
  {
    file: 'src/gate/clock.ts',
    kinds: ['clock', 'timer', 'chance'],
    reason: 'the same for the gate, which is alone in the bidder’s process',
  },
  {
    file: 'src/main.ts',
    kinds: ['environment', 'signal'],
    reason: 'the composition root: reads the environment, handles signals',
  },
];

const parse = (path: string, text: string): ts.SourceFile => ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);

/** Every finding of one file. `path` is relative to the repository, with `/`. */
function check(path: string, text: string): Finding[] {
  const source = parse(path, text);
  return [...findAmbient(source), ...findWrongImports(path, source), ...findForm(source)];
}

const kinds = (path: string, text: string): string[] => check(path, text).map(({ kind }) => kind);

// A .d.ts describes somebody else's module, in that module's form.
const ours = globSync(['src/**/*.ts', 'reconcile/**/*.ts'], { cwd: ROOT })
  .filter((path) => !path.endsWith('.d.ts'))
  .map((path) => path.split(sep).join('/'))
  .sort();
const findingsOf = new Map(ours.map((path) => [path, check(path, readFileSync(join(ROOT, path), 'utf8'))]));

describe('src and reconcile', () => {
  it('reach for nothing ambient, import in one direction and keep their form', () => {
    const excused = new Set(ALLOWED.flatMap(({ file, kinds }) => kinds.map((kind) => `${file} ${kind}`)));
    const found = [...findingsOf].flatMap(([path, findings]) =>
      findings.filter(({ kind }) => !excused.has(`${path} ${kind}`)).map(({ kind, line, text }) => `${path}:${line} ${kind}: ${text}`),
    );
    expect(found).toEqual([]);
  });

  it('need every exception that they have', () => {
    const idle = ALLOWED.filter(({ file }) => existsSync(join(ROOT, file))).flatMap(({ file, kinds }) =>
      kinds.filter((kind) => !findingsOf.get(file)?.some((finding) => finding.kind === kind)).map((kind) => `${file} ${kind}`),
    );
    expect(idle).toEqual([]);
  });
});

describe('the checks themselves', () => {
  const PLAIN = 'src/topology/any.ts';

  it.each([
    ['const t = Date.now();', 'clock'],
    ['const t = globalThis.Date.now();', 'clock'],
    ['const f = Date["now"];', 'clock'],
    ['const d = new Date();', 'clock'],
    ['const d = Date();', 'clock'],
    ['const t = performance.now();', 'clock'],
    ['const t = process.hrtime.bigint();', 'clock'],
    ['const r = Math.random();', 'chance'],
    ['setTimeout(f, 1);', 'timer'],
    ['globalThis.setInterval(f, 1);', 'timer'],
    ['later(setImmediate);', 'timer'],
    ["import { setTimeout as sleep } from 'node:timers/promises';", 'timer'],
    ['const home = process.env.HOME;', 'environment'],
    ['const { HOME } = process.env;', 'environment'],
    ["import { env } from 'node:process';", 'environment'],
    ["process.on('SIGTERM', f);", 'signal'],
    ["console.log('x');", 'console'],
    ['const log = console;', 'console'],
  ])('refuse `%s`', (text, kind) => {
    expect(kinds(PLAIN, text)).toContain(kind);
  });

  it.each([
    ['const d = new Date(timeMs);'],
    ['const ms = Date.parse(text);'],
    ['// Date.now() would differ on replay'],
    ["const says = 'set process.env.X, see console.log';"],
    ['const timer = clock.setTimeout(f, 1);'],
    ['interface Clock { setTimeout(f: () => void): void }'],
    ['const rss = process.memoryUsage();'],
    ['const anything: unknown = 1;'],
    ['switch (a) { default: f(); }'],
  ])('accept `%s`', (text) => {
    expect(kinds(PLAIN, text)).toEqual([]);
  });

  it.each([
    ['src/operators/dedup.ts', "import { x } from '../topology/task.ts';"],
    ['src/operators/dedup.ts', "import type { X } from '../config/settings.ts';"],
    ['src/operators/dedup.ts', "import { x } from '../sinks/redis.ts';"],
    ['src/stats/beta.ts', "import { x } from '../errors.ts';"],
    ['src/gate/client.ts', "import { x } from '../topology/types.ts';"],
    ['src/gate/client.ts', "export { x } from '../sinks/redis.ts';"],
    ['src/state/log.ts', "import { x } from '../stats/beta.ts';"],
    ['src/sinks/redis.ts', "import { x } from '../config/settings.ts';"],
    ['src/sinks/redis.ts', "const x = await import('../topology/task.ts');"],
    ['src/sinks/redis.ts', "type X = import('../topology/task.ts').X;"],
    ['src/main.ts', "import { x } from '../test/fakes/log.ts';"],
    ['src/main.ts', "import { x } from '../bench/state.ts';"],
    ['reconcile/cut.ts', "import { x } from '../test/sim/main.ts';"],
  ])('refuse in %s: %s', (path, text) => {
    expect(kinds(path, text)).toEqual(['import']);
  });

  it.each([
    ['src/operators/dedup.ts', "import type { Stream } from '../topology/types.ts';"],
    ['src/operators/dedup.ts', "import { x } from '../state/table.ts';"],
    ['src/operators/dedup.ts', "import { x } from './window.ts';"],
    ['src/operators/dedup.ts', "import { z } from 'zod';"],
    ['src/gate/client.ts', "import { x } from '../stats/beta.ts';"],
    ['src/sinks/redis.ts', "import type { X } from '../config/settings.ts';"],
    ['src/sinks/redis.ts', "import type { X } from '../config.ts';"],
    ['src/main.ts', "import { x } from '../reconcile/run.ts';"],
    ['reconcile/cut.ts', "import { x } from '../src/errors.ts';"],
  ])('accept in %s: %s', (path, text) => {
    expect(kinds(path, text)).toEqual([]);
  });

  it.each([
    ['export default function f() {}', 'default export'],
    ['export default 1;', 'default export'],
    ['export { f as default };', 'default export'],
    ['const x: any = 1;', 'any'],
    ['const x = y as Record<string, any>;', 'any'],
    [`// ${'TO'}${'DO'} later`, 'left for later'],
    ['f();\n'.repeat(MAX_LINES + 1), 'too long'],
  ])('refuse the form of `%.40s`', (text, kind) => {
    expect(kinds(PLAIN, text)).toEqual([kind]);
  });

  it('accept a file of exactly the length allowed', () => {
    expect(kinds(PLAIN, 'f();\n'.repeat(MAX_LINES))).toEqual([]);
  });
});
