/** What evaluate keeps of experiments between commits, besides their counts: a section of its state. */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import { SECTIONS, type Section } from '../topology/evaluate-sections.ts';
import type { Experiment } from './experiment.ts';
import type { FleetDecision } from './fleet.ts';
import { readExperiment, writeExperiment } from './state.ts';

/** Records of the section. */
const FULL = 1;
const LIGHT = 2;
const PENDING = 3;
const FLEET = 4;

interface Pending {
  source: number;
  experiments: Set<Experiment>;
}

export class KeptExperiments implements Section {
  readonly id = SECTIONS.experiments;
  readonly experiments = new Map<string, Experiment>();
  /** By source: experiments that its unfinished emission has changed. */
  readonly #pending = new Map<number, Pending>();
  readonly #changed = new Set<Experiment>();
  readonly #lightly = new Set<Experiment>();
  readonly #make: (id: string) => Experiment;
  readonly #decision: FleetDecision;
  #pendingChanged = false;
  /** The one that was added to last. */
  #filling: Pending | null = null;

  /** @param make a new one of that id */
  constructor(make: (id: string) => Experiment, decision: FleetDecision) {
    this.#make = make;
    this.#decision = decision;
  }

  changed(experiment: Experiment): void {
    this.#changed.add(experiment);
  }

  /** Only a running extreme or a count of checks has changed. */
  changedLightly(experiment: Experiment): void {
    this.#lightly.add(experiment);
  }

  /** An emission of that source, not yet at its end, has changed it. */
  await(source: number, experiment: Experiment): void {
    // Asked for every cell, and nearly always of the source asked of last.
    let pending = this.#filling;
    if (pending?.source !== source) {
      pending = this.#pending.get(source) ?? { source, experiments: new Set() };
      this.#pending.set(source, pending);
      this.#filling = pending;
    }
    if (experiment.awaited === pending) return;
    experiment.awaited = pending;
    pending.experiments.add(experiment);
    this.#pendingChanged = true;
  }

  /**
   * The emission is at its end: what is to be looked at. One that another source's unfinished emission has changed too is
   * looked at when that ends: half an emission is no look.
   */
  ended(source: number): Iterable<Experiment> {
    const pending = this.#pending.get(source);
    if (pending === undefined) return [];
    this.#pending.delete(source);
    this.#filling = null;
    this.#pendingChanged = true;
    if (this.#pending.size === 0) return pending.experiments;
    const others = [...this.#pending.values()];
    return [...pending.experiments].filter((experiment) => !others.some(({ experiments }) => experiments.has(experiment)));
  }

  touchAll(): void {
    for (const experiment of this.experiments.values()) this.#changed.add(experiment);
    this.#pendingChanged = true;
    this.#decision.touch();
  }

  write(out: ByteWriter): void {
    for (const experiment of this.#changed) {
      out.u8(FULL);
      out.string(experiment.id);
      writeExperiment(out, experiment);
    }
    for (const experiment of this.#lightly) {
      if (this.#changed.has(experiment)) continue;
      out.u8(LIGHT);
      out.string(experiment.id);
      for (const { units, lnEMax } of [experiment.exposures, experiment.assignments]) {
        out.varint(units);
        out.f64(lnEMax);
      }
      out.varint(experiment.hashChecked);
      out.varint(experiment.hashMismatched);
    }
    this.#changed.clear();
    this.#lightly.clear();
    if (this.#pendingChanged) this.#writePending(out);
    if (this.#decision.changed) {
      out.u8(FLEET);
      this.#decision.write(out);
    }
  }

  read(from: ByteReader): void {
    while (!from.done) {
      const kind = from.u8();
      if (kind === FULL) {
        const id = from.string();
        this.experiments.set(id, readExperiment(from, this.#make(id)));
      } else if (kind === LIGHT) this.#readLight(from);
      else if (kind === PENDING) this.#readPending(from);
      else if (kind === FLEET) this.#decision.read(from);
      else throw new RangeError(`a record of kind ${kind} among the experiments`);
    }
  }

  #writePending(out: ByteWriter): void {
    out.u8(PENDING);
    out.varint(this.#pending.size);
    for (const { source, experiments } of this.#pending.values()) {
      out.varint(source);
      out.varint(experiments.size);
      for (const { id } of experiments) out.string(id);
    }
    this.#pendingChanged = false;
  }

  #readLight(from: ByteReader): void {
    const experiment = this.experiments.get(from.string()) as Experiment;
    for (const test of [experiment.exposures, experiment.assignments]) {
      test.units = from.varint();
      test.lnEMax = from.f64();
    }
    experiment.hashChecked = from.varint();
    experiment.hashMismatched = from.varint();
  }

  #readPending(from: ByteReader): void {
    this.#pending.clear();
    this.#filling = null;
    for (let left = from.varint(); left > 0; left--) {
      const source = from.varint();
      const experiments = Array.from({ length: from.varint() }, () => this.experiments.get(from.string()));
      this.#pending.set(source, { source, experiments: new Set(experiments.filter((one) => one !== undefined)) });
    }
  }
}
