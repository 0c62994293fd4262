import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../src/config.ts';
import { cli } from './cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'exposure-stream-cli-'));

describe('the command line', () => {
  it.each([
    ['run', '--until-end'],
    ['replay', '--partitions'],
    ['demo', '--seed'],
    ['migrate', '--new-epoch'],
    ['doctor', '--json'],
    ['generate', '--late-share'],
    ['config', '--example'],
  ])('%s --help shows its options', async (command, option) => {
    const { code, out } = await cli([command, '--help']);
    expect(code).toBe(0);
    expect(out).toContain(option);
    expect(out).toContain('--config <file>');
  });

  it.each([
    ['an unknown command', ['count']],
    ['an unknown option', ['doctor', '--fix']],
    ['an option that is no number', ['generate', '--out', 'x', '--seed', 'one']],
    ['a number out of range', ['generate', '--out', join(folder, 'x'), '--late-share', '2']],
    ['traffic to nowhere', ['generate']],
    ['traffic to two places', ['generate', '--out', 'x', '--kafka']],
    ['a rate into a file', ['generate', '--out', 'x', '--rate', '5']],
    ['a truth without an end', ['generate', '--kafka', '--forever', '--truth', 'x']],
    ['a new epoch that is not confirmed', ['migrate', '--new-epoch']],
    ['a configuration file that is not there', ['config', '--config', join(folder, 'none.yaml')]],
  ])('%s ends with 2 and says why', async (_what, args) => {
    const { code, out, err } = await cli(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err.trim().split('\n')[0].length).toBeGreaterThan(20);
  });

  it.each([
    ['HTTP_PORT', 'x', 'HTTP_PORT is "x": expected a number.'],
    ['HTTP_PORT', '70000', 'HTTP_PORT is "70000": expected a number of at most 65535.'],
    ['HTTP_PORT', '80.5', 'HTTP_PORT is "80.5": expected a whole number.'],
    ['STATE_MEMORY_BYTES', '0', 'STATE_MEMORY_BYTES is "0": expected a number above 0.'],
    ['LOG_LEVEL', 'loud', 'LOG_LEVEL is "loud": expected one of trace, debug, info, warn, error, fatal, silent.'],
    ['KAFKA_BROKERS', 'here', 'KAFKA_BROKERS is "here": expected a comma list of host:port.'],
  ])('%s=%s is named, with its value and what was expected', (name, value, says) => {
    expect(() => loadSettings({ [name]: value }, () => '')).toThrow(says);
  });

  it.each([
    ['time: { windowMs: 0 }', 'time.windowMs is 0: expected a number above 0'],
    ['time: { windowMs: soon }', 'time.windowMs is "soon": expected a number'],
    ['time: { windowMs: 70000 }', 'time.windowMs is 70000: expected a divisor of 900000'],
    ['limits: { fetchBytes: 1 }', 'limits.fetchBytes is 1: expected a number of at least 65536'],
    ['time: 5', 'time is 5: expected a mapping of names to values'],
    ['tiem: { windowMs: 60000 }', 'tiem is {"windowMs":60000}: there is no such setting'],
    ['time: { window: 60000 }', 'time.window is 60000: there is no such setting'],
    ['streams: { exposures: { topic: "" } }', 'streams.exposures.topic is "": expected text that is not empty'],
  ])('in the file, %s is named', (yaml, says) => {
    expect(() => loadSettings({ CONFIG_FILE: 'bad.yaml' }, () => yaml)).toThrow(says);
  });

  it('a wrong setting of the file ends with 2', async () => {
    const path = join(folder, 'bad.yaml');
    writeFileSync(path, 'time: { windowMs: 0 }');
    const { code, err } = await cli(['config', '--config', path]);
    expect(code).toBe(2);
    expect(err).toContain(`${path}: time.windowMs is 0`);
  });

  it('a wrong secret is named and not shown', async () => {
    const { code, err } = await cli(['config'], { REDIS_URL: 'hunter2' });
    expect(code).toBe(2);
    expect(err).toContain('REDIS_URL is (hidden)');
    expect(err).not.toContain('hunter2');
  });
});
