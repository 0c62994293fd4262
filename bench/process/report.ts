/** Figures as they come, on the screen and in bench/RESULTS.md. */
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { figure, print, type Target } from '../figures.ts';
import type { Expense, Measured } from './protocol.ts';

const FILE = join(import.meta.dirname, '..', 'RESULTS.md');
const MOST_EXPENSIVE = 10;

interface Row {
  scenario: string;
  what: string;
  value: string;
  target: string;
  verdict: string;
}

export class Report {
  readonly #pinned: string;
  readonly #rows: Row[] = [];
  readonly #profiles: { scenario: string; expenses: readonly Expense[] }[] = [];
  readonly #startLoad = loadavg()[0];

  constructor(pinned: string) {
    this.#pinned = pinned;
    print(`${machine()}; ${pinned}`);
  }

  figure(scenario: string, what: string, value: number, unit: string, target: Target = {}): void {
    figure(what, value, unit, target);
    const { min, max } = target;
    const isMet = value >= (min ?? Number.NEGATIVE_INFINITY) && value <= (max ?? Number.POSITIVE_INFINITY);
    const wanted = min !== undefined ? `≥ ${min}` : max !== undefined ? `≤ ${max}` : '';
    this.#rows.push({
      scenario,
      what,
      value: `${shown(value)} ${unit}`,
      target: wanted,
      verdict: wanted === '' ? '' : isMet ? 'met' : '**not met**',
    });
  }

  /** What every measured process tells. */
  process(scenario: string, measured: Measured, targets: { cpu?: Target; rate?: Target } = {}): void {
    this.figure(scenario, 'events a second', measured.records / measured.seconds / 1e6, 'M/s', targets.rate);
    this.figure(scenario, 'CPU a million events', (measured.cpuSeconds / measured.records) * 1e6, 's', targets.cpu);
    this.figure(scenario, 'share of the time in garbage collection', measured.gcShare * 100, '%');
    this.figure(scenario, 'resident memory', measured.rssBytes / 1e6, 'MB');
    this.figure(scenario, 'of it state', measured.stateBytes / 1e6, 'MB');
    this.figure(scenario, 'longest pause of the event loop', measured.longestPauseMs, 'ms', { max: 50 });
    if (measured.expenses.length > 0) this.profile(scenario, measured.expenses);
  }

  profile(scenario: string, expenses: readonly Expense[]): void {
    this.#profiles.push({ scenario, expenses });
    for (const { name, share } of expenses.slice(0, MOST_EXPENSIVE)) print(`    ${(100 * share).toFixed(1).padStart(5)} %  ${name}`);
  }

  async write(): Promise<void> {
    const rows = this.#rows.map(
      ({ scenario, what, value, target, verdict }) => `| ${scenario} | ${what} | ${value} | ${target} | ${verdict} |`,
    );
    const profiles = this.#profiles.flatMap(({ scenario, expenses }) => [
      `\n### ${scenario}\n`,
      ...expenses.slice(0, MOST_EXPENSIVE).map(({ name, share }, i) => `${i + 1}. ${(100 * share).toFixed(1)} % \`${name}\``),
    ]);
    const text = [
      '# What it costs',
      '',
      'Written by `npm run bench`. Every run was held against the truth first: spend and impressions of every campaign, dispositions.',
      '',
      `${machine()}; load ${this.#startLoad.toFixed(1)} before, ${loadavg()[0].toFixed(1)} at the end (its own included); ${this.#pinned}.`,
      '',
      '| scenario | figure | value | target | |',
      '| --- | --- | --- | --- | --- |',
      ...rows,
      ...(profiles.length > 0 ? ['', '## The most expensive functions', ...profiles] : []),
      '',
    ].join('\n');
    await writeFile(FILE, text);
    print(`\nwritten to ${FILE}`);
  }
}

const shown = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

const machine = (): string => {
  const [{ model }] = cpus();
  return `${model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
};
