import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countsReport, countsText } from '../../src/commands/srm-counts.ts';
import { cli } from './cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'exposure-stream-srm-'));
const textOf = (counts: number[], shares: number[], alpha = 0.001): string =>
  countsText({ counts, shares, alpha, report: countsReport(counts, shares, alpha) });

describe('srm --counts', () => {
  it('prints one object for programs', async () => {
    const { code, out } = await cli(['srm', '--counts', '100,0', '--shares', '.5,.5', '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(Object.keys(report)).toEqual(['log_e', 'log_e_by_concentration', 'p_value', 'alarm', 'leak', 'confidence', 'chi_squared']);
    expect(report.log_e).toBeCloseTo(53.9653464052, 9);
    expect(report.log_e_by_concentration['10']).toBeCloseTo(55.5747843176, 9);
    expect(report.p_value).toBeCloseTo(Math.exp(-53.9653464052), 30);
    expect(report).toMatchObject({ alarm: true, leak: [], chi_squared: { statistic: 100, df: 1 } });
    expect(report.chi_squared.p_value / 1.523970604832105e-23).toBeCloseTo(1, 12);
  });

  it('alarms by alpha, and by a single unit where there should be none', () => {
    expect(countsReport([1000, 1200], [0.5, 0.5], 0.001).alarm).toBe(false);
    expect(countsReport([1000, 1200], [0.5, 0.5], 0.01).alarm).toBe(true);
    expect(countsReport([5, 5, 1], [0.5, 0.5, 0], 0.001)).toMatchObject({ alarm: true, leak: [2] });
  });

  it('says in words what the numbers mean', () => {
    expect(textOf([821588, 815482], [0.5, 0.5])).toMatch(/This split is broken: the counts are 4,092 times likelier/);
    expect(textOf([1000, 1200], [0.5, 0.5])).toMatch(/^Very strong evidence that this split is broken.*an alarm needs e of 1,000/m);
    expect(textOf([999, 1130], [0.5, 0.5])).toMatch(/^A slight hint/m);
    expect(textOf([500, 505], [0.5, 0.5])).toMatch(/say nothing for or against/);
    expect(textOf([50_000, 50_010], [0.5, 0.5])).toMatch(/This split is as it was meant/);
    expect(textOf([5, 5, 1], [0.5, 0.5, 0])).toMatch(/arm 2 should get nobody/);
    expect(textOf([7], [1])).toMatch(/one arm, so there is nothing to compare/);
    expect(textOf([0, 0], [0.5, 0.5])).toMatch(/0 % to 100 %/);
  });

  it('keeps its columns apart, however large the counts', () => {
    const [head, ...rows] = textOf([Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER], [0.5, 0.5]).split('\n').slice(0, 3);
    expect(rows.map((line) => line.split(/ {2,}/).length)).toEqual([6, 6]);
    expect(head.length).toBe(rows[0].length);
  });

  it.each([
    ['more units than a number tells apart', ['--counts', '9007199254740992,1', '--ratio', '1:1'], '2^53 − 1'],
    ['hexadecimal', ['--counts', '0x10,3', '--ratio', '1:1'], 'one is "0x10"'],
    ['negative counts', ['--counts', '5,-5', '--shares', '.5,.5'], 'negative'],
    ['negative counts in front', ['--counts', '-5,5', '--shares', '.5,.5'], 'negative'],
    ['parts of units', ['--counts', '5.5,1', '--shares', '.5,.5'], 'whole number'],
    ['text', ['--counts', '5,x', '--shares', '.5,.5'], 'whole number'],
    ['a gap', ['--counts', '5,,5', '--shares', '.5,.5'], 'whole number'],
    ['fewer counts than shares', ['--counts', '5', '--shares', '.5,.5'], '1 count and 2 shares'],
    ['shares that do not add to 1', ['--counts', '5,5', '--shares', '.5,.4'], 'add to 0.9'],
    ['a negative share', ['--counts', '5,5', '--shares', '1.5,-.5'], 'from 0 to 1'],
    ['no split', ['--counts', '5,5'], '--shares .5,.5'],
    ['a ratio of nothing', ['--counts', '5,5', '--ratio', '0:0'], 'part above 0'],
    ['two splits', ['--counts', '5,5', '--ratio', '1:1', '--shares', '.5,.5'], 'give one of them'],
    ['an alpha of 1', ['--counts', '5,5', '--ratio', '1:1', '--alpha', '1'], '--alpha'],
    ['nothing to look at', [], 'one of --counts'],
    ['two things to look at', ['--counts', '5,5', '--looks', 'x'], 'one of --counts'],
    ['a file that is not there', ['--looks', join(folder, 'none')], 'cannot be read'],
  ])('refuses %s with 2 and one sentence', async (_what, args, says) => {
    const { code, out, err } = await cli(['srm', ...args]);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(err).toContain(says);
    expect(err.trim()).toMatch(/\.$/);
  });

  it('takes shares that miss 1 by no more than their digits', async () => {
    for (const shares of ['.333333333,.333333333,.333333333', '.1,.2,.7'])
      expect((await cli(['srm', '--counts', '5,5,5', '--shares', shares])).code).toBe(0);
    expect((await cli(['srm', '--counts', '5,5', '--shares', '.5,.500000002'])).code).toBe(2);
  });
});

describe('srm --looks', () => {
  const file = join(folder, 'looks.ndjson');
  writeFileSync(
    file,
    '{"experiment_id":"a","counts":[90,10]}\n{"experiment_id":"b","counts":[50,50]}\n\n{"experiment_id":"b","counts":[60,50]}\n',
  );

  it('prints a line an experiment', async () => {
    const { code, out } = await cli(['srm', '--looks', file, '--ratio', '1:1', '--json']);
    expect(code).toBe(0);
    const [a, b, end] = out.split('\n');
    expect(Object.keys(JSON.parse(a))).toEqual(
      'experiment_id looks units log_e p_value alarm alarm_n onset_n log_e_cumulative log_e_onset'.split(' '),
    );
    expect(JSON.parse(a)).toMatchObject({ experiment_id: 'a', looks: 1, alarm: true, alarm_n: 100, onset_n: 0 });
    expect(JSON.parse(b)).toMatchObject({ experiment_id: 'b', looks: 2, units: 110, alarm: false, alarm_n: null, onset_n: null });
    expect(end).toBe('');
  });

  it('is told in words too', async () => {
    const { out } = await cli(['srm', '--looks', file, '--ratio', '1:1']);
    expect(out).toMatch(/^a: 100 units, e = 10\^\d+, p = .*Broken, from the start; known at unit 100\./);
    expect(out).toMatch(/2 experiments, 1 with a broken split/);
  });

  it('names the line that is wrong', async () => {
    writeFileSync(join(folder, 'bad'), '{"experiment_id":"a","counts":[90,10]}\n{"experiment_id":"a","counts":[80,20]}\n');
    const { code, err } = await cli(['srm', '--looks', join(folder, 'bad'), '--ratio', '1:1']);
    expect(code).toBe(2);
    expect(err).toMatch(/bad, line 2: .*arm 0 went from 90 to 80\.$/m);
  });
});
