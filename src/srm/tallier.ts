/** Which experiment, version and arm a group of cells belongs to, and what a cell that grows means for it. */
import type { CellTable } from '../state/cells.ts';
import type { EvaluateState } from '../topology/evaluate-state.ts';
import type { CellName } from '../topology/partials.ts';
import type { CountSource, Tally, UnitPlace } from './count-source.ts';
import { SplitCounts } from './counts.ts';
import type { Experiment } from './experiment.ts';

/** Cells that are counted here. */
const MINE = ['unitsTotal', 'assigned', 'lateUnits', 'exposureTiming', 'contaminated'] as const satisfies CellName[];
type Mine = (typeof MINE)[number];
const CELL_OF = { exposed: 'unitsTotal', assigned: 'assigned', late: 'lateUnits' } as const satisfies Record<Tally, Mine>;
const IS_MINE = Object.fromEntries(MINE.map((name) => [name, true])) as Partial<Record<CellName, true>>;
const MAX_COLUMNS = 3;

interface Place extends UnitPlace {
  readonly experiment: Experiment;
}

export interface TallierOptions {
  state: EvaluateState;
  /** The experiment of that id, made when it is new. */
  experimentOf: (id: string) => Experiment;
  /** It has got another arm. */
  grown: (experiment: Experiment) => void;
}

export class Tallier implements CountSource {
  readonly #options: TallierOptions;
  /** By group; null where it is of something else. */
  readonly #places: (Place | null)[] = [];
  readonly #groupsOf = new Map<Experiment, number[]>();

  constructor(options: TallierOptions) {
    this.#options = options;
  }

  /** Takes what a cell has grown by; the experiment that is to be looked at for it, or null. */
  grew(name: CellName, group: number, growth: ArrayLike<number>): Experiment | null {
    if (IS_MINE[name] !== true) return null;
    const place = this.#places[group] ?? this.#placeOf(group);
    const { experiment } = place;
    if (name === 'unitsTotal') experiment.grew('exposed', place, growth[0]);
    else if (name === 'assigned') experiment.grew('assigned', place, growth[0]);
    else if (name === 'lateUnits') experiment.grew('late', place, growth[0]);
    else if (name === 'exposureTiming') experiment.timing.grew(place.arm, growth);
    else experiment.contaminated += growth[0];
    return experiment;
  }

  /** After a restart: whose the cells are, and what nobody adds up when it is asked for. */
  countAll(): void {
    const growth = new Float64Array(MAX_COLUMNS);
    for (const name of MINE) {
      const table: CellTable = this.#options.state.totals[name];
      for (let i = 0; i < table.size; i++) {
        const { experiment, arm } = this.#placeOf(table.groupOf(i));
        for (let column = 0; column < table.columns; column++) growth[column] = table.get(i, column);
        if (name === 'exposureTiming') experiment.timing.grew(arm, growth);
        else if (name === 'contaminated') experiment.contaminated += growth[0];
      }
    }
  }

  tally(experiment: Experiment, tally: Tally): SplitCounts {
    const table = this.#options.state.totals[CELL_OF[tally]];
    const counts = new SplitCounts();
    for (const group of this.#groupsOf.get(experiment) ?? []) {
      const index = table.find(group, 0, 0);
      const place = this.#places[group];
      if (index !== -1 && place) counts.add(place.version, place.arm, table.get(index, 0));
    }
    return counts;
  }

  segments(experiment: Experiment): Map<string, SplitCounts> {
    const { segments, groups } = this.#options.state;
    const counted = new Map<string, SplitCounts>();
    for (const group of this.#groupsOf.get(experiment) ?? []) {
      const { version, arm } = this.#placeOf(group);
      segments.each(group, (segment, units) => {
        const name = groups[segment].variant;
        const counts = counted.get(name) ?? new SplitCounts();
        counted.set(name, counts);
        counts.add(version, arm, units);
      });
    }
    return counted;
  }

  #placeOf(group: number): Place {
    const seen = this.#places[group];
    if (seen) return seen;
    const { state, experimentOf, grown } = this.#options;
    const { entity, version, variant } = state.groups[group];
    const experiment = experimentOf(entity);
    const arms = experiment.arms.length;
    // A group without a variant is the experiment itself.
    const arm = variant === '' ? -1 : experiment.armOf(variant);
    if (experiment.arms.length !== arms) grown(experiment);
    const place: Place = { experiment, version, arm, exposed: null, assigned: null, arrangement: -1 };
    // No holes: sparse arrays would be slow ones.
    while (this.#places.length <= group) this.#places.push(null);
    this.#places[group] = place;
    const known = this.#groupsOf.get(experiment) ?? [];
    this.#groupsOf.set(experiment, known);
    // In one order, whatever a restart has met first.
    const isLast = !(known[known.length - 1] > group);
    known.push(group);
    if (!isLast) known.sort((a, b) => a - b);
    return place;
  }
}
