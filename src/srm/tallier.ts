/** Which experiment, version and arm a group of cells belongs to, and what a cell that grows means for it. */
import type { CellTable } from '../state/cells.ts';
import type { EvaluateState } from '../topology/evaluate-state.ts';
import type { CellName } from '../topology/partials.ts';
import { SplitCounts } from './counts.ts';
import type { Experiment, Tally } from './experiment.ts';

/** Cells that are counted here. */
const MINE = ['unitsTotal', 'assigned', 'lateUnits', 'segmentUnits', 'exposureTiming', 'contaminated'] as const satisfies CellName[];
const TALLY_OF: Partial<Record<CellName, Tally>> = { unitsTotal: 'exposed', assigned: 'assigned', lateUnits: 'late' };
const IS_MINE = Object.fromEntries(MINE.map((name) => [name, true])) as Partial<Record<CellName, true>>;
const MAX_COLUMNS = 3;

interface Place {
  experiment: Experiment;
  version: number;
  arm: number;
}

export interface TallierOptions {
  state: EvaluateState;
  /** The experiment of that id, made when it is new. */
  experimentOf: (id: string) => Experiment;
  /** It has got another arm. */
  grown: (experiment: Experiment) => void;
}

export class Tallier {
  readonly #options: TallierOptions;
  /** By group. */
  readonly #places: (Place | undefined)[] = [];
  readonly #groupsOf = new Map<Experiment, number[]>();
  /** Groups that are segments. */
  readonly #segments: number[] = [];
  readonly #isSegment: boolean[] = [];

  constructor(options: TallierOptions) {
    this.#options = options;
  }

  /** Takes what a cell has grown by; the experiment that is to be looked at for it, or null. */
  grew(name: CellName, { group, time }: { group: number; time: number }, growth: ArrayLike<number>): Experiment | null {
    if (IS_MINE[name] !== true) return null;
    if (name === 'segmentUnits') {
      // A cell of a segment has the segment in the place of its time. Its exposure is counted in another cell as well.
      if (!this.#isSegment[time]) {
        this.#isSegment[time] = true;
        this.#segments.push(time);
      }
      return null;
    }
    const { experiment, version, arm } = this.#placeOf(group);
    const tally = TALLY_OF[name];
    if (tally !== undefined) experiment.grew(tally, version, arm, growth[0]);
    else if (name === 'exposureTiming') experiment.timing.grew(arm, growth);
    else experiment.contaminated += growth[0];
    return experiment;
  }

  /** All that the cells hold, after a restart. */
  countAll(): void {
    const growth = new Float64Array(MAX_COLUMNS);
    for (const name of MINE) {
      const table: CellTable = this.#options.state.totals[name];
      for (let i = 0; i < table.size; i++) {
        for (let column = 0; column < table.columns; column++) growth[column] = table.get(i, column);
        this.grew(name, { group: table.groupOf(i), time: table.timeOf(i) }, growth);
      }
    }
  }

  /** Out of the cells, when somebody asks: they grow much more often than they are looked at. */
  segments(experiment: Experiment): Map<string, SplitCounts> {
    const { totals, groups } = this.#options.state;
    const counted = new Map<string, SplitCounts>();
    for (const segment of this.#segments) {
      let counts: SplitCounts | null = null;
      for (const group of this.#groupsOf.get(experiment) ?? []) {
        const index = totals.segmentUnits.find(group, 0, segment);
        if (index === -1) continue;
        const { version, arm } = this.#placeOf(group);
        counts ??= new SplitCounts();
        counts.add(version, arm, totals.segmentUnits.get(index, 0));
      }
      if (counts !== null) counted.set(groups[segment].variant, counts);
    }
    return counted;
  }

  #placeOf(group: number): Place {
    const seen = this.#places[group];
    if (seen !== undefined) return seen;
    const { state, experimentOf, grown } = this.#options;
    const { entity, version, variant } = state.groups[group];
    const experiment = experimentOf(entity);
    const arms = experiment.arms.length;
    // A group without a variant is the experiment itself.
    const arm = variant === '' ? -1 : experiment.armOf(variant);
    if (experiment.arms.length !== arms) grown(experiment);
    const place = { experiment, version, arm };
    this.#places[group] = place;
    const known = this.#groupsOf.get(experiment);
    if (known) known.push(group);
    else this.#groupsOf.set(experiment, [group]);
    return place;
  }
}
