/**
 * What evaluate does beyond counting: experiments' tests, pacing, alerts. A part sees every look, keeps a section of the
 * state, raises alerts, and says what decisions over the whole fleet must know of this partition.
 */
import type { AlertBook } from '../alerts/book.ts';
import type { FileSettings } from '../config.ts';
import type { CellPlace } from '../operators/merge.ts';
import type { RegistryRows } from '../sinks/registry.ts';
import type { Section } from './evaluate-sections.ts';
import type { EvaluateState } from './evaluate-state.ts';
import type { FleetSection } from './fleet.ts';
import type { CellName, GroupName, PartialHeader } from './partials.ts';
import type { FeedStatus } from './stage.ts';
import type { CounterWrite, Now } from './types.ts';

/** The end of an emission of one source partition: all its cells, and its mark, are in the state. A function of the log. */
export interface Look {
  /** Index in `state.sources`. */
  source: number;
  mark: Readonly<PartialHeader>;
  /** False for a repeat, and where only time went on. */
  advanced: boolean;
  /** Kafka time of the record; that of the last one with a time where it has none. Never goes back. */
  atMs: number;
}

/** What parts are told of the registry. */
export type RegisteredRows = Pick<RegistryRows, 'experiments' | 'variants' | 'allocations'>;

export interface EvaluatePart {
  /** What it keeps in the state. */
  readonly section?: Section;
  /** What partition 0 is told of this one, at most once a second and only when it has changed. */
  readonly fleet?: FleetSection;
  /** Everything it does here is done again, alike, after a crash. */
  looked?(look: Look): void;
  /**
   * What sources have contributed has grown; also while a restore adds up what commits hold. `growth` is by column; it and `place`
   * are valid until this returns. `isPart`: its emission has more records than this one.
   */
  grew?(name: CellName, place: CellPlace, growth: Float64Array, isPart: boolean): void;
  /** The rows of the registry have changed, or are known for the first time. No function of the log. */
  registered?(rows: RegisteredRows): void;
  /** A unit of a group, by its id: a few an emission, each once, and after the cells of its record. */
  sampled?(group: GroupName, unitId: string): void;
  /** The state is complete. Also where a partition that stayed is claimed again. */
  owned?(): void;
  /** Keys to be written now, besides those of the counters. */
  writes?(now: Now): CounterWrite[];
  /** Redis has lost what it had: all keys are to be written again. */
  renew?(): void;
  /** Before each write, when the broker was heard of lately: for what time alone changes. Not repeated alike after a crash. */
  ticked?(now: Now, feed: FeedStatus): void;
}

/** Where a part stands. */
export interface PartPlace {
  state: EvaluateState;
  alerts: AlertBook;
  /** Partition of `.partials`; 0 decides for the fleet, and alone has anything in `state.fleet`. */
  partition: number;
  settings: Pick<FileSettings, 'srm'>;
  /** How far a watermark is behind the latest event. */
  maxOutOfOrdernessMs: number;
}

export type MakePart = (place: PartPlace) => EvaluatePart;
