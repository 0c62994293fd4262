/** Which experiment, version and arm a group of cells belongs to, and what a cell that grows means for it. */
import type { CellPlace } from '../operators/merge.ts';
import type { CellTable } from '../state/cells.ts';
import type { EvaluateState } from '../topology/evaluate-state.ts';
import type { CellName } from '../topology/partials.ts';
import type { CountSource, Tally, UnitPlace } from './count-source.ts';
import { SplitCounts } from './counts.ts';
import type { Experiment } from './experiment.ts';
import type { Unfinished, WaitingCell } from './unfinished.ts';

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
  unfinished: Unfinished;
}

export class Tallier implements CountSource {
  readonly #options: TallierOptions;
  /** By group; null where it is of something else. */
  readonly #places: (Place | null)[] = [];

  constructor(options: TallierOptions) {
    this.#options = options;
  }

  /** A cell has grown, in an emission of several records or the only one; the experiment that is to be looked at for it, or null. */
  grew(name: CellName, { group, source, time }: CellPlace, growth: ArrayLike<number>, isPart: boolean): Experiment | null {
    const { unfinished } = this.#options;
    if (name === 'segmentUnits') {
      if (isPart) unfinished.grew(source, name, { group, segment: time, growth: growth[0] });
      return null;
    }
    if (IS_MINE[name] !== true) return null;
    const place = this.#places[group] ?? this.#placeOf(group);
    const { experiment, arm } = place;
    if (name === 'exposureTiming') experiment.timing.grew(arm, growth);
    else if (name === 'contaminated') experiment.contaminated += growth[0];
    else {
      experiment.counts.grew();
      if (isPart) unfinished.grew(source, name as WaitingCell, { group, growth: growth[0] });
    }
    return experiment;
  }

  /** Brings the counts of an experiment's tests to what its cells hold. */
  recount(experiment: Experiment): void {
    const { unitsTotal, assigned } = this.#options.state.totals;
    experiment.counts.grew();
    let known = 0;
    for (let i = 0; i < experiment.places.length; i++) {
      const place = experiment.places[i];
      if (place.exposedCell === -1) place.exposedCell = unitsTotal.find(place.group, 0, 0);
      if (place.exposedCell !== -1) {
        const units = unitsTotal.get(place.exposedCell, 0) - this.#options.unfinished.of('unitsTotal', place.group);
        known += units;
        if (units !== place.exposedUnits) {
          place.exposedUnits = units;
          experiment.counted('exposed', place, units);
        }
      }
      if (assigned.size === 0) continue;
      if (place.assignedCell === -1) place.assignedCell = assigned.find(place.group, 0, 0);
      if (place.assignedCell === -1) continue;
      const units = assigned.get(place.assignedCell, 0) - this.#options.unfinished.of('assigned', place.group);
      if (units === place.assignedUnits) continue;
      place.assignedUnits = units;
      experiment.counted('assigned', place, units);
    }
    experiment.knownUnits = known;
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
    const counts = new SplitCounts();
    for (const place of experiment.places) {
      const units = this.#units(CELL_OF[tally], place);
      if (units > 0) counts.add(place.version, place.arm, units);
    }
    return counts;
  }

  segments(experiment: Experiment): Map<string, SplitCounts> {
    const { unfinished, state } = this.#options;
    const counted = new Map<string, SplitCounts>();
    for (const { group, version, arm } of experiment.places) {
      const add = (segment: number, units: number): void => {
        const name = state.groups[segment].variant;
        const counts = counted.get(name) ?? new SplitCounts();
        counted.set(name, counts);
        counts.add(version, arm, units);
      };
      state.segments.each(group, add);
      unfinished.segmentsOf(group, (segment, units) => add(segment, -units));
    }
    return counted;
  }

  /** What a cell of a place holds, without what is half there. */
  #units(name: (typeof CELL_OF)[Tally], place: UnitPlace): number {
    const table = this.#options.state.totals[name];
    const index = table.find(place.group, 0, 0);
    return index === -1 ? 0 : table.get(index, 0) - this.#options.unfinished.of(name, place.group);
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
    const cells = { exposedCell: -1, assignedCell: -1, exposedUnits: 0, assignedUnits: 0 };
    const none = { ...cells, exposed: null, assigned: null, arrangement: -1 };
    const place: Place = { experiment, group, version, arm, ...none };
    // No holes: sparse arrays would be slow ones.
    while (this.#places.length <= group) this.#places.push(null);
    this.#places[group] = place;
    const { places } = experiment;
    // In one order, whatever a restart has met first.
    const isLast = !((places.at(-1)?.group ?? 0) > group);
    places.push(place);
    if (!isLast) places.sort((a, b) => a.group - b.group);
    return place;
  }
}
