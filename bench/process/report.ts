/** Figures as they come, on the screen and in bench/RESULTS.md: a section a scenario, the last run of each. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { figure, print, type Target } from '../figures.ts';
import type { Expense, Measured } from './protocol.ts';

const FILE = join(import.meta.dirname, '..', 'RESULTS.md');
const MOST_EXPENSIVE = 10;
const HEAD = `# What it costs

Written by \`npm run bench\`, a section at a time. Every run was held against the truth before its figures were printed:
dispositions, and spend and impressions of every campaign (of exposures, their units).
`;

export class Report {
  readonly #pinned: string;
  readonly #lines = new Map<string, string[]>();
  /** By scenario: for figures that come of two. */
  readonly #resident = new Map<string, number>();

  constructor(pinned: string) {
    this.#pinned = pinned;
    print(`${machine()}; ${pinned}`);
  }

  figure(scenario: string, what: string, value: number, unit: string, target: Target = {}): void {
    figure(what, value, unit, target);
    const { min, max } = target;
    const isMet = value >= (min ?? Number.NEGATIVE_INFINITY) && value <= (max ?? Number.POSITIVE_INFINITY);
    const wanted = min !== undefined ? `≥ ${min}` : max !== undefined ? `≤ ${max}` : '';
    this.#line(scenario, `| ${what} | ${shown(value)} ${unit} | ${wanted} | ${wanted === '' ? '' : isMet ? 'met' : '**not met**'} |`);
  }

  /** What every measured process tells. */
  process(scenario: string, measured: Measured, targets: { cpu?: Target; rate?: Target } = {}): void {
    this.#resident.set(scenario, measured.rssBytes);
    this.figure(scenario, 'events a second', measured.records / measured.seconds / 1e6, 'M/s', targets.rate);
    this.figure(scenario, 'CPU a million events', (measured.cpuSeconds / measured.records) * 1e6, 's', targets.cpu);
    this.figure(scenario, 'of it building partials', measured.partialsShare * 100, '%', { max: 5 });
    this.figure(scenario, 'partials, a million events', measured.partialsBytes / measured.records, 'MB');
    this.figure(scenario, 'share of the time in garbage collection', measured.gcShare * 100, '%');
    this.figure(scenario, 'resident memory', measured.rssBytes / 1e6, 'MB');
    this.figure(scenario, 'of it state', measured.stateBytes / 1e6, 'MB');
    this.figure(scenario, 'longest pause of the event loop', measured.longestPauseMs, 'ms', { max: 50 });
    this.expenses(scenario, measured.expenses);
  }

  /** Resident memory of one scenario above that of another, each of so many; nothing when one of them did not run. */
  memory(scenario: string, what: string, { more, less, of }: { more: string; less: string; of: number }): void {
    const [most, least] = [this.#resident.get(more), this.#resident.get(less)];
    if (most !== undefined && least !== undefined) this.figure(scenario, what, (most - least) / 1e6 / of, 'MB');
  }

  expenses(scenario: string, expenses: readonly Expense[]): void {
    for (const [i, { name, share }] of expenses.slice(0, MOST_EXPENSIVE).entries()) {
      print(`    ${(100 * share).toFixed(1).padStart(5)} %  ${name}`);
      if (i === 0) this.#line(scenario, '\nThe most expensive functions:\n');
      this.#line(scenario, `${i + 1}. ${(100 * share).toFixed(1)} % \`${name}\``);
    }
  }

  /** Puts the scenario's section in the place of the one before; the others stay. */
  write(scenario: string, order: readonly string[]): void {
    const sections = sectionsOf(existsSync(FILE) ? readFileSync(FILE, 'utf8') : '');
    const where = `${machine()}; load ${loadavg()[0].toFixed(1)} over the last minute, its own included; ${this.#pinned}.`;
    const table = ['| figure | value | target | |', '| --- | --- | --- | --- |', ...(this.#lines.get(scenario) ?? [])];
    sections.set(scenario, `${where}\n\n${table.join('\n')}\n`);
    const known = order.filter((name) => sections.has(name));
    writeFileSync(FILE, `${HEAD}${known.map((name) => `\n## ${name}\n\n${sections.get(name)}`).join('')}`);
  }

  #line(scenario: string, line: string): void {
    this.#lines.set(scenario, [...(this.#lines.get(scenario) ?? []), line]);
  }
}

function sectionsOf(text: string): Map<string, string> {
  const sections = text.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const end = section.indexOf('\n');
      return [section.slice(0, end), `${section.slice(end).trim()}\n`];
    }),
  );
}

const shown = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

const machine = (): string => {
  const [{ model }] = cpus();
  return `${model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
};
