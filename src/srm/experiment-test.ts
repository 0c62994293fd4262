/**
 * Whether the units of one experiment are split as its allocation versions say, looked at as often as one likes. One object
 * is what evaluate keeps of an experiment and what `srm --looks` makes of a file: the same code on the same counts.
 *
 * The verdict is the average of two e-values: the cumulative one, ½ ∏ᵥ DMᵥ + ½ of all tilts (recomputed from the counts at
 * every look), and the onset one, whose deviation may have begun at any step.
 */
import { DirichletMultinomial } from '../stats/dirichlet-multinomial.ts';
import { lnAdd, lnMean } from '../stats/log-space.ts';
import { OnsetProcesses } from '../stats/onset.ts';
import { TILTS, TiltedSplit } from '../stats/tilts.ts';

/** An onset step is due after so many units (a setting), or this share of those at the last step, whichever is more. */
export const STEP_UNITS = 1000;
const STEP_SHARE = 0.005;

/** How an experiment stood after a step: what lies before an onset. */
export interface Standing {
  units: number;
  /** Event time; NaN where looks have none. */
  timeMs: number;
  /** By version, then arm. */
  counts: ReadonlyMap<number, Float64Array>;
}

/** What one allocation version expects and has. */
export class VersionTest {
  readonly shares: readonly number[];
  /** By arm. */
  readonly counts: Float64Array;
  readonly split: DirichletMultinomial;
  readonly tilted: TiltedSplit;
  readonly #looked: Float64Array;
  #lnE = 0;

  constructor(shares: readonly number[], counts: ArrayLike<number> = []) {
    this.shares = shares;
    this.counts = new Float64Array(shares.length);
    this.counts.set(counts);
    this.split = new DirichletMultinomial(shares);
    this.tilted = new TiltedSplit(shares);
    this.#looked = new Float64Array(shares.length);
  }

  /** ln e of this version alone. */
  lnE(): number {
    let changed = false;
    for (let arm = 0; arm < this.counts.length; arm++) {
      if (this.counts[arm] === this.#looked[arm]) continue;
      changed = true;
      this.#looked[arm] = this.counts[arm];
    }
    if (changed) this.#lnE = this.split.lnE(this.counts);
    return this.#lnE;
  }

  get hasLeak(): boolean {
    for (let arm = 0; arm < this.shares.length; arm++) if (this.shares[arm] === 0 && this.counts[arm] > 0) return true;
    return false;
  }

  get units(): number {
    let units = 0;
    for (let arm = 0; arm < this.counts.length; arm++) units += this.counts[arm];
    return units;
  }
}

const START: Standing = { units: 0, timeMs: Number.NaN, counts: new Map() };

export class ExperimentTest {
  readonly versions = new Map<number, VersionTest>();
  /** All arms that any version knows; a version with fewer has no share for the rest. */
  arms = 0;
  looks = 0;
  /** All units at the last look, those of leaks included. */
  units = 0;
  lnCumulative = 0;
  lnOnset = 0;
  /** ln of the average of both: what is alarmed on. */
  lnE = 0;
  /** The largest so far; e^− of it is the running p-value. */
  lnEMax = 0;
  /** Units at the look whose e-value reached 1/alpha; null while none has. */
  alarmUnits: number | null = null;
  /** Where the deviation seems to begin; looked for once the alarm has fired, and never after it. */
  onset: Standing | null = null;
  /** Units at the look that first showed a unit in an arm of share 0, and at the one before; null without one. */
  leak: { units: number; afterUnits: number } | null = null;
  readonly processes = new OnsetProcesses(0);
  /** Standings after the steps that some process began after; of step 0 the start. */
  readonly standings = new Map<number, Standing>();
  /** Standing at the last step. */
  lastStep: Standing = START;
  readonly #lnAlarm: number;
  readonly #stepUnits: number;
  #logs = new Float64Array(0);
  /** Hypotheses of arms that have a share in some version. */
  #inPlay: number[] = [];
  #chosen = new Float64Array(0);

  constructor(alpha: number, stepUnits = STEP_UNITS) {
    this.#lnAlarm = -Math.log(alpha);
    this.#stepUnits = stepUnits;
  }

  /** Declares a version, or its split anew (longer by arms that have no share, or the evidence so far means nothing). */
  addVersion(version: number, shares: readonly number[], counts: ArrayLike<number> = []): VersionTest {
    const added = new VersionTest(shares, counts);
    this.versions.set(version, added);
    this.#arrange();
    return added;
  }

