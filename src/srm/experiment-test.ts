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
  counts: ReadonlyMap<number, readonly number[]>;
}

/** What a split is tested with. Most experiments have the same few, and share them. */
interface Split {
  shares: readonly number[];
  split: DirichletMultinomial;
  tilted: TiltedSplit;
  /** Some arm gets nothing. */
  mayLeak: boolean;
}

const splits = new Map<string, Split>();
const MAX_SPLITS = 10_000;

function splitOf(shares: readonly number[]): Split {
  const name = shares.join();
  let known = splits.get(name);
  if (known === undefined) {
    known = { shares: [...shares], split: new DirichletMultinomial(shares), tilted: new TiltedSplit(shares), mayLeak: shares.includes(0) };
    if (splits.size >= MAX_SPLITS) splits.clear();
    splits.set(name, known);
  }
  return known;
}

/** What one allocation version expects and has. */
export class VersionTest {
  /** By arm; they only grow. */
  readonly counts: number[];
  readonly #expects: Split;
  #lookedUnits = 0;
  #lnE = 0;

  constructor(shares: readonly number[], counts: ArrayLike<number> = []) {
    this.#expects = splitOf(shares);
    this.counts = shares.map((_, arm) => counts[arm] ?? 0);
  }

  get shares(): readonly number[] {
    return this.#expects.shares;
  }

  get split(): DirichletMultinomial {
    return this.#expects.split;
  }

  get tilted(): TiltedSplit {
    return this.#expects.tilted;
  }

  /** ln e of this version alone. */
  lnE(units = this.units): number {
    if (units !== this.#lookedUnits) {
      this.#lookedUnits = units;
      this.#lnE = this.split.lnE(this.counts);
    }
    return this.#lnE;
  }

  get hasLeak(): boolean {
    const { shares, mayLeak } = this.#expects;
    if (!mayLeak) return false;
    for (let arm = 0; arm < shares.length; arm++) if (shares[arm] === 0 && this.counts[arm] > 0) return true;
    return false;
  }

  get units(): number {
    let units = 0;
    for (let arm = 0; arm < this.counts.length; arm++) units += this.counts[arm];
    return units;
  }
}

/** Of one look; used again by the next, whoever's it is. */
let scratch = new Float64Array(8 * TILTS.length);

