/**
 * Evaluate's part that watches experiments: it looks at the end of each emission that changed something, and raises what
 * it notices. Everything here is a function of the log and of the registry as it was last told.
 */
import type { SrmSettings } from '../config.ts';
import type { CellPlace } from '../operators/merge.ts';
import type { EvaluatePart, Look, MakePart, PartPlace, RegisteredRows } from '../topology/evaluate-part.ts';
import type { CellName, GroupName } from '../topology/partials.ts';
import type { CounterWrite, Now } from '../topology/types.ts';
import { Experiment } from './experiment.ts';
import { FleetDecision, FleetTale } from './fleet.ts';
import { KeptExperiments } from './kept.ts';
import { Notices } from './notices.ts';
import { planOf, sameRows } from './plan.ts';
import { Reports } from './reports.ts';
import { Tallier } from './tallier.ts';

export class Integrity implements EvaluatePart {
  readonly section: KeptExperiments;
  readonly fleet: FleetTale;
  readonly experiments: ReadonlyMap<string, Experiment>;
  readonly #settings: SrmSettings;
  readonly #place: PartPlace;
  readonly #tallier: Tallier;
  readonly #notices: Notices;
  readonly #reports: Reports;
  readonly #decision: FleetDecision;
  #rows: RegisteredRows | null = null;
  #owned = false;
  #eventMs = Number.NaN;
  /** Their rows are gone, and since when (monotonic ms), NaN before the first tick. */
  readonly #missing = new Map<Experiment, number>();
  /** Kafka time of the newest record, for what is noticed between two looks. */
  #atMs = 0;

  constructor(place: PartPlace) {
    const { state, alerts, settings } = place;
    this.#place = place;
    this.#settings = settings.srm;
    this.#decision = new FleetDecision(state.fleet, alerts, settings.srm);
    this.section = new KeptExperiments((id) => this.#make(id), this.#decision);
    this.experiments = this.section.experiments;
    this.fleet = new FleetTale(this.experiments, () => this.#eventMs);
    this.#tallier = new Tallier({
      state,
      experimentOf: (id) => this.#experimentOf(id),
      grown: (experiment) => this.section.changed(experiment),
      unfinished: this.section.unfinished,
    });
    this.#notices = new Notices(alerts, settings.srm);
    this.#reports = new Reports(settings.srm);
  }

  get alpha(): number {
    return this.#settings.alpha;
  }

