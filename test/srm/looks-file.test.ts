import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type LooksReport, looksReport } from '../../src/commands/srm-looks.ts';
import { Looks } from '../../src/srm/looks-file.ts';

interface Case {
  name: string;
  alpha: number;
  looks: Record<string, unknown>[];
  expected: Omit<LooksReport, 'experiment_id'>;
}
const CASES = JSON.parse(readFileSync(join(import.meta.dirname, 'vectors', 'looks.json'), 'utf8')) as Case[];

const reportsOf = (lines: readonly unknown[], options: { alpha?: number; shares?: number[] } = {}): LooksReport[] => {
  const looks = new Looks({ alpha: options.alpha ?? 0.001, shares: options.shares ?? null });
  for (const line of lines) looks.line(typeof line === 'string' ? line : JSON.stringify(line));
  return looks.results.map(looksReport);
};
const x = (counts: number[], more: Record<string, unknown> = {}) => ({ experiment_id: 'x', shares: [0.5, 0.5], counts, ...more });

describe('looks', () => {
  it.each(CASES)('$name at alpha $alpha: as the second implementation says', ({ alpha, looks, expected }) => {
    const [report] = reportsOf(looks, { alpha });
    const { log_e, log_e_cumulative, log_e_onset, p_value, ...whole } = report;
    expect(whole).toEqual({ experiment_id: 'x', ...pick(expected) });
    for (const name of ['log_e', 'log_e_cumulative', 'log_e_onset', 'p_value'] as const)
      expect(Math.abs(report[name] - expected[name])).toBeLessThan(1e-8);
  });

  it('keep experiments apart, in the order they came', () => {
    const reports = reportsOf([{ ...x([900, 100]), experiment_id: 'b' }, x([50, 50]), { ...x([1900, 100]), experiment_id: 'b' }]);
    expect(reports.map(({ experiment_id, looks, units, alarm }) => [experiment_id, looks, units, alarm])).toEqual([
      ['b', 2, 2000, true],
      ['x', 1, 100, false],
    ]);
  });

  it('keep an alarm that fired, though later counts would not fire it', () => {
    const [report] = reportsOf([x([90, 10]), x([5000, 5000])]);
    expect(report).toMatchObject({ alarm: true, alarm_n: 100, onset_n: 0 });
    expect(report.log_e).toBeLessThan(0);
    expect(report.p_value).toBeLessThan(1e-9);
  });

  it('fire at the first unit of an arm that should have none, dated by the look before', () => {
    const shares = [0.5, 0.5, 0];
    const [report] = reportsOf([x([50, 50, 0], { shares }), x([60, 60, 1], { shares })]);
    expect(report).toMatchObject({ alarm: true, alarm_n: 121, onset_n: 100, units: 121 });
  });

  it('take the split from the command where the line has none, and ratios', () => {
    const lines = [{ experiment_id: 'x', counts: [900, 100] }];
    expect(reportsOf(lines, { shares: [0.9, 0.1] })[0].alarm).toBe(false);
    expect(reportsOf([x([900, 100], { shares: '9:1' })])[0].alarm).toBe(false);
    expect(reportsOf([{ experiment_id: 'x', counts: [900, 100], ratio: [9, 1] }])[0].alarm).toBe(false);
  });

  it('of nothing are no evidence', () => {
    expect(reportsOf([x([0, 0]), ''])[0]).toMatchObject({ looks: 1, units: 0, log_e: 0, p_value: 1, alarm: false, onset_n: null });
    expect(reportsOf([{ experiment_id: 'x', shares: [1], counts: [12345] }])[0]).toMatchObject({ log_e: 0, alarm: false });
  });

  it.each([
    ['{', 'not JSON'],
    ['[]', 'one JSON object'],
    [{ shares: [1], counts: [1] }, 'experiment_id'],
    [x([1, 2], { allocation_version: 0 }), 'allocation_version'],
    [x([1, 2], { shares: [0.5, 0.6] }), 'add to'],
    [x([1, 2], { shares: undefined }), 'needs shares'],
    [x([1, -2]), 'negative'],
    [x([1, 2.5]), 'whole number'],
    [x([1]), '1 count and 2 shares'],
    [x([1, 2, 3]), '3 counts and 2 shares'],
    [x([]), 'no counts'],
    [{ experiment_id: 'x', shares: [0.5, 0.5] }, 'list of numbers'],
    [x(['1', 2] as number[]), 'whole number'],
    [x([2 ** 53, 1]), '2^53 − 1'],
    [x([1, 2], { ratio: '1:1' }), 'one of them'],
  ])('refuse %j', (line, says) => {
    expect(() => reportsOf([line])).toThrow(says);
  });

  it('may begin with a byte-order mark, as some editors write it', () => {
    expect(reportsOf([`\uFEFF${JSON.stringify(x([5, 5]))}`])[0]).toMatchObject({ looks: 1, units: 10 });
  });

  it('refuse counts that fall and a version whose split changes', () => {
    expect(() => reportsOf([x([10, 10]), x([9, 11])])).toThrow('cannot fall, but arm 0 went from 10 to 9');
    expect(() => reportsOf([x([10, 10]), x([11, 11], { shares: [0.6, 0.4] })])).toThrow('new split');
  });
});

const pick = ({ looks, units, alarm, alarm_n, onset_n }: Case['expected']) => ({ looks, units, alarm, alarm_n, onset_n });