function scratchOf(hypotheses: number): Float64Array {
  if (scratch.length < hypotheses) scratch = new Float64Array(2 * hypotheses);
  else scratch.fill(0, 0, hypotheses);
  return scratch;
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
  /** Units at the look that first showed a unit in an arm of share 0, and at the one before, with the counts that were found; null without one. */
  leak: { units: number; before: Standing } | null = null;
  readonly processes = new OnsetProcesses(0);
  /** Standings after the steps that some process began after; of step 0 the start. */
  readonly standings = new Map<number, Standing>();
  /** Standing at the last step. */
  lastStep: Standing = START;
  readonly #lnAlarm: number;
  readonly #stepUnits: number;
  /** Numbers of the versions in ascending order, and their tests: sums must not depend on what came first. */
  #numbers: number[] = [];
  #list: VersionTest[] = [];
  /** Arms that have a share in some version. */
  #inPlay: number[] = [];
  #mayLeak = false;

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

  removeVersion(version: number): void {
    if (this.versions.delete(version)) this.#arrange();
  }

  /** Some arm of a version gets nothing. */
  get mayLeak(): boolean {
    return this.#mayLeak;
  }

  /** One look at the counts as they stand. `timeMs` is when, for what is said of an onset. */
  look(timeMs = Number.NaN): void {
    this.looks++;
    const unitsBefore = this.units;
    this.#count();
    if (this.units - this.lastStep.units >= Math.max(this.#stepUnits, this.lastStep.units * STEP_SHARE)) this.#step(timeMs);
    this.lnE = lnAdd(this.lnCumulative, this.lnOnset) - Math.LN2;
    if (this.lnE > this.lnEMax) this.lnEMax = this.lnE;
    if (this.#mayLeak && this.leak === null && this.#isLeaking())
      this.leak = { units: this.units, before: { ...this.standing(Number.NaN), units: unitsBefore } };
    if (this.lnE >= this.#lnAlarm && this.alarmUnits === null) {
      this.alarmUnits = this.units;
      this.#findOnset();
    }
  }

  /** After a restart: what follows from the counts and what was kept, without a look. */
  resume(): void {
    const { units } = this;
    this.#count();
    // Of the last look; there may be more by now.
    this.units = units;
    if (Number.isNaN(this.lnOnset)) this.lnOnset = this.#lnOnsetOf(this.processes);
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

  /** The cumulative e-value, and the units. */
  #count(): void {
    const logs = scratchOf(this.arms * TILTS.length);
    let units = 0;
    let lnProduct = 0;
    for (let i = 0; i < this.#list.length; i++) {
      const version = this.#list[i];
      const own = version.units;
      units += own;
      lnProduct += version.lnE(own);
      version.tilted.addLnLikelihood(version.counts, logs);
    }
    this.units = units;
    this.lnCumulative = lnAdd(lnProduct, this.#meanInPlay(logs)) - Math.LN2;
  }

  #isLeaking(): boolean {
    for (let i = 0; i < this.#list.length; i++) if (this.#list[i].hasLeak) return true;
    return false;
  }

  #step(timeMs: number): void {
    const { processes } = this;
    const hypotheses = Math.max(this.arms * TILTS.length, processes.lnA.length);
    const logs = scratchOf(hypotheses);
    for (const [i, { counts, tilted }] of this.#list.entries()) {
      const last = this.lastStep.counts.get(this.#numbers[i]);
      tilted.addLnLikelihood(last ? counts.map((count, arm) => count - (last[arm] ?? 0)) : counts, logs);
    }
    // Made when it is needed first: most experiments have fewer units than a step.
    processes.grow(hypotheses);
    processes.step(logs);
    this.lastStep = this.standing(timeMs);
    this.standings.set(processes.steps, this.lastStep);
    this.#forgetStandings();
    this.lnOnset = this.#lnOnsetOf(processes);
    if (this.alarmUnits !== null) this.#findOnset();
  }

  /** Where the CUSUM of the winning tilt last stood at 0; what it says of times after the alarm is not looked at. */
  #findOnset(): void {
    const { processes } = this;
    let winner = -1;
    for (const arm of processes.steps === 0 ? [] : this.#inPlay)
      for (let hypothesis = arm * TILTS.length; hypothesis < (arm + 1) * TILTS.length; hypothesis++)
        if (winner === -1 || processes.lnE(hypothesis) > processes.lnE(winner)) winner = hypothesis;
    const onset = winner === -1 ? START : (this.standings.get(processes.beganAfter[winner]) ?? START);
    if (this.onset === null || onset.units < (this.alarmUnits ?? 0)) this.onset = onset;
  }

  #forgetStandings(): void {
    const needed = new Set(this.processes.beganAfter);
    for (const step of this.standings.keys()) if (!needed.has(step)) this.standings.delete(step);
  }

  #lnOnsetOf(processes: OnsetProcesses): number {
    if (processes.steps === 0) return 0;
    const logs = scratchOf(this.arms * TILTS.length);
    for (let hypothesis = 0; hypothesis < processes.lnA.length; hypothesis++) logs[hypothesis] = processes.lnE(hypothesis);
    return this.#meanInPlay(logs);
  }

  /** The mixture over tilts of arms that are in play; moves them to the front. */
  #meanInPlay(logs: Float64Array): number {
    const arms = this.#inPlay;
    for (let i = 0; i < arms.length; i++)
      if (arms[i] !== i) logs.copyWithin(i * TILTS.length, arms[i] * TILTS.length, (arms[i] + 1) * TILTS.length);
    return lnMean(logs, arms.length * TILTS.length);
  }

  /** Makes room for all arms, and finds which are tested. */
  #arrange(): void {
    this.#numbers = [...this.versions.keys()].sort((a, b) => a - b);
    this.#list = this.#numbers.map((version) => this.versions.get(version) as VersionTest);
    this.#mayLeak = this.#list.some(({ shares }) => shares.includes(0));
    for (const { shares } of this.#list) this.arms = Math.max(this.arms, shares.length);
    if (this.processes.steps > 0) this.processes.grow(this.arms * TILTS.length);
    this.#inPlay = [];
    for (let arm = 0; arm < this.arms; arm++) if (this.#list.some(({ shares }) => shares[arm] > 0)) this.#inPlay.push(arm);
  }
}
