/** One experiment as evaluate knows it: its counts, its tests, and what has been noticed. No I/O, no clock, no alerts. */
import { TILTS } from '../stats/tilts.ts';
import { takeOff } from './baseline.ts';
import { hashedVariant, type Mismatch } from './bucket.ts';
import type { CountSource, Tally, UnitPlace } from './count-source.ts';
import type { SplitCounts } from './counts.ts';
import { ExperimentTest } from './experiment-test.ts';
import { ExposureRate } from './exposure-rate.ts';
import { ExposureTiming } from './exposure-timing.ts';
import { PhaseCounts } from './phase-counts.ts';
import { type ExperimentPlan, isOver, type PlanRows, splitsDiffer, versionOf } from './plan.ts';
import { problemsOf } from './registry-problems.ts';

/** Of the settings, what a test needs. */
export type TestSettings = { alpha: number; stepUnits: number };

export class Experiment {
  readonly id: string;
  plan: ExperimentPlan | null = null;
  /** Every variant that is registered or was seen; an index never changes. */
  readonly arms: string[] = [];
  /** Of the row that was taken out of the registry: what its tests have seen belongs to it, should it come back. */
  lastPlan: ExperimentPlan | null = null;
  /** What the plan was made of, by this owner. */
  rows: PlanRows | null = null;
  readonly counts: PhaseCounts;
  /** Its versions and variants, in order of their groups. */
  readonly places: UnitPlace[] = [];
  /** Of all phases, at the last look. */
  knownUnits = 0;
  /** Grows with what is tested. */
  #arrangement = 0;
  /** Units of a variant that is not registered, or of a version that cannot be tested: how often some were counted. */
  #untested = 0;
  readonly timing = new ExposureTiming();
  contaminated = 0;
  exposures: ExperimentTest;
  #assignments: ExperimentTest | null = null;
  #rate: ExposureRate | null = null;
  hashChecked = 0;
  hashMismatched = 0;
  mismatch: Mismatch | null = null;
  /** Units at the look that first saw a second split in force and no unit that knows of it; null otherwise. */
  unversionedFrom: number | null = null;
  correctedAt: number | null = null; // units when the split of a version was last changed in place, in this phase
  awaited: object | null = null; // the unfinished emission it was listed for last
  readonly #settings: TestSettings;
  readonly #registered: boolean[] = [];
  /** Arms up to the last registered one: what is tested knows no others. */
  #width = 0;
  /** What they were found for. */
  #problems: { plan: ExperimentPlan | null; untested: number; texts: string[] } = { plan: null, untested: -1, texts: [] };

  constructor(id: string, settings: TestSettings, source: CountSource) {
    this.id = id;
    this.counts = new PhaseCounts(this, source);
    this.#settings = settings;
    this.exposures = this.#newTest();
  }

  /** Of what is assigned; made when somebody asks, for many log no assignments. */
  get assignments(): ExperimentTest {
    this.#assignments ??= this.#newTest();
    return this.#assignments;
  }

  get rate(): ExposureRate {
    this.#rate ??= new ExposureRate();
    return this.#rate;
  }

  get assignmentsOrNull(): ExperimentTest | null {
    return this.#assignments;
  }

