/**
 * What has come of emissions that have not come to their end, by source. Half an emission is no look: it is taken off what the
 * cells say until the rest of it is there. An emission that is one record, as most are, never waits.
 */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { Experiment } from './experiment.ts';

/** Of a group that is no segment. */
const NO_SEGMENT = -1;
/** What a cell counts, by its place in here. */
export const WAITING_CELLS = ['unitsTotal', 'assigned', 'lateUnits', 'segmentUnits'] as const;
export type WaitingCell = (typeof WAITING_CELLS)[number];

interface Emission {
  source: number;
  experiments: Set<Experiment>;
  /** By cell and group, then segment: by how much it has grown. */
  growths: Map<number, Map<number, number>>;
}

const nameOf = (cell: WaitingCell, group: number): number => group * WAITING_CELLS.length + WAITING_CELLS.indexOf(cell);

export class Unfinished {
  /** Something is to be committed. */
  changed = false;
  readonly #emissions = new Map<number, Emission>();
  /** The one that was added to last. */
  #filling: Emission | null = null;

  /** An emission of that source has changed it. */
  await(source: number, experiment: Experiment): void {
    const emission = this.#of(source);
    if (experiment.awaited === emission) return;
    experiment.awaited = emission;
    emission.experiments.add(experiment);
    this.changed = true;
  }

  /** A cell has grown in an emission of several records. */
  grew(
    source: number,
    cell: WaitingCell,
    { group, segment = NO_SEGMENT, growth }: { group: number; segment?: number; growth: number },
  ): void {
    const { growths } = this.#of(source);
    const name = nameOf(cell, group);
    const bySegment = growths.get(name) ?? new Map<number, number>();
    growths.set(name, bySegment);
    bySegment.set(segment, (bySegment.get(segment) ?? 0) + growth);
    this.changed = true;
  }

  /** The emission is at its end: what it has changed. */
  ended(source: number): Iterable<Experiment> {
    const emission = this.#emissions.get(source);
    if (emission === undefined) return [];
    this.#emissions.delete(source);
    this.#filling = null;
    this.changed = true;
    return emission.experiments;
  }

  /** What is to be taken off a group's cell. */
  of(cell: WaitingCell, group: number): number {
    if (this.#emissions.size === 0) return 0;
    const name = nameOf(cell, group);
    let sum = 0;
    for (const { growths } of this.#emissions.values()) for (const growth of growths.get(name)?.values() ?? []) sum += growth;
    return sum;
  }

  /** Calls with what is to be taken off each segment of a group. */
  segmentsOf(group: number, each: (segment: number, units: number) => void): void {
    if (this.#emissions.size === 0) return;
    const name = nameOf('segmentUnits', group);
    for (const { growths } of this.#emissions.values()) for (const [segment, growth] of growths.get(name) ?? []) each(segment, growth);
  }

  /** As a record of the section `experiments`. */
  write(out: ByteWriter): void {
    out.varint(this.#emissions.size);
    for (const { source, experiments, growths } of this.#emissions.values()) {
      out.varint(source);
      out.varint(experiments.size);
      for (const { id } of experiments) out.string(id);
      out.varint(growths.size);
      for (const [name, bySegment] of growths) {
        out.varint(name);
        out.varint(bySegment.size);
        for (const [segment, growth] of bySegment) {
          out.varint(segment - NO_SEGMENT);
          out.varint(growth);
        }
      }
    }
    this.changed = false;
  }

  /** @param hasGrowths states of older programs have none: they looked at nothing that was half there */
  read(from: ByteReader, find: (id: string) => Experiment | undefined, hasGrowths: boolean): void {
    this.#emissions.clear();
    this.#filling = null;
    for (let left = from.varint(); left > 0; left--) {
      const { experiments, growths } = this.#of(from.varint());
      for (let ids = from.varint(); ids > 0; ids--) {
        const experiment = find(from.string());
        if (experiment) experiments.add(experiment);
      }
      for (let names = hasGrowths ? from.varint() : 0; names > 0; names--) growths.set(from.varint(), readGrowths(from));
    }
    this.changed = false;
  }

  #of(source: number): Emission {
    // Asked for every cell, and nearly always of the source asked of last.
    if (this.#filling?.source === source) return this.#filling;
    const emission = this.#emissions.get(source) ?? { source, experiments: new Set(), growths: new Map() };
    this.#emissions.set(source, emission);
    this.#filling = emission;
    return emission;
  }
}

function readGrowths(from: ByteReader): Map<number, number> {
  const growths = new Map<number, number>();
  for (let left = from.varint(); left > 0; left--) {
    const segment = from.varint() + NO_SEGMENT;
    growths.set(segment, from.varint());
  }
  return growths;
}
