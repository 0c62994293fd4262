import { type Baseline, baselineOf } from './baseline.ts';
import type { CountSource, Tally } from './count-source.ts';
import type { SplitCounts } from './counts.ts';
import type { Experiment } from './experiment.ts';

/** An experiment's counts of this phase: what came before its start is taken off. Made when they are asked for. */
export class PhaseCounts {
  /** What phases before this one had counted. */
  baseline: Baseline | null = null;
  readonly #experiment: Experiment;
  readonly #source: CountSource;
  /** As of the last growth that they were asked for at. */
  readonly #tallies: Partial<Record<Tally, { growths: number; counts: SplitCounts }>> = {};
  #growths = 0;
  /** Of the baseline, by version. */
  #before: ({ baseline: Baseline } & Record<Tally, Map<number, number[]>>) | null = null;

  constructor(experiment: Experiment, source: CountSource) {
    this.#experiment = experiment;
    this.#source = source;
  }

  /** Something has been counted. */
  grew(): void {
    this.#growths++;
  }

  /** What phases before this one had of a tally's version and arm. */
  before(tally: Tally, version: number, arm: number): number {
    if (this.baseline === null) return 0;
    if (this.#before?.baseline !== this.baseline) {
      const { exposed, assigned, late } = this.baseline.tallies;
      this.#before = { baseline: this.baseline, exposed: new Map(exposed), assigned: new Map(assigned), late: new Map(late) };
    }
    return this.#before[tally].get(version)?.[arm] ?? 0;
  }

  tally(tally: Tally): SplitCounts {
    const known = this.#tallies[tally];
    if (known?.growths === this.#growths) return known.counts;
    const all = this.#source.tally(this.#experiment, tally);
    const counts = this.baseline === null ? all : all.without(this.baseline.tallies[tally]);
    this.#tallies[tally] = { growths: this.#growths, counts };
    return counts;
  }

  /** `dimension\0value` → counts. */
  segments(): Map<string, SplitCounts> {
    const counted = this.#source.segments(this.#experiment);
    for (const [name, rows] of this.baseline?.segments ?? []) {
      const counts = counted.get(name);
      if (counts) counted.set(name, counts.without(rows));
    }
    return counted;
  }

  /** What was counted so far belongs to the phase before. */
  begin(): void {
    this.baseline = baselineOf(this.#experiment, this.#source, this.baseline);
    this.#growths++;
  }
}
