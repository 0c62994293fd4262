import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { alertRules, ROOT, readText } from './tables.ts';

const FOLDER = join(ROOT, 'deploy', 'prometheus');
const STORIES = globSync('*.test.yml', { cwd: FOLDER }).sort();

const promtool = (...args: string[]) => spawnSync('promtool', args, { cwd: FOLDER, encoding: 'utf8' });

const missing = promtool('--version').error !== undefined;
const required = Boolean(process.env['CI'] || process.env['REQUIRE_INTEGRATION']);

describe('the alert rules by promtool', () => {
  beforeAll(() => {
    if (!missing) return;
    const hint = "promtool is not on PATH: install Debian's package `prometheus` (apt-get install prometheus)";
    if (required) throw new Error(hint);
    console.warn(`NOT RUN: ${hint}. The rules were not checked.`);
  });

  it.skipIf(missing && !required)('are sound, and so is the scrape config that loads them', () => {
    const { status, stdout, stderr } = promtool('check', 'config', 'prometheus.yml');
    expect(status, stdout + stderr).toBe(0);
    expect(stdout).toContain(`${alertRules().length + 1} rules found`);
  });

  it.skipIf(missing && !required)('fire and keep silent as their stories say', () => {
    const { status, stdout, stderr } = promtool('test', 'rules', ...STORIES);
    expect(status, stdout + stderr).toBe(0);
  });

  it('have each a story in which they fire, and one in which they do not', () => {
    const text = STORIES.map((name) => readText(`deploy/prometheus/${name}`)).join('\n');
    for (const { alert } of alertRules()) {
      expect(text, `${alert} never fires`).toMatch(new RegExp(`alertname: ${alert}\\n +exp_alerts:\\n +- exp_labels`));
      expect(text, `${alert} always fires`).toMatch(new RegExp(`alertname: ${alert}, exp_alerts: \\[\\]`));
    }
  });
});