  /** One look at the counts as they stand. `timeMs` is when, for what is said of an onset. */
  look(timeMs = Number.NaN): void {
    this.looks++;
    const before = this.units;
    this.units = 0;
    let lnProduct = 0;
    let leaking = false;
    this.#logs.fill(0);
    for (const version of this.versions.values()) {
      this.units += version.units;
      lnProduct += version.lnE();
      version.tilted.addLnLikelihood(version.counts, this.#logs);
      leaking ||= version.hasLeak;
    }
    this.lnCumulative = lnAdd(lnProduct, lnMean(this.#choose(this.#logs))) - Math.LN2;
    if (this.units - this.lastStep.units >= Math.max(this.#stepUnits, this.lastStep.units * STEP_SHARE)) this.#step(timeMs);
    this.lnE = lnAdd(this.lnCumulative, this.lnOnset) - Math.LN2;
    if (this.lnE > this.lnEMax) this.lnEMax = this.lnE;
    if (leaking) this.leak ??= { units: this.units, afterUnits: before };
    if (this.lnE >= this.#lnAlarm && this.alarmUnits === null) {
      this.alarmUnits = this.units;
      this.#findOnset();
    }
  }

  /** After a restart: what follows from the counts and what was kept, without a look. */
  resume(): void {
    this.#logs.fill(0);
    let lnProduct = 0;
    for (const version of this.versions.values()) {
      lnProduct += version.lnE();
      version.tilted.addLnLikelihood(version.counts, this.#logs);
    }
    this.lnCumulative = lnAdd(lnProduct, lnMean(this.#choose(this.#logs))) - Math.LN2;
    this.lnOnset = this.processes.steps === 0 ? 0 : lnMean(this.#choose(this.#logs, (hypothesis) => this.processes.lnE(hypothesis)));
    this.lnE = lnAdd(this.lnCumulative, this.lnOnset) - Math.LN2;
  }

  /** Arms of share 0 that have units, over all versions. */
  leaks(): number[] {
    const found = new Set<number>();
    for (const { shares, counts } of this.versions.values())
      shares.forEach((share, arm) => {
        if (share === 0 && counts[arm] > 0) found.add(arm);
      });
    return [...found].sort((a, b) => a - b);
  }

  /** The versions as they stand now. */
  standing(timeMs: number): Standing {
    const counts = new Map([...this.versions].map(([version, { counts }]) => [version, counts.slice()]));
    return { units: this.units, timeMs, counts };
  }

  #step(timeMs: number): void {
    const logs = this.#logs;
    logs.fill(0);
    for (const [version, { counts, tilted }] of this.versions) {
      const last = this.lastStep.counts.get(version);
      tilted.addLnLikelihood(last ? counts.map((count, arm) => count - (last[arm] ?? 0)) : counts, logs);
    }
    this.processes.step(logs);
    this.lastStep = this.standing(timeMs);
    this.standings.set(this.processes.steps, this.lastStep);
    this.#forgetStandings();
    this.lnOnset = lnMean(this.#choose(logs, (hypothesis) => this.processes.lnE(hypothesis)));
    if (this.alarmUnits !== null) this.#findOnset();
  }

  /** Where the CUSUM of the winning tilt last stood at 0; what it says of times after the alarm is not looked at. */
  #findOnset(): void {
    let winner = -1;
    for (const hypothesis of this.#inPlay)
      if (winner === -1 || this.processes.lnE(hypothesis) > this.processes.lnE(winner)) winner = hypothesis;
    const onset = winner === -1 ? START : (this.standings.get(this.processes.beganAfter[winner]) ?? START);
    if (this.onset === null || onset.units < (this.alarmUnits ?? 0)) this.onset = onset;
  }

  #forgetStandings(): void {
    const needed = new Set(this.processes.beganAfter);
    for (const step of this.standings.keys()) if (!needed.has(step)) this.standings.delete(step);
  }

  #choose(logs: Float64Array, of: (hypothesis: number) => number = (hypothesis) => logs[hypothesis]): Float64Array {
    for (let i = 0; i < this.#inPlay.length; i++) this.#chosen[i] = of(this.#inPlay[i]);
    return this.#chosen;
  }

  /** Makes room for all arms, and finds which are tested. */
  #arrange(): void {
    for (const { shares } of this.versions.values()) this.arms = Math.max(this.arms, shares.length);
    const hypotheses = this.arms * TILTS.length;
    this.processes.grow(hypotheses);
    this.#logs = new Float64Array(hypotheses);
    this.#inPlay = [];
    for (let arm = 0; arm < this.arms; arm++) {
      if (![...this.versions.values()].some(({ shares }) => shares[arm] > 0)) continue;
      for (let t = 0; t < TILTS.length; t++) this.#inPlay.push(arm * TILTS.length + t);
    }
    this.#chosen = new Float64Array(this.#inPlay.length);
  }
}
