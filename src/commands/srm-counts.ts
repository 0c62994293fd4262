/** One look at counts, for programs and in plain words. */

import { grouped, percent, probability, timesText } from '../srm/words.ts';
import { type ChiSquared, chiSquared } from '../stats/chi-squared.ts';
import { confidenceIntervals, type Interval } from '../stats/confidence.ts';
import { CONCENTRATIONS, DirichletMultinomial, leaks, pValueOf } from '../stats/dirichlet-multinomial.ts';

export interface CountsReport {
  /** Natural log of the mixture over concentrations. */
  log_e: number;
  log_e_by_concentration: Record<string, number>;
  p_value: number;
  alarm: boolean;
  /** Arms of share 0 that have units. */
  leak: number[];
  confidence: Interval[];
  chi_squared: { statistic: number; df: number; p_value: number };
}

export function countsReport(counts: readonly number[], shares: readonly number[], alpha: number): CountsReport {
  const test = new DirichletMultinomial(shares);
  const logE = test.lnE(counts);
  const each = [...test.lnEByConcentration(counts)];
  const leak = leaks(counts, shares);
  const { statistic, df, pValue }: ChiSquared = chiSquared(counts, shares);
  return {
    log_e: logE,
    log_e_by_concentration: Object.fromEntries(CONCENTRATIONS.map((k, i) => [String(k), each[i]])),
    p_value: pValueOf(logE),
    alarm: logE >= -Math.log(alpha) || leak.length > 0,
    leak,
    confidence: confidenceIntervals(counts, shares, alpha),
    chi_squared: { statistic, df, p_value: pValue },
  };
}

export interface Looked {
  counts: readonly number[];
  shares: readonly number[];
  alpha: number;
  report: CountsReport;
}

export function countsText({ counts, shares, alpha, report }: Looked): string {
  const units = counts.reduce((sum, count) => sum + count, 0);
  const sure = `${percent(1 - alpha)} sure`;
  const rows = [['arm', 'units', 'expected', 'share', 'meant', `share, ${sure}`]];
  counts.forEach((count, arm) => {
    const [low, high] = report.confidence[arm];
    const range = shares[arm] === 0 ? '—' : `${percent(low)} to ${percent(high)}`;
    const seen = units === 0 ? '—' : percent(count / units);
    rows.push([String(arm), grouped(count), grouped(Math.round(units * shares[arm])), seen, percent(shares[arm]), range]);
  });
  return `${[...table(rows), '', ...verdict(report, alpha), '', ...beside(report)].join('\n')}\n`;
}

function verdict({ log_e, p_value, alarm, leak }: CountsReport, alpha: number): string[] {
  if (leak.length > 0)
    return [
      `This split is broken: arm ${leak.join(' and arm ')} should get nobody, and got units. One is enough to know.`,
      'Find who is sent there; the results of this experiment cannot be used until then.',
    ];
  const times = `e = ${timesText(log_e)}, p = ${probability(p_value)}`;
  if (alarm)
    return [
      `This split is broken: the counts are ${timesText(log_e)} times likelier under some other split than under the one that was meant.`,
      `(${times}.) Do not read the experiment's results before the cause is found.`,
    ];
  return [`${gradeOf(log_e)} ${times}: an alarm needs e of ${timesText(-Math.log(alpha))} or more.`, ...ANY_TIME];
}

const ANY_TIME = ['You may look as often as you like: this p-value already allows for that.'];

/** What evidence of less than an alarm is worth, after Jeffreys: by e of 3, 10, 30, 100. */
const GRADES: readonly [least: number, says: string][] = [
  [100, 'Very strong evidence that this split is broken, though not yet an alarm.'],
  [30, 'Strong evidence that this split is broken, though not yet an alarm.'],
  [10, 'Some evidence that this split is broken. Keep watching it.'],
  [3, 'A slight hint that this split may be broken, of the kind that healthy experiments show too.'],
  [0.3, 'These counts say nothing for or against this split.'],
  [0, 'This split is as it was meant, as far as these counts can say.'],
];

const gradeOf = (lnE: number): string => (GRADES.find(([least]) => lnE >= Math.log(least)) as (typeof GRADES)[number])[1];

function beside({ chi_squared: { statistic, df, p_value } }: CountsReport): string[] {
  if (df === 0) return ['There is one arm, so there is nothing to compare.'];
  return [
    `Chi-squared says ${statistic.toFixed(2)} on ${df} degree${df === 1 ? '' : 's'} of freedom, p = ${probability(p_value)}. That holds for one look decided on`,
    'beforehand; looked at again and again it calls healthy experiments broken, so nothing is decided by it here.',
  ];
}

/** Columns are as wide as what stands in them. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((value, i) => (i === 0 ? value.padEnd(widths[i]) : value.padStart(widths[i]))).join('  '));
}