  grew(name: CellName, place: CellPlace, growth: ArrayLike<number>, isPart: boolean): void {
    if (!this.#owned) return; // counted when all is there, once variants have their numbers back
    const experiment = this.#tallier.grew(name, place, growth, isPart);
    if (experiment !== null) this.section.unfinished.await(place.source, experiment);
  }

  sampled({ entity, version, variant }: GroupName, unitId: string): void {
    const experiment = this.experiments.get(entity);
    if (experiment?.plan?.hash == null) return;
    const { mismatch } = experiment;
    experiment.checkUnit(version, variant, unitId);
    if (experiment.mismatch !== mismatch) this.section.changed(experiment);
    else this.section.changedLightly(experiment);
  }

  registered(rows: RegisteredRows): void {
    this.#rows = rows;
    if (!this.#owned) return;
    for (const experiment of this.experiments.values()) this.#register(experiment);
    this.#registerFleet();
  }

  owned(): void {
    if (this.#owned) return;
    this.#owned = true;
    this.#tallier.countAll();
    for (const { stream, watermarkMs, markMs } of this.#place.state.sources.all()) {
      if (stream === 'exposures') this.#hear(watermarkMs);
      if (markMs > this.#atMs) this.#atMs = markMs;
    }
    for (const experiment of this.experiments.values()) {
      experiment.resume();
      this.#tallier.recount(experiment);
      this.#register(experiment);
      this.#notices.resume(experiment);
      this.#reports.add(experiment);
    }
    this.#registerFleet();
  }

  looked({ source, mark, atMs }: Look): void {
    if (atMs > this.#atMs) this.#atMs = atMs;
    if (mark.stream === 'exposures') this.#hear(mark.watermarkMs);
    if (this.#place.partition === 0) this.#decision.looked(atMs);
    for (const experiment of this.section.unfinished.ended(source)) this.#look(experiment, atMs);
  }

  /** Reports for Redis that have changed. */
  writes(now: Now): CounterWrite[] {
    return this.#reports.take(now);
  }

  /** Redis has lost what it had. */
  renew(): void {
    for (const experiment of this.experiments.values()) this.#reports.add(experiment);
  }

  /** The latest event time of exposures, by their watermarks. */
  #hear(watermarkMs: number | null): void {
    if (watermarkMs !== null && !(watermarkMs <= this.#eventMs)) this.#eventMs = watermarkMs;
  }

  #look(experiment: Experiment, atMs: number): void {
    this.#tallier.recount(experiment);
    const before = experiment.remembered();
    const largest = experiment.lnEMax;
    const stepped = experiment.look(this.#eventMs, this.#eventMs + this.#place.maxOutOfOrdernessMs);
    const caughtUp = experiment.lookAtAssignments(this.#eventMs);
    if (stepped || caughtUp || experiment.remembered() !== before) this.section.changed(experiment);
    // Where there may be a leak, the units before its first are to be told.
    else if (experiment.lnEMax !== largest || experiment.mayLeak) this.section.changedLightly(experiment);
    this.#notices.looked(experiment, { stepped: stepped || caughtUp, atMs, eventMs: this.#eventMs });
    this.#reports.add(experiment);
  }

  #make(id: string): Experiment {
    return new Experiment(id, this.#settings, this.#tallier);
  }

  #experimentOf(id: string): Experiment {
    let experiment = this.section.experiments.get(id);
    if (experiment === undefined) {
      experiment = this.#make(id);
      this.section.experiments.set(id, experiment);
      if (this.#owned) this.#register(experiment);
      this.section.changed(experiment);
    }
    return experiment;
  }

  #register(experiment: Experiment): void {
    if (this.#rows === null) return;
    const { experiments, variants, allocations } = this.#rows;
    const { id } = experiment;
    const row = experiments.get(id);
    if (row === undefined) {
      if (experiment.plan !== null && !this.#missing.has(experiment)) this.#missing.set(experiment, Number.NaN);
      return;
    }
    this.#missing.delete(experiment);
    const rows = { row, variants: variants.get(id) ?? NO_ROWS, allocations: allocations.get(id) ?? NO_ROWS };
    if (experiment.rows !== null && sameRows(experiment.rows, rows)) return;
    experiment.rows = rows;
    const plan = planOf(rows);
    if (JSON.stringify(plan) === JSON.stringify(experiment.plan)) return;
    if (experiment.register(plan)) this.#notices.enterPhase(experiment, this.#atMs);
    this.section.changed(experiment);
    this.#reports.add(experiment);
  }

  #registerFleet(): void {
    if (this.#place.partition === 0 && this.#rows !== null) this.#decision.registered(this.#rows.experiments, this.#atMs);
  }

  /** Its row is gone: for good, once it has been away for a while. A row that is deleted and written anew is no news. */
  ticked({ monotonicMs }: Now): void {
    for (const [experiment, sinceMs] of this.#missing) {
      if (Number.isNaN(sinceMs)) this.#missing.set(experiment, monotonicMs);
      else if (monotonicMs - sinceMs >= AWAY_MS) this.#unregister(experiment);
    }
  }

  #unregister(experiment: Experiment): void {
    this.#missing.delete(experiment);
    this.#notices.withdraw(experiment, this.#atMs);
    experiment.unregister();
    this.section.changed(experiment);
    this.#reports.add(experiment);
  }
}

const AWAY_MS = 10_000;
const NO_ROWS: readonly never[] = [];

export const integrity: MakePart = (place) => new Integrity(place);
