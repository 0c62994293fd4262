/** What is counted of experiments, and where. */
import type { SplitCounts } from './counts.ts';
import type { Experiment } from './experiment.ts';
import type { VersionTest } from './experiment-test.ts';

/** What is counted of an experiment's units, by version and arm. */
export const TALLIES = ['exposed', 'assigned', 'late'] as const;
export type Tally = (typeof TALLIES)[number];

/** Where an experiment's units are counted, all phases together; but of emissions that are not there whole. */
export interface CountSource {
  tally(experiment: Experiment, tally: Tally): SplitCounts;
  /** `dimension\0value` → counts. */
  segments(experiment: Experiment): Map<string, SplitCounts>;
}

/** A version and variant of an experiment, with the tests that its units are counted in: found once, not for every unit. */
export interface UnitPlace {
  readonly version: number;
  readonly arm: number;
  readonly group: number;
  /** Where its cells are, once they are there: they never move. */
  exposedCell: number;
  assignedCell: number;
  /** What its cells hold, over all phases: of the emissions that were there whole at the last look. */
  exposedUnits: number;
  assignedUnits: number;
  /** Null where it is not tested. */
  exposed: VersionTest | null;
  assigned: VersionTest | null;
  /** The arrangement of the experiment that these belong to. */
  arrangement: number;
}
