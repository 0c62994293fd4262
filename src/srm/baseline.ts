import { type CountSource, TALLIES, type Tally } from './count-source.ts';
import { type CountRows, rowsOf } from './counts.ts';
import type { Experiment } from './experiment.ts';

/** Counts of phases that are over, as plain data. */
export interface Baseline {
  tallies: Record<Tally, CountRows>;
  segments: [name: string, rows: CountRows][];
  /** By arm: known, backwards, lagMs. */
  timing: [number, number, number][];
  contaminated: number;
}

/** What has been counted in all phases up to now. */
export function baselineOf(experiment: Experiment, source: CountSource, before: Baseline | null): Baseline {
  const { known, backwards, lagMs } = experiment.timing;
  return {
    tallies: Object.fromEntries(TALLIES.map((tally) => [tally, rowsOf(source.tally(experiment, tally))])) as Baseline['tallies'],
    segments: [...source.segments(experiment)].map(([name, counts]) => [name, rowsOf(counts)]),
    timing: experiment.arms.map((_, arm) => {
      const [k, b, l] = before?.timing[arm] ?? [0, 0, 0];
      return [(known[arm] ?? 0) + k, (backwards[arm] ?? 0) + b, (lagMs[arm] ?? 0) + l];
    }),
    contaminated: experiment.contaminated + (before?.contaminated ?? 0),
  };
}

/** Takes off again what is counted as it grows, once everything has been counted anew; the rest is when it is asked for. */
export function takeOff(experiment: Experiment, { timing, contaminated }: Baseline): void {
  timing.forEach((values, arm) => {
    experiment.timing.grew(
      arm,
      values.map((value) => -value),
    );
  });
  experiment.contaminated -= contaminated;
}
