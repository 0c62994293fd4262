/** Which stage is broken, since when, where, and what usually causes that: rules over counts, each with its reason in words. */
import { confidenceIntervals, exceedsFloor, type Interval } from '../stats/confidence.ts';
import { lnExcessRate } from '../stats/excess-rate.ts';
import type { Experiment } from './experiment.ts';
import type { Standing } from './experiment-test.ts';
import { findSegments, lnEvidence, type SegmentsFound } from './segments.ts';

export type Stage = 'assignment' | 'exposure' | 'unknown';
export type Cause =
  | 'identity'
  | 'bots'
  | 'client_release'
  | 'late_logs'
  | 'allocation'
  | 'bucketing'
  | 'zero_share'
  | 'exposure_path'
  | 'segment'
  | 'unknown';

export interface ArmFacts {
  variant: string;
  units: number;
  expected: number;
  /** Of all units, and the registry's over all versions. */
  share: number;
  expectedShare: number;
  /** Of the version with most units since the onset, and that version's units then. */
  interval: Interval;
  assigned: number;
  late: number;
  meanLagMs: number | null;
  /** Exposures that say they were assigned after them. */
  assignedAfter: number;
}

export interface Diagnosis {
  arms: ArmFacts[];
  /** The version whose intervals are shown. */
  version: number;
  onset: { units: number; timeMs: number | null } | null;
  /** Whether what came before the onset looks as it should. */
  keepsBefore: boolean;
  exceedsFloor: boolean;
  stage: Stage;
  stageWhy: string;
  segments: SegmentsFound;
  cause: Cause;
  causeWhy: string;
  lnAssignment: number;
  lnExposureRate: number;
}

export interface DiagnosisOptions {
  alpha: number;
  /** Absolute deviation of a share below which nobody is woken. */
  floor: number;
  /** Share of contaminated units that is tolerated. */
  contamination: number;
  /** The condition has ended by itself. */
  recovered: boolean;
  /** What is asked about is the leak, whatever else is wrong. */
  ofLeak?: boolean;
}

/** Evidence of e ≥ 20 is not proof, but enough to say where to look. */
const LN_HINT = Math.log(20);
/** Before an onset so many units are needed for its data to be worth keeping. */
const MIN_KEPT_UNITS = 1000;
/** Of the units that an arm lacks, the share that late records must explain. */
const LATE_SHARE = 0.5;

export function diagnose(experiment: Experiment, options: DiagnosisOptions): Diagnosis {
  const { exposures, assignments, rate } = experiment;
  const segments = findSegments(experiment, options.alpha);
  const onset = onsetOf(experiment, options);
  const { version, intervals, exceeds } = intervalsOf(experiment, onset, options);
  const arms = armFacts(experiment, intervals);
  const [stage, stageWhy] = isAboutLeak(experiment, options) ? stageOfLeak(experiment) : stageOf(experiment, options.alpha);
  const [cause, causeWhy] = causeOf({ experiment, options, onset, arms, stage, segments });
  const shownOnset = onset === null ? null : { units: onset.units, timeMs: Number.isNaN(onset.timeMs) ? null : onset.timeMs };
  return {
    arms,
    version,
    onset: shownOnset,
    keepsBefore: onset !== null && onset.units >= MIN_KEPT_UNITS && lnBefore(experiment, onset) < LN_HINT,
    exceedsFloor: exceeds || exposures.leak !== null,
    stage,
    stageWhy,
    segments,
    cause,
    causeWhy,
    lnAssignment: assignments.lnE,
    lnExposureRate: rate.lnE,
  };
}

/** Of a leak, unless something else is wrong as well and it is that which is asked about. */
const isAboutLeak = ({ exposures: { leak, alarmUnits } }: Experiment, { ofLeak = false }: DiagnosisOptions): boolean =>
  leak !== null && (ofLeak || alarmUnits === null);

function onsetOf(experiment: Experiment, options: DiagnosisOptions): Standing | null {
  const { onset, leak } = experiment.exposures;
  return isAboutLeak(experiment, options) ? (leak?.before ?? null) : onset;
}

