/** One experiment as evaluate knows it: its counts, its tests, and what has been noticed. No I/O, no clock, no alerts. */
import { TILTS } from '../stats/tilts.ts';
import { addBaseline, type Baseline, takeOff } from './baseline.ts';
import { armOfBucket, bucketOf } from './bucket.ts';
import { addRows, SplitCounts } from './counts.ts';
import { ExperimentTest } from './experiment-test.ts';
import { ExposureRate } from './exposure-rate.ts';
import { ExposureTiming } from './exposure-timing.ts';
import type { ExperimentPlan } from './plan.ts';

/** What is counted of an experiment's units, by version and arm. */
export const TALLIES = ['exposed', 'assigned', 'late'] as const;
export type Tally = (typeof TALLIES)[number];

/** Of the settings, what a test needs. */
export type TestSettings = { alpha: number; stepUnits: number };

/** Counts of an experiment over all phases by segment. */
export type SegmentSource = (experiment: Experiment) => Map<string, SplitCounts>;

/** A unit whose variant is not the one its hash gives. */
export interface Mismatch {
  unitId: string;
  logged: string;
  hashed: string;
}

export class Experiment {
  readonly id: string;
  plan: ExperimentPlan | null = null;
  /** Every variant that is registered or was seen; an index never changes. */
  readonly arms: string[] = [];
  /** Of this phase: what came before its start is taken off. */
  readonly tallies: Record<Tally, SplitCounts> = { exposed: new SplitCounts(), assigned: new SplitCounts(), late: new SplitCounts() };
  /** Where its segments are counted. */
  readonly #segments: SegmentSource;
  readonly timing = new ExposureTiming();
  contaminated = 0;
  exposures: ExperimentTest;
  assignments: ExperimentTest;
  rate = new ExposureRate();
  hashChecked = 0;
  hashMismatched = 0;
  mismatch: Mismatch | null = null;
  /** Units at the look that first saw a second split in force and no unit that knows of it; null otherwise. */
  unversionedFrom: number | null = null;
  /** What phases before this one had counted: to be taken off what the cells say after a restart. */
  baseline: Baseline | null = null;
  readonly #settings: TestSettings;
  readonly #registered: boolean[] = [];
  /** What they were found for. */
  #problems: { plan: ExperimentPlan | null; versions: number; arms: number; texts: string[] } = {
    plan: null,
    versions: 0,
    arms: 0,
    texts: [],
  };

  constructor(id: string, settings: TestSettings, segments: SegmentSource) {
    this.id = id;
    this.#segments = segments;
    this.#settings = settings;
    this.exposures = this.#newTest();
    this.assignments = this.#newTest();
  }

  /** What is tested changes with the registry. True when what was tested before means nothing any more. */
  register(plan: ExperimentPlan): boolean {
    const before = this.plan;
    this.plan = plan;
    for (const name of plan.arms) this.armOf(name);
    this.#markRegistered();
    const isNewPhase = before !== null && before.startedAtMs !== plan.startedAtMs;
    const isCorrected = before !== null && this.#splitsDiffer(before, plan);
    if (isNewPhase) this.#beginPhase();
    if (isNewPhase || isCorrected) this.#restartTests();
    this.#declareAll();
    return isNewPhase || isCorrected;
  }

  /** The index of a variant. */
  armOf(variant: string): number {
    const known = this.arms.indexOf(variant);
    if (known !== -1) return known;
    this.arms.push(variant);
    this.#markRegistered();
    if (this.plan !== null) this.#declareAll();
    return this.arms.length - 1;
  }

  isRegistered(arm: number): boolean {
    return this.#registered[arm];
  }

  grew(tally: Tally, version: number, arm: number, growth: number): void {
    const counts = this.tallies[tally];
    counts.add(version, arm, growth);
    if (tally === 'late' || !this.#registered[arm]) return;
    const test = tally === 'exposed' ? this.exposures : this.assignments;
    const tested = test.versions.get(version);
    if (tested) tested.counts[arm] += growth;
    else this.#declare(test, counts, version);
  }

  /** Counts of this phase by segment, `dimension\0value`; made when asked for. */
  segments(): Map<string, SplitCounts> {
    const counted = this.#segments(this);
    for (const [name, rows] of this.baseline?.segments ?? []) {
      const counts = counted.get(name);
      if (counts) addRows(counts, rows, -1);
    }
    return counted;
  }

  /** One unit whose id is known: does its hash give the variant that was logged? */
  checkUnit(version: number, variant: string, unitId: string): void {
    const { plan } = this;
    if (plan === null || plan.hash === null) return;
    const shares = plan.versions.find((one) => one.version === version)?.shares;
    if (!shares || !plan.arms.includes(variant)) return;
    const hashed = plan.arms[armOfBucket(bucketOf(unitId, this.id, plan.salt), shares)];
    this.hashChecked++;
    if (hashed === undefined || hashed === variant) return;
    this.hashMismatched++;
    this.mismatch ??= { unitId, logged: variant, hashed };
  }

  /** Looks at the exposures, unless all of them claim a version that cannot be theirs. True when an onset step was made. */
  look(timeMs: number): boolean {
    const { exposures, plan } = this;
    if (plan === null) return false;
    if (this.#isUnversioned(plan, timeMs)) {
      this.unversionedFrom ??= this.tallies.exposed.units;
      return false;
    }
    this.unversionedFrom = null;
    const { steps } = exposures.processes;
    exposures.look(timeMs);
    if (exposures.processes.steps === steps) return false;
    this.rate.step(this);
    return true;
  }

  /** True when exposures that waited for these assignments have been compared with them. */
  lookAtAssignments(timeMs: number): boolean {
    if (this.plan === null || this.unversionedFrom !== null) return false;
    this.assignments.look(timeMs);
    return this.rate.catchUp(this);
  }

  /** A registered version gives some arm nothing. */
  get mayLeak(): boolean {
    return this.plan?.versions.some(({ shares }) => shares?.includes(0)) ?? false;
  }

  /** Grows with each thing that a look may find and that has to be kept, steps and running extremes apart. */
  remembered(): number {
    const { exposures, assignments } = this;
    let found = assignments.processes.steps * 64;
    if (exposures.alarmUnits !== null) found += 1;
    if (exposures.leak !== null) found += 2;
    if (assignments.alarmUnits !== null) found += 4;
    if (assignments.leak !== null) found += 8;
    if (this.unversionedFrom !== null) found += 16;
    return found;
  }

  /** What the split of a version is, by arm; null when it has none that can be tested. */
  sharesOf(version: number): number[] | null {
    const planned = this.plan?.versions.find((one) => one.version === version);
    if (!planned?.shares || this.plan === null) return null;
    const { arms } = this.plan;
    return this.arms.map((name) => planned.shares?.[arms.indexOf(name)] ?? 0);
  }

  /** Counts of a version by arm, those of variants that are not registered left out. */
  tested(counts: SplitCounts, version: number): number[] {
    const all = counts.of(version);
    return this.arms.map((_, arm) => (this.#registered[arm] ? (all[arm] ?? 0) : 0));
  }

  /** What contradicts itself, or what was counted, in words; each could not be tested. */
  problems(): readonly string[] {
    const { plan, arms } = this;
    const { versions } = this.tallies.exposed;
    const known = this.#problems;
    if (known.plan === plan && known.versions === versions.length && known.arms === arms.length) return known.texts;
    this.#problems = { plan, versions: versions.length, arms: arms.length, texts: plan === null ? [] : problemsOf(this, plan) };
    return this.#problems.texts;
  }

  /** Hypotheses that an exposure rate has: arms × tilts. */
  get hypotheses(): number {
    return this.arms.length * TILTS.length;
  }

  /** After a restart, when all that the cells hold has been counted again. */
  resume(): void {
    if (this.baseline !== null) takeOff(this, this.baseline);
    this.#markRegistered();
    if (this.plan === null) return;
    this.#declareAll();
    this.exposures.resume();
    this.assignments.resume();
  }

  #isUnversioned({ severalFromMs }: ExperimentPlan, timeMs: number): boolean {
    const { versions } = this.tallies.exposed;
    return severalFromMs !== null && severalFromMs <= timeMs && versions.length === 1 && versions[0].version === 1;
  }

  #markRegistered(): void {
    this.arms.forEach((name, arm) => {
      this.#registered[arm] = this.plan?.arms.includes(name) ?? false;
    });
  }

  #splitsDiffer(before: ExperimentPlan, now: ExperimentPlan): boolean {
    const text = ({ arms, versions }: ExperimentPlan, version: number): string => {
      const shares = versions.find((one) => one.version === version)?.shares ?? null;
      return shares === null ? '' : JSON.stringify(arms.flatMap((arm, i) => (shares[i] > 0 ? [[arm, shares[i]]] : [])).sort());
    };
    return [...this.exposures.versions.keys()].some((version) => text(before, version) !== text(now, version));
  }

  /** What was counted so far belongs to the phase before. */
  #beginPhase(): void {
    this.baseline = addBaseline(this, this.baseline);
    for (const tally of TALLIES) this.tallies[tally].versions.length = 0;
    this.timing.clear();
    Object.assign(this, { contaminated: 0, hashChecked: 0, hashMismatched: 0, mismatch: null, unversionedFrom: null });
  }

  #newTest(): ExperimentTest {
    return new ExperimentTest(this.#settings.alpha, this.#settings.stepUnits);
  }

  #restartTests(): void {
    this.exposures = this.#newTest();
    this.assignments = this.#newTest();
    this.rate = new ExposureRate();
  }

  #declareAll(): void {
    for (const { version } of this.tallies.exposed.versions) this.#declare(this.exposures, this.tallies.exposed, version);
    for (const { version } of this.tallies.assigned.versions) this.#declare(this.assignments, this.tallies.assigned, version);
  }

  /** A test knows a version once it has units, and has room for every arm. */
  #declare(test: ExperimentTest, counts: SplitCounts, version: number): void {
    const shares = this.sharesOf(version);
    if (shares !== null) test.addVersion(version, shares, this.tested(counts, version));
    else test.versions.delete(version);
  }
}

function problemsOf(experiment: Experiment, plan: ExperimentPlan): string[] {
  const { tallies, arms } = experiment;
  const problems: string[] = [];
  for (const { version } of tallies.exposed.versions) {
    const planned = plan.versions.find((one) => one.version === version);
    if (planned === undefined) problems.push(`units say allocation version ${version}, which is not registered`);
    else if (planned.problem !== null) problems.push(planned.problem);
  }
  for (const [arm, variant] of arms.entries()) {
    const units = experiment.isRegistered(arm) ? 0 : tallies.exposed.ofArm(arm);
    if (units > 0) problems.push(`the variant ${variant} has units and is not registered`);
  }
  return problems;
}
