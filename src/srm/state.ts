/** What is kept of an experiment besides its counts, which the cells hold. */
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import type { Baseline } from './baseline.ts';
import type { Experiment } from './experiment.ts';
import { ExperimentTest, type Standing } from './experiment-test.ts';
import { ExposureRate } from './exposure-rate.ts';

/** Fields that are small and plain go as text. */
interface Plain {
  plan: Experiment['plan'];
  arms: readonly string[];
  baseline: Baseline | null;
  mismatch: Experiment['mismatch'];
  unversionedFrom: number | null;
  /** Of the exposures and of the assignments. States of older programs do not have these. */
  lnOnset?: [number, number];
  lastPlan?: Experiment['lastPlan'];
  isAssigned?: boolean;
  correctedAt?: number;
  /** Counts before the leak of each, where there is one. */
  beforeLeak?: VersionCounts[];
}

const NO_ALPHA = 0.5;
const NO_TEST = new ExperimentTest(NO_ALPHA);
const NO_RATE = new ExposureRate();

type VersionCounts = [version: number, counts: readonly number[]][];

const countsBefore = ({ leak }: ExperimentTest): VersionCounts => [...(leak?.before.counts ?? [])];

function setCountsBefore({ leak }: ExperimentTest, counts: VersionCounts = []): void {
  if (leak !== null) leak.before = { ...leak.before, counts: new Map(counts) };
}

export function writeExperiment(out: ByteWriter, experiment: Experiment): void {
  const { plan, lastPlan, arms, mismatch, unversionedFrom, exposures, assignmentsOrNull } = experiment;
  const assignments = assignmentsOrNull ?? NO_TEST;
  const rate = assignmentsOrNull === null ? NO_RATE : experiment.rate;
  const lnOnset: [number, number] = [exposures.lnOnset, assignments.lnOnset];
  const { baseline } = experiment.counts;
  const plain: Plain = { plan, arms, baseline, mismatch, unversionedFrom };
  // Only what there is: most experiments have none of it.
  if (lastPlan !== null) plain.lastPlan = lastPlan;
  if (experiment.correctedAt !== null) plain.correctedAt = experiment.correctedAt;
  if (assignmentsOrNull === null) plain.isAssigned = false;
  if (lnOnset.some((lnE) => lnE !== 0)) plain.lnOnset = lnOnset;
  const leaks = [exposures, assignments].map(countsBefore);
  if (leaks.some(({ length }) => length > 0)) plain.beforeLeak = leaks;
  out.string(JSON.stringify(plain, infinite));
  out.varint(experiment.hashChecked);
  out.varint(experiment.hashMismatched);
  writeTest(out, exposures);
  writeTest(out, assignments);
  writeNumbers(out, rate.logs);
  writeCounts(out, rate.exposed);
  writeCounts(out, rate.waiting);
}

/** Into a new one. */
export function readExperiment(from: ByteReader, experiment: Experiment): Experiment {
  const {
    arms,
    baseline,
    lnOnset = [Number.NaN, Number.NaN],
    beforeLeak,
    isAssigned = true,
    ...plain
  } = JSON.parse(from.string(), finite) as Plain;
  Object.assign(experiment, plain);
  experiment.counts.baseline = baseline;
  experiment.arms.push(...arms);
  experiment.hashChecked = from.varint();
  experiment.hashMismatched = from.varint();
  const { exposures } = experiment;
  // Most experiments log no assignments: then what was written of them is nothing, and nothing is made of it.
  const assignments = isAssigned ? experiment.assignments : new ExperimentTest(NO_ALPHA);
  const rate = isAssigned ? experiment.rate : new ExposureRate();
  readTest(from, exposures);
  readTest(from, assignments);
  [exposures.lnOnset, assignments.lnOnset] = lnOnset;
  setCountsBefore(exposures, beforeLeak?.[0]);
  setCountsBefore(assignments, beforeLeak?.[1]);
  rate.logs = readNumbers(from);
  for (const [version, counts] of readCounts(from)) rate.exposed.set(version, counts);
  for (const [version, counts] of readCounts(from)) rate.waiting.set(version, counts);
  return experiment;
}

function writeTest(out: ByteWriter, test: ExperimentTest): void {
  out.varint(test.units);
  out.f64(test.lnEMax);
  out.f64(test.alarmUnits ?? Number.NaN);
  out.f64(test.leak?.units ?? Number.NaN);
  out.f64(test.leak?.before.units ?? Number.NaN);
  const { processes } = test;
  out.varint(processes.steps);
  for (const numbers of [processes.lnA, processes.cusum, processes.beganAfter]) writeNumbers(out, numbers);
  writeStanding(out, test.lastStep);
  out.varint(test.standings.size);
  for (const [step, standing] of test.standings) {
    out.varint(step);
    writeStanding(out, standing);
  }
  out.u8(test.onset === null ? 0 : 1);
  if (test.onset !== null) writeStanding(out, test.onset);
}

function readTest(from: ByteReader, test: ExperimentTest): void {
  test.units = from.varint();
  test.lnEMax = from.f64();
  test.alarmUnits = numberOrNull(from.f64());
  const [units, unitsBefore] = [from.f64(), from.f64()];
  test.leak = Number.isNaN(units) ? null : { units, before: { units: unitsBefore, timeMs: Number.NaN, counts: new Map() } };
  const { processes } = test;
  processes.steps = from.varint();
  processes.lnA = readNumbers(from);
  processes.cusum = readNumbers(from);
  processes.beganAfter = readNumbers(from);
  test.lastStep = readStanding(from);
  for (let left = from.varint(); left > 0; left--) test.standings.set(from.varint(), readStanding(from));
  if (from.u8() === 1) test.onset = readStanding(from);
}

const numberOrNull = (value: number): number | null => (Number.isNaN(value) ? null : value);

function writeStanding(out: ByteWriter, { units, timeMs, counts }: Standing): void {
  out.varint(units);
  out.f64(timeMs);
  writeCounts(out, counts);
}

const readStanding = (from: ByteReader): Standing => ({ units: from.varint(), timeMs: from.f64(), counts: readCounts(from) });

function writeCounts(out: ByteWriter, counts: ReadonlyMap<number, ArrayLike<number> & Iterable<number>>): void {
  out.varint(counts.size);
  for (const [version, arms] of counts) {
    out.varint(version);
    out.varint(arms.length);
    for (const count of arms) out.varint(count);
  }
}

function readCounts(from: ByteReader): Map<number, number[]> {
  const counts = new Map<number, number[]>();
  for (let left = from.varint(); left > 0; left--) {
    const version = from.varint();
    counts.set(
      version,
      Array.from({ length: from.varint() }, () => from.varint()),
    );
  }
  return counts;
}

function writeNumbers(out: ByteWriter, numbers: Float64Array): void {
  out.varint(numbers.length);
  for (const number of numbers) out.f64(number);
}

const readNumbers = (from: ByteReader): Float64Array => Float64Array.from({ length: from.varint() }, () => from.f64());

/** JSON knows no infinity: bounds that are open are written as text. */
const infinite = (_name: string, value: unknown): unknown =>
  value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY ? { infinite: Math.sign(value) } : value;
const finite = (_name: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'infinite' in value ? (value.infinite as number) * Number.POSITIVE_INFINITY : value;