const lnBefore = (experiment: Experiment, { counts }: Standing): number =>
  lnEvidence(experiment, (version) => [...(counts.get(version) ?? [])], counts.keys());

/** Of every version, all its units and those since the onset; shown is the one with most of the latter. */
function intervalsOf(experiment: Experiment, onset: Standing | null, { alpha, floor }: DiagnosisOptions) {
  let shown = { version: 1, since: -1, intervals: [] as Interval[] };
  let exceeds = false;
  for (const [version, { counts, shares }] of experiment.exposures.versions) {
    const all = [...counts];
    const before = onset?.counts.get(version);
    const since = all.map((count, arm) => count - (before?.[arm] ?? 0));
    const ofSince = confidenceIntervals(since, shares, alpha);
    exceeds ||= exceedsFloor(ofSince, shares, floor) || exceedsFloor(confidenceIntervals(all, shares, alpha), shares, floor);
    const units = since.reduce((sum, count) => sum + count, 0);
    if (units > shown.since) shown = { version, since: units, intervals: ofSince };
  }
  return { version: shown.version, intervals: shown.intervals, exceeds };
}

function armFacts(experiment: Experiment, intervals: readonly Interval[]): ArmFacts[] {
  const { arms, tallies, timing, exposures } = experiment;
  const expected = arms.map(() => 0);
  for (const { counts, shares, split } of exposures.versions.values()) {
    const units = split.units(counts);
    shares.forEach((share, arm) => {
      expected[arm] += units * share;
    });
  }
  const counted = arms.map((_, arm) => [...exposures.versions.values()].reduce((sum, { counts }) => sum + (counts[arm] ?? 0), 0));
  const units = counted.reduce((sum, count) => sum + count, 0);
  const all = expected.reduce((sum, count) => sum + count, 0);
  return arms.flatMap((variant, arm) =>
    experiment.isRegistered(arm)
      ? [
          {
            variant,
            units: counted[arm],
            expected: expected[arm],
            share: units === 0 ? 0 : counted[arm] / units,
            expectedShare: all === 0 ? 0 : expected[arm] / all,
            interval: intervals[arm] ?? [0, 1],
            assigned: tallies.assigned.ofArm(arm),
            late: tallies.late.ofArm(arm),
            meanLagMs: timing.meanLagMs(arm),
            assignedAfter: timing.backwards[arm] ?? 0,
          },
        ]
      : [],
  );
}

/** Who is in a variant that should get nobody was sent there, by the bucketing or past it; its assignment may be logged later. */
const stageOfLeak = ({ assignments }: Experiment): [Stage, string] =>
  assignments.leak === null
    ? ['assignment', 'a variant that should get nobody was exposed, and no assignment to it is known']
    : ['assignment', 'units are assigned to a variant that should get nobody'];

function stageOf(experiment: Experiment, alpha: number): [Stage, string] {
  const { assignments, rate, tallies, hashChecked, hashMismatched } = experiment;
  const lnAlarm = -Math.log(alpha);
  const assigned = tallies.assigned.units;
  if (hashMismatched > 0)
    return ['assignment', `${hashMismatched} of ${hashChecked} units checked have another variant than their hash gives`];
  if (assigned === 0) return ['unknown', 'no assignments are logged, so bucketing and exposure cannot be told apart'];
  if (assignments.leak !== null || assignments.lnE >= lnAlarm) return ['assignment', 'the assignments themselves are split wrongly'];
  if (rate.lnE >= lnAlarm) return ['exposure', 'units of some variant are exposed less often than others, once assigned'];
  if (assignments.lnE >= LN_HINT && assignments.lnE > rate.lnE)
    return ['assignment', 'the assignments look split wrongly, though not beyond doubt'];
  if (rate.waiting.size > 0) return ['unknown', 'assignments arrive later than exposures, so what they say must wait'];
  return ['exposure', 'the assignments are split as they should be, the exposures are not'];
}

