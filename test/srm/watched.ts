/** Evaluate with what an experiment's registry and traffic would be, fed by hand. */
import {
  type AllocationRow,
  EMPTY_ROWS,
  type ExperimentRow,
  makeRegistry,
  type RegistryRows,
  type VariantRow,
} from '../../src/sinks/registry.ts';
import { Integrity } from '../../src/srm/part.ts';
import type { MakePart } from '../../src/topology/evaluate-part.ts';
import type { Registered } from '../../src/topology/evaluate-registered.ts';
import type { Mark } from '../../src/topology/partials.ts';
import { type Cell, Fed, type FedOptions } from '../topology/fed.ts';

export interface Registration {
  id: string;
  /** Shares by variant, by version. */
  versions: Record<number, Record<string, number>>;
  more?: Partial<ExperimentRow>;
  /** When each version begins; always where it is not said. */
  fromMs?: Record<number, number>;
}

/** A registry of these experiments. */
export function registryOf(experiments: readonly Registration[], version = 1): Registered {
  const rows: Pick<RegistryRows, 'experiments' | 'variants' | 'allocations'> & { [name: string]: unknown } = {
    experiments: new Map(experiments.map(({ id, more }) => [id, { ...experimentRow(id), ...more }])),
    variants: new Map(experiments.map(({ id, versions }) => [id, variantRows(id, versions)])),
    allocations: new Map(experiments.map((one) => [one.id, allocationRows(one)])),
  };
  return makeRegistry({ ...EMPTY_ROWS, ...rows }, { version, epoch: 3, asOfMs: 0, loadedWallMs: 0 });
}

const experimentRow = (experimentId: string): ExperimentRow => ({
  experimentId,
  name: experimentId,
  owner: 'growth',
  status: 'running',
  randomizationUnit: 'user',
  salt: null,
  hash: null,
  startedAtMs: null,
  endedAtMs: null,
});

const variantRows = (experimentId: string, versions: Registration['versions']): VariantRow[] =>
  [...new Set(Object.values(versions).flatMap((shares) => Object.keys(shares)))].map((variantId, position) => ({
    experimentId,
    variantId,
    position,
  }));

const allocationRows = ({ id, versions, fromMs }: Registration): AllocationRow[] =>
  Object.entries(versions).flatMap(([version, shares]) =>
    Object.entries(shares).map(([variantId, share]) => ({
      experimentId: id,
      version: Number(version),
      variantId,
      share,
      fromMs: fromMs?.[Number(version)] ?? Number.NEGATIVE_INFINITY,
      toMs: Number.POSITIVE_INFINITY,
    })),
  );

/** Counts by variant. */
export const cells = (name: Cell['name'], entity: string, counts: Record<string, number>, version = 1): Cell[] =>
  Object.entries(counts).map(([variant, count]) => ({ name, group: { entity, version, variant }, atMs: 0, values: [count] }));

/** Counts by variant in a segment. */
export const segment = (entity: string, counts: Record<string, number>, [dimension, value]: [string, string]): Cell[] =>
  cells('segmentUnits', entity, counts).map((cell) => ({ ...cell, segment: `${dimension}\u0000${value}` }));

/** A Fed whose part can be looked into. */
export class WatchedFed extends Fed {
  readonly integrity: Integrity;
  #position = 0;

  constructor(options: FedOptions) {
    let integrity: Integrity | null = null;
    const watched: MakePart = (place) => {
      integrity = new Integrity(place);
      return integrity;
    };
    super({ ...options, parts: [watched] });
    this.integrity = integrity as unknown as Integrity;
    this.#position = this.stage.position;
  }

  /** One emission of `exposures/0` (or another source's) with these cells; with `parts` a part of one. */
  look(changed: Cell[], given: Partial<Mark> = {}, of = { part: 0, parts: 1 }): void {
    this.#position++;
    const mark = { stream: 'exposures', position: this.#position, watermarkMs: null, emission: this.#position, ...given } as const;
    this.take(changed, mark, of);
  }

  /** An empty emission whose record is so much later by its Kafka time. */
  lookLater(laterMs: number): void {
    this.laterMs = laterMs;
    this.look([]);
  }

  experiment(id: string) {
    const experiment = this.integrity.experiments.get(id);
    if (experiment === undefined) throw new Error(`no experiment ${id}`);
    return experiment;
  }

  get alerts() {
    return [...this.stage.state.alerts.open()];
  }

  alertsOf(kind: string) {
    return this.alerts.filter((alert) => alert.kind === kind);
  }
}