  /** Some of its assignments can be tested. Not whether the test is there: who asks what it says makes it. */
  get #isAssigned(): boolean {
    return this.#assignments !== null && this.#assignments.versions.size > 0;
  }

  /** The largest evidence so far, of exposures and assignments together: whether it has changed says whether to keep it. */
  get lnEMax(): number {
    return this.exposures.lnEMax + (this.#assignments?.lnEMax ?? 0);
  }

  /** Of this phase: what came before its start is taken off. */
  tally(tally: Tally): SplitCounts {
    return this.counts.tally(tally);
  }

  get tallies(): Readonly<Record<Tally, SplitCounts>> {
    return { exposed: this.tally('exposed'), assigned: this.tally('assigned'), late: this.tally('late') };
  }

  /** What is tested changes with the registry. Whether a new phase has begun. */
  register(plan: ExperimentPlan): boolean {
    const before = this.plan ?? this.lastPlan;
    this.plan = plan;
    this.lastPlan = null;
    for (const name of plan.arms) this.armOf(name);
    this.#markRegistered();
    const isNewPhase = before !== null && before.startedAtMs !== plan.startedAtMs;
    const { exposed, assigned } = this.tallies;
    const isCorrected = before !== null && splitsDiffer(before, plan, [...exposed.versions, ...assigned.versions]);
    if (isNewPhase) this.#beginPhase();
    else if (isCorrected) this.correctedAt = exposed.units;
    if (isNewPhase || isCorrected) this.#restartTests();
    this.#declareAll();
    return isNewPhase;
  }

  /** Its row is gone: it is counted, and not tested. */
  unregister(): void {
    this.lastPlan = this.plan;
    this.plan = null;
    this.rows = null;
    this.#markRegistered();
  }

  /** The index of a variant. */
  armOf(variant: string): number {
    const known = this.arms.indexOf(variant);
    if (known !== -1) return known;
    this.#registered.push(false);
    return this.arms.push(variant) - 1;
  }

  isRegistered(arm: number): boolean {
    return this.#registered[arm];
  }

  /** What is counted of a version and variant by now, over all phases, goes into its tests; before a look. */
  counted(tally: 'exposed' | 'assigned', place: UnitPlace, units: number): void {
    if (place.arrangement !== this.#arrangement) this.#arrange(place);
    const tested = place[tally];
    if (tested !== null) tested.counts[place.arm] = units - this.counts.before(tally, place.version, place.arm);
    else if (this.#registered[place.arm] && this.sharesOf(place.version) !== null)
      this.#declare(tally === 'exposed' ? this.exposures : this.assignments, this.tally(tally), place.version);
    else if (tally === 'exposed') this.#untested++;
  }

  /** Counts of this phase by segment, `dimension\0value`; made when asked for. */
  segments(): Map<string, SplitCounts> {
    return this.counts.segments();
  }

  /** One unit whose id is known: does its hash give the variant that was logged? */
  checkUnit(version: number, variant: string, unitId: string): void {
    const hashed = this.plan === null ? null : hashedVariant(this.plan, { experimentId: this.id, version, variant, unitId });
    if (hashed === null) return;
    this.hashChecked++;
    if (hashed === variant) return;
    this.hashMismatched++;
    this.mismatch ??= { unitId, logged: variant, hashed };
  }

  /**
   * Looks at the exposures, unless all claim a version that cannot be theirs. True when an onset step was made.
   * @param latestMs the latest event there may be; `timeMs` is as far as event time is known to be
   */
  look(timeMs: number, latestMs = timeMs): boolean {
    const { exposures, plan } = this;
    if (plan === null || isOver(plan, timeMs)) return false;
    if (plan.severalFromMs !== null && plan.severalFromMs <= latestMs && this.#isUnversioned()) {
      this.unversionedFrom ??= this.tallies.exposed.units;
      return false;
    }
    this.unversionedFrom = null;
    const { steps } = exposures.processes;
    exposures.look(timeMs);
    if (exposures.processes.steps === steps) return false;
    if (this.#isAssigned) this.rate.step(this);
    return true;
  }

  /** True when exposures that waited for these assignments have been compared with them. */
  lookAtAssignments(timeMs: number): boolean {
    const { plan } = this;
    if (!this.#isAssigned || plan === null || this.unversionedFrom !== null || isOver(plan, timeMs)) return false;
    this.assignments.look(timeMs);
    return this.rate.catchUp(this);
  }

  /** Units that met another variant in this phase, of all that are known: those first counted in a phase before come back too. */
  get contamination(): { contaminated: number; units: number } {
    return { contaminated: this.contaminated, units: Math.max(this.contaminated, this.knownUnits) };
  }

  get isAlarmed(): boolean {
    return this.exposures.alarmUnits !== null || this.exposures.leak !== null;
  }

  /** Some arm of a version gets nothing. */
  get mayLeak(): boolean {
    return this.exposures.mayLeak;
  }

  /** Grows with each thing that a look may find and that has to be kept, steps and running extremes apart. */
  remembered(): number {
    const { exposures } = this;
    const assignments = this.#assignments;
    let found = exposures.alarmUnits === null ? 0 : 1;
    if (exposures.leak !== null) found += 2;
    if (this.unversionedFrom !== null) found += 4;
    if (assignments === null) return found;
    if (assignments.alarmUnits !== null) found += 8;
    if (assignments.leak !== null) found += 16;
    return found + assignments.processes.steps * 32;
  }

  /** What the split of a version is, by tested arm; null when it has none that can be tested. */
  sharesOf(version: number): number[] | null {
    const planned = this.plan === null ? undefined : versionOf(this.plan, version);
    if (!planned?.shares || this.plan === null) return null;
    const { arms } = this.plan;
    return this.arms.slice(0, this.#width).map((name) => planned.shares?.[arms.indexOf(name)] ?? 0);
  }

  /** Counts of a version by tested arm, those of variants that are not registered left out. */
  tested(counts: SplitCounts, version: number): number[] {
    const all = counts.of(version);
    return Array.from({ length: this.#width }, (_, arm) => (this.#registered[arm] ? (all[arm] ?? 0) : 0));
  }

  /** What contradicts itself, or what was counted, in words; each could not be tested. The same list while it says the same. */
  problems(): readonly string[] {
    const { plan } = this;
    const untested = this.#untested;
    if (this.#problems.plan !== plan || this.#problems.untested !== untested) {
      const texts = plan === null ? [] : problemsOf(this, plan);
      const isSame = texts.join() === this.#problems.texts.join();
      this.#problems = { plan, untested, texts: isSame ? this.#problems.texts : texts };
    }
    return this.#problems.texts;
  }

  get hypotheses(): number {
    return this.#width * TILTS.length;
  }

  /** After a restart, when all that the cells hold has been counted again. */
  resume(): void {
    const { baseline } = this.counts;
    if (baseline !== null) takeOff(this, baseline);
    this.#markRegistered();
    if (this.plan !== null) this.#declareAll();
    if (this.plan !== null) for (const test of [this.exposures, this.#assignments]) test?.resume();
  }

  #isUnversioned(): boolean {
    const { versions } = this.tally('exposed');
    return versions.length === 1 && versions[0].version === 1;
  }

  /** Finds what the units of a place are counted in. */
  #arrange(place: UnitPlace): void {
    const isRegistered = this.#registered[place.arm];
    place.exposed = isRegistered ? (this.exposures.versions.get(place.version) ?? null) : null;
    place.assigned = isRegistered ? (this.#assignments?.versions.get(place.version) ?? null) : null;
    place.arrangement = this.#arrangement;
  }

  #markRegistered(): void {
    this.arms.forEach((name, arm) => {
      this.#registered[arm] = this.plan?.arms.includes(name) ?? false;
    });
    this.#width = this.#registered.lastIndexOf(true) + 1;
  }

  /** What was counted so far belongs to the phase before. */
  #beginPhase(): void {
    this.counts.begin();
    this.timing.clear();
    Object.assign(this, { contaminated: 0, hashChecked: 0, hashMismatched: 0, mismatch: null, unversionedFrom: null, correctedAt: null });
  }

  #newTest(): ExperimentTest {
    return new ExperimentTest(this.#settings.alpha, this.#settings.stepUnits);
  }

  #restartTests(): void {
    this.exposures = this.#newTest();
    this.#assignments = null;
    this.#rate = null;
  }

  #declareAll(): void {
    const { exposed, assigned } = this.tallies;
    for (const { version } of exposed.versions) this.#declare(this.exposures, exposed, version);
    for (const { version } of assigned.versions) this.#declare(this.assignments, assigned, version);
  }

  /** A test knows a version once it has units, and has room for every arm. */
  #declare(test: ExperimentTest, counts: SplitCounts, version: number): void {
    const shares = this.sharesOf(version);
    if (shares !== null) test.addVersion(version, shares, this.tested(counts, version));
    else test.removeVersion(version);
    this.#arrangement++;
  }
}
