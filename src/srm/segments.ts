/** Where: which part of the traffic is split wrongly. */
import { eBenjaminiHochberg } from '../stats/e-bh.ts';
import { lnAdd, lnMean } from '../stats/log-space.ts';
import { TILTS } from '../stats/tilts.ts';
import type { SplitCounts } from './counts.ts';
import type { Experiment } from './experiment.ts';
import { VersionTest } from './experiment-test.ts';

/** Between a dimension and its value in the name of a segment; ids hold no U+0000, and values are cleaned of it. */
export const SEGMENT_MARK = '\u0000';
/** So many of the rejected are asked whether the rest is healthy without them. */
const MAX_ASKED = 8;

export interface Segment {
  dimension: string;
  value: string;
  units: number;
  lnE: number;
  /** Of the units by which all arms differ from what was expected, the share that this segment explains. */
  excessShare: number;
  /** By e-BH over all segments of the experiment. */
  isRejected: boolean;
}

export interface SegmentsFound {
  /** Rejected ones: by evidence, then by what they explain. */
  rejected: Segment[];
  /** The first of them without which the rest is as it should be, or null. */
  culprit: Segment | null;
  /** How many were looked at. */
  tested: number;
}

/** ½ ∏ᵥ DMᵥ + ½ tilts of some counts against the experiment's splits. */
export function lnEvidence(experiment: Experiment, of: (version: number) => readonly number[], versions: Iterable<number>): number {
  let lnProduct = 0;
  const logs = new Float64Array(experiment.hypotheses);
  const shared = new Set<number>();
  for (const version of versions) {
    const shares = experiment.sharesOf(version);
    if (shares === null) continue;
    const test = new VersionTest(shares, of(version));
    lnProduct += test.lnE();
    test.tilted.addLnLikelihood(test.counts, logs);
    for (const arm of test.split.arms) shared.add(arm);
  }
  const chosen = [...shared].flatMap((arm) => [...logs.subarray(arm * TILTS.length, (arm + 1) * TILTS.length)]);
  return lnAdd(lnProduct, lnMean(chosen)) - Math.LN2;
}

/** Tests every segment and ranks what e-BH rejects at `alpha`. */
export function findSegments(experiment: Experiment, alpha: number): SegmentsFound {
  const all = experiment.segments();
  // By name, so that what is equal comes out alike after a restart too.
  const names = [...all.keys()].sort();
  const logs = names.map((name) => lnOf(experiment, all.get(name) as SplitCounts));
  const rejected = eBenjaminiHochberg(logs, alpha);
  if (rejected.length === 0) return { rejected: [], culprit: null, tested: names.length };
  const total = excessOf(experiment, experiment.tallies.exposed);
  const segments = rejected.map((index): Segment & { counts: SplitCounts } => {
    const counts = all.get(names[index]) as SplitCounts;
    const [dimension, value] = names[index].split(SEGMENT_MARK);
    const own = excessOf(experiment, counts);
    const along = own.reduce((sum, excess, arm) => sum + excess * Math.sign(total[arm]), 0);
    const whole = total.reduce((sum, excess) => sum + Math.abs(excess), 0);
    const excessShare = whole === 0 ? 0 : along / whole;
    return { counts, dimension, value, units: counts.units, lnE: logs[index], excessShare, isRejected: true };
  });
  segments.sort((a, b) => b.lnE - a.lnE || b.excessShare - a.excessShare);
  const culprit = segments.slice(0, MAX_ASKED).find(({ counts }) => isHealthyWithout(experiment, counts, alpha));
  const plain = ({ counts: _, ...segment }: Segment & { counts: SplitCounts }): Segment => segment;
  return { rejected: segments.map(plain), culprit: culprit ? plain(culprit) : null, tested: names.length };
}

const lnOf = (experiment: Experiment, counts: SplitCounts): number =>
  lnEvidence(
    experiment,
    (version) => experiment.tested(counts, version),
    counts.versions.map(({ version }) => version),
  );

/** Units more than expected by arm. */
function excessOf(experiment: Experiment, counts: SplitCounts): number[] {
  const excess = experiment.arms.map(() => 0);
  for (const { version } of counts.versions) {
    const shares = experiment.sharesOf(version);
    if (shares === null) continue;
    const tested = experiment.tested(counts, version);
    const units = tested.reduce((sum, count, arm) => sum + (shares[arm] > 0 ? count : 0), 0);
    tested.forEach((count, arm) => {
      if (shares[arm] > 0) excess[arm] += count - units * shares[arm];
    });
  }
  return excess;
}

/**
 * Whether the rest is nearer to its split than chance would have it if all traffic were broken alike: in the arm that
 * differs most, so many standard deviations.
 */
const REST_SIGMA = 2.5;

function explainsRest(experiment: Experiment, all: SplitCounts, segment: SplitCounts): boolean {
  const total = excessOf(experiment, all);
  const arm = total.reduce((most, excess, index) => (Math.abs(excess) > Math.abs(total[most]) ? index : most), 0);
  const variance = varianceOf(experiment, all, arm);
  const varianceOfRest = variance - varianceOf(experiment, segment, arm);
  if (varianceOfRest <= 0) return false;
  const seen = (total[arm] - excessOf(experiment, segment)[arm]) * Math.sign(total[arm]);
  const alike = (Math.abs(total[arm]) * varianceOfRest) / variance;
  return (alike - seen) / Math.sqrt(varianceOfRest) >= REST_SIGMA;
}

/** Of an arm's count, if the split holds. */
const varianceOf = (experiment: Experiment, counts: SplitCounts, arm: number): number =>
  counts.versions.reduce((sum, { version }) => {
    const share = experiment.sharesOf(version)?.[arm] ?? 0;
    return sum + experiment.tested(counts, version).reduce((total, count) => total + count, 0) * share * (1 - share);
  }, 0);

function isHealthyWithout(experiment: Experiment, segment: SplitCounts, alpha: number): boolean {
  const all = experiment.tallies.exposed;
  if (!explainsRest(experiment, all, segment)) return false;
  const rest = (version: number): number[] => {
    const own = experiment.tested(segment, version);
    return experiment.tested(all, version).map((count, arm) => Math.max(0, count - own[arm]));
  };
  const versions = all.versions.map(({ version }) => version);
  return lnEvidence(experiment, rest, versions) < -Math.log(alpha);
}