interface Clues {
  experiment: Experiment;
  options: DiagnosisOptions;
  onset: Standing | null;
  arms: readonly ArmFacts[];
  stage: Stage;
  segments: SegmentsFound;
}

/** The first rule that fits. */
function causeOf({ experiment, options, onset, arms, stage, segments }: Clues): [Cause, string] {
  const { exposures } = experiment;
  const { contaminated, units } = experiment.contamination;
  const { culprit } = segments;
  if (exposures.leak !== null)
    return ['zero_share', 'a variant whose share is 0 gets units: its allocation or an override sends them there'];
  if (lnExcessRate(contaminated, units, options.contamination) >= -Math.log(options.alpha))
    return ['identity', `${contaminated} units met more than one variant: they are not recognised from one visit to the next`];
  if (culprit !== null && /bot|crawler|spider/i.test(culprit.dimension))
    return ['bots', `without ${nameOf(culprit)} the split is as it should be: these are not people, and no filter takes them out`];
  if (culprit !== null && /sdk|app|client|version|release|build/i.test(culprit.dimension))
    return ['client_release', `without ${nameOf(culprit)} the split is as it should be: that release assigns or logs differently`];
  const late = lateArm(arms);
  if (late !== null)
    return ['late_logs', `${late.late} exposures of ${late.variant} came too late to be counted, about as many as it lacks`];
  const { correctedAt } = experiment;
  if (correctedAt !== null && correctedAt > 0 && (onset === null || onset.units <= correctedAt))
    return [
      'allocation',
      `the split was changed in place at unit ${correctedAt.toLocaleString('en-US')}, and units assigned by the one before are held against it: a changed split needs a new version`,
    ];
  if (options.recovered) return ['late_logs', 'the split has become right again by itself: the logs of one variant come later'];
  const begun = versionBegunAt(experiment, onset);
  if (begun !== null) return ['allocation', `it began when allocation version ${begun} did: what is served is not what is registered`];
  if (culprit !== null) return ['segment', `without ${nameOf(culprit)} the split is as it should be`];
  if (stage === 'assignment' && (onset === null || onset.units === 0))
    return ['bucketing', 'it has been so from the start, in the assignment: the bucketing or its configuration is wrong'];
  if (stage === 'exposure')
    return ['exposure_path', 'the assignment is right: a redirect, a crash or the logging of one variant loses units after it'];
  if (onset === null || onset.units === 0) return ['bucketing', 'it has been so from the start: bucketing or configuration first'];
  return ['unknown', 'it began while the experiment ran: look for what was released or configured then'];
}

const nameOf = ({ dimension, value }: { dimension: string; value: string }): string => `${dimension} ${value}`;

/** The arm that lacks most, when its late records explain that. */
function lateArm(arms: readonly ArmFacts[]): ArmFacts | null {
  const lacking = arms.reduce<ArmFacts | null>(
    (most, arm) => (arm.expected - arm.units > (most ? most.expected - most.units : 0) ? arm : most),
    null,
  );
  if (lacking === null) return null;
  const others = arms.filter((arm) => arm !== lacking).reduce((sum, { late, units }) => sum + late / Math.max(1, units), 0);
  const own = lacking.late / Math.max(1, lacking.units);
  const lacks = lacking.expected - lacking.units;
  return lacking.late >= lacks * LATE_SHARE && own > 2 * (others / Math.max(1, arms.length - 1)) ? lacking : null;
}

/**
 * A version that had next to no units at the onset, of all there were, and most of those since. Some it may have had: source partitions
 * are not equally far, least of all while catching up.
 */
function versionBegunAt({ exposures }: Experiment, onset: Standing | null): number | null {
  if (onset === null || onset.units === 0 || exposures.versions.size < 2) return null;
  for (const [version, { units }] of exposures.versions) {
    const then = (onset.counts.get(version) ?? []).reduce((sum, count) => sum + count, 0);
    if (then <= onset.units * 0.1 && units - then >= (exposures.units - onset.units) / 2) return version;
  }
  return null;
}
