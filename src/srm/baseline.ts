import { addRows, type CountRows, rowsOf, SplitCounts } from './counts.ts';
import { type Experiment, TALLIES, type Tally } from './experiment.ts';

/** Counts of phases that are over, as plain data. */
export interface Baseline {
  tallies: Record<Tally, CountRows>;
  segments: [name: string, rows: CountRows][];
  /** By arm: known, backwards, lagMs. */
  timing: [number, number, number][];
  contaminated: number;
}

/** What has been counted in all phases up to now. */
export function addBaseline(experiment: Experiment, before: Baseline | null): Baseline {
  const sum = (counts: SplitCounts, rows: CountRows | undefined): CountRows => {
    const all = new SplitCounts();
    addRows(all, rowsOf(counts));
    addRows(all, rows ?? []);
    return rowsOf(all);
  };
  const old = new Map(before?.segments);
  const segments = experiment.segments();
  const { known, backwards, lagMs } = experiment.timing;
  return {
    tallies: Object.fromEntries(
      TALLIES.map((tally) => [tally, sum(experiment.tallies[tally], before?.tallies[tally])]),
    ) as Baseline['tallies'],
    segments: [...segments].map(([name, counts]) => [name, sum(counts, old.get(name))]),
    timing: experiment.arms.map((_, arm) => {
      const [k, b, l] = before?.timing[arm] ?? [0, 0, 0];
      return [(known[arm] ?? 0) + k, (backwards[arm] ?? 0) + b, (lagMs[arm] ?? 0) + l];
    }),
    contaminated: experiment.contaminated + (before?.contaminated ?? 0),
  };
}

/** Takes it off again, once everything has been counted anew; segments are when they are asked for. */
export function takeOff(experiment: Experiment, baseline: Baseline): void {
  for (const tally of TALLIES) addRows(experiment.tallies[tally], baseline.tallies[tally], -1);
  baseline.timing.forEach((values, arm) => {
    experiment.timing.grew(
      arm,
      values.map((value) => -value),
    );
  });
  experiment.contaminated -= baseline.contaminated;
}
