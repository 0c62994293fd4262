/** What evaluate keeps of experiments between commits, besides their counts: a section of its state. */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import { SECTIONS, type Section } from '../topology/evaluate-sections.ts';
import type { Experiment } from './experiment.ts';
import type { FleetDecision } from './fleet.ts';
import { readExperiment, writeExperiment } from './state.ts';
import { Unfinished } from './unfinished.ts';

/** Records of the section. */
const FULL = 1;
const LIGHT = 2;
const PENDING = 3;
const FLEET = 4;
/** PENDING of older programs had no growths. */
const UNFINISHED = 5;

export class KeptExperiments implements Section {
  readonly id = SECTIONS.experiments;
  readonly experiments = new Map<string, Experiment>();
  readonly unfinished = new Unfinished();
  readonly #changed = new Set<Experiment>();
  readonly #lightly = new Set<Experiment>();
  readonly #make: (id: string) => Experiment;
  readonly #decision: FleetDecision;

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

  touchAll(): void {
    for (const experiment of this.experiments.values()) this.#changed.add(experiment);
    this.unfinished.changed = true;
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
      for (const test of [experiment.exposures, experiment.assignmentsOrNull]) {
        out.varint(test?.units ?? 0);
        out.f64(test?.lnEMax ?? 0);
      }
      out.varint(experiment.hashChecked);
      out.varint(experiment.hashMismatched);
    }
    this.#changed.clear();
    this.#lightly.clear();
    if (this.unfinished.changed) {
      out.u8(UNFINISHED);
      this.unfinished.write(out);
    }
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
      else if (kind === PENDING || kind === UNFINISHED) this.unfinished.read(from, (id) => this.experiments.get(id), kind === UNFINISHED);
      else if (kind === FLEET) this.#decision.read(from);
      else throw new RangeError(`a record of kind ${kind} among the experiments`);
    }
  }

  #readLight(from: ByteReader): void {
    const experiment = this.experiments.get(from.string()) as Experiment;
    for (const which of ['exposures', 'assignments'] as const) {
      const [units, lnEMax] = [from.varint(), from.f64()];
      if (units > 0) Object.assign(experiment[which], { units, lnEMax });
    }
    experiment.hashChecked = from.varint();
    experiment.hashMismatched = from.varint();
  }
}
