/** What alerts about experiments say. */
import { type AlertDraft, type Json, PAUSES } from '../alerts/types.ts';
import { chiSquared } from '../stats/chi-squared.ts';
import { pValueOf } from '../stats/dirichlet-multinomial.ts';
import type { Cause, Diagnosis } from './diagnosis.ts';
import type { Experiment } from './experiment.ts';
import type { Segment } from './segments.ts';
import { grouped, percent, probability, timesText } from './words.ts';

type Kind = Extract<AlertDraft['kind'], `srm${string}` | 'contamination' | 'hash_mismatch' | 'experiment_registry' | 'unversioned'>;
const MAX_SEGMENTS = 5;

/** What to do next, by what it seems to be. */
const NEXT_STEPS: Record<Cause, string> = {
  identity: 'Find where the identifier of a unit changes (login, cookies, a second device); assign by one that stays.',
  bots: 'Filter these units in assignment and exposure alike, then restart the experiment.',
  client_release: 'Compare how that release assigns and logs with the one before; hold it back or leave it out.',
  late_logs: 'Look at the pipeline that brings these logs; read no results before they are complete.',
  allocation: 'Compare what is served with the registered allocation version; a changed split needs a new version number.',
  bucketing: 'Check salt, hash and ranges of the bucketing against the registry; restart under a new salt.',
  zero_share: 'Find who is sent to that variant (override, stale configuration, hard-coded id) and take it out.',
  exposure_path: 'Follow one unit of each variant from assignment to its exposure log: redirects, crashes and blocked requests first.',
  segment: 'Look at what is special about that part of the traffic; results without it can be read.',
  unknown: 'Look at what was released or configured at the onset; until it is found, read no results.',
};

/** An experiment has a phase for each time it was started. */
export const phaseOf = (startedAtMs: number | null): string =>
  startedAtMs === null || !Number.isFinite(startedAtMs) ? '' : new Date(startedAtMs).toISOString();

const base = (experiment: Experiment, kind: Kind): Pick<AlertDraft, 'kind' | 'subject' | 'phase' | 'owner'> => ({
  kind,
  subject: { kind: 'experiment', id: experiment.id },
  phase: phaseOf(experiment.plan?.startedAtMs ?? null),
  owner: experiment.plan?.owner ?? '',
});

export function srmDraft(experiment: Experiment, diagnosis: Diagnosis): AlertDraft {
  const { exposures, id } = experiment;
  const { arms, culprit, onset } = { ...diagnosis, culprit: diagnosis.segments.culprit };
  const worst = worstOf(arms);
  const where = culprit === null ? '' : ` in ${culprit.dimension} ${culprit.value}`;
  const lacks = worst.units < worst.expected ? 'too few' : 'too many';
  const sinceText =
    onset === null || onset.units === 0 ? 'from the start' : `since about unit ${grouped(onset.units)}${whenText(onset.timeMs)}`;
  return {
    ...base(experiment, 'srm'),
    // Units of a split that was there before are nothing to be woken for.
    severity: diagnosis.exceedsFloor && experiment.correctedAt === null ? 'page' : 'ticket',
    summary: `${id}: ${worst.variant} gets ${lacks} units${where}, ${sinceText}`,
    description: [
      `${armsText(diagnosis)} Such counts are ${timesText(exposures.lnEMax)} times likelier under another split than under the registered one (p = ${probability(pValueOf(exposures.lnEMax))}, however often looked at).`,
      `It ${onset === null || onset.units === 0 ? 'has been so from the start' : `began at about unit ${grouped(onset.units)}${whenText(onset.timeMs)}`}; it was certain at unit ${grouped(exposures.alarmUnits ?? exposures.units)}.`,
      `Stage: ${diagnosis.stage}, because ${diagnosis.stageWhy}.`,
      timingText(diagnosis),
      segmentsText(diagnosis),
      `Likely cause: ${CAUSE_NAMES[diagnosis.cause]}: ${diagnosis.causeWhy}.`,
      keptText(diagnosis),
    ]
      .filter((text) => text !== '')
      .join(' '),
    nextStep: NEXT_STEPS[diagnosis.cause],
    facts: factsOf(experiment, diagnosis),
  };
}

export function leakDraft(experiment: Experiment, diagnosis: Diagnosis): AlertDraft {
  const names = experiment.exposures.leaks().map((arm) => experiment.arms[arm]);
  return {
    ...base(experiment, 'srm_leak'),
    severity: 'page',
    summary: `${experiment.id}: ${names.join(', ')} should get nobody and gets units`,
    description: `The registered share of ${names.join(', ')} is 0, yet units were exposed to it. ${armsText(diagnosis)} ${keptText(diagnosis)}`,
    nextStep: NEXT_STEPS.zero_share,
    facts: { ...factsOf(experiment, diagnosis), leaking: names },
  };
}

/** The same for an alert that pauses its experiment: whoever writes it to Postgres does that. */
export const pausingDraft = (draft: AlertDraft): AlertDraft => ({
  ...draft,
  nextStep: `The experiment is paused with this alert, until somebody sets its status. ${draft.nextStep}`,
  facts: { ...draft.facts, [PAUSES]: true },
});

export function segmentDraft(experiment: Experiment, { rejected, culprit, tested }: Diagnosis['segments']): AlertDraft {
  const [worst] = culprit === null ? rejected : [culprit];
  return {
    ...base(experiment, 'srm_segment'),
    severity: 'ticket',
    summary: `${experiment.id}: the split is broken in ${worst.dimension} ${worst.value}`,
    description: `Among ${grouped(worst.units)} units with ${worst.dimension} ${worst.value} the split is not the registered one (p = ${probability(pValueOf(worst.lnE))}, ${tested} segments looked at). The experiment as a whole does not show it${experiment.exposures.alarmUnits === null ? ' yet' : ' alone'}.`,
    nextStep: NEXT_STEPS.segment,
    facts: { segments: rejected.slice(0, MAX_SEGMENTS).map(segmentFacts) },
  };
}

export function contaminationDraft(experiment: Experiment, tolerated: number): AlertDraft {
  const { contaminated, units } = experiment.contamination;
  return {
    ...base(experiment, 'contamination'),
    severity: 'ticket',
    summary: `${experiment.id}: ${percent(contaminated / Math.max(1, units))} of its units met more than one variant`,
    description: `${grouped(contaminated)} of the ${grouped(units)} units known were exposed to another variant than their first one; tolerated are ${percent(tolerated)}. Effects are diluted, and the split itself may be biased.`,
    nextStep: NEXT_STEPS.identity,
    facts: { contaminated, units, tolerated, stage: 'assignment', culprit: null, cause: 'identity' },
  };
}

export function mismatchDraft(experiment: Experiment): AlertDraft {
  const { hashChecked, hashMismatched, mismatch } = experiment;
  return {
    ...base(experiment, 'hash_mismatch'),
    severity: 'ticket',
    summary: `${experiment.id}: units have another variant than their hash gives`,
    description: `${grouped(hashMismatched)} of ${grouped(hashChecked)} units checked are in another variant than the registered hash and shares give${mismatch === null ? '' : `; the first, ${mismatch.unitId}, was in ${mismatch.logged} and belongs in ${mismatch.hashed}`}. A correct bucketing has none.`,
    nextStep: NEXT_STEPS.bucketing,
    facts: { checked: hashChecked, mismatched: hashMismatched, example: mismatch === null ? null : { ...mismatch } },
  };
}

export function registryDraft(experiment: Experiment, problems: readonly string[]): AlertDraft {
  return {
    ...base(experiment, 'experiment_registry'),
    severity: 'ticket',
    summary: `${experiment.id}: the registry does not fit what is counted`,
    description: `${problems.map((problem) => `${problem[0].toUpperCase()}${problem.slice(1)}.`).join(' ')} What it concerns is counted and shown, and not tested.`,
    nextStep: 'Correct the rows of experiment, variant and allocation; they are read every 2 s.',
    facts: { problems },
  };
}

export function unversionedDraft(experiment: Experiment): AlertDraft {
  const versions = experiment.plan?.versions.map(({ version }) => version) ?? [];
  return {
    ...base(experiment, 'unversioned'),
    severity: 'ticket',
    summary: `${experiment.id}: exposures do not say under which split their units were assigned`,
    description: `Several splits are registered (versions ${versions.join(', ')}), and every unit says version 1. Which of them it should follow cannot be known, so the split is not tested.`,
    nextStep: 'Stamp allocation_version on exposures and assignments when the unit is assigned.',
    facts: { versions, units: experiment.tally('exposed').units },
  };
}

export interface Suspect {
  id: string;
  owner: string;
  phase: string;
  lnE: number;
  /** It has an alert of its own. */
  isAlarmed: boolean;
}

/** @param fleetAlpha of those named, the share that may be healthy */
export function fleetDraft(experiment: Suspect, running: number, fleetAlpha: number): AlertDraft {
  return {
    kind: 'srm_fleet',
    subject: { kind: 'experiment', id: experiment.id },
    phase: experiment.phase,
    owner: experiment.owner,
    severity: 'ticket',
    summary: `${experiment.id}: its split is suspicious among all ${grouped(running)} experiments`,
    description: `Its counts are ${timesText(experiment.lnE)} times likelier under another split than under the registered one. Of experiments named like this at most ${percent(fleetAlpha)} are healthy.`,
    nextStep: 'Look at it before reading its results; `exposure-stream srm --experiment` shows what is known.',
    facts: { log_e: experiment.lnE, running },
  };
}

/** The arm that differs most; of two that differ alike the one that lacks units, for loss is the more usual. */
const worstOf = (arms: Diagnosis['arms']): Diagnosis['arms'][number] =>
  arms.reduce((worst, arm) => {
    const [more, most] = [Math.abs(arm.units - arm.expected), Math.abs(worst.units - worst.expected)];
    const isAlike = Math.abs(more - most) <= 1e-9 * most;
    return isAlike ? (arm.units < worst.units ? arm : worst) : more > most ? arm : worst;
  });

const CAUSE_NAMES: Record<Cause, string> = {
  identity: 'identity',
  bots: 'bots',
  client_release: 'a client release',
  late_logs: 'late logs',
  allocation: 'allocation',
  bucketing: 'bucketing or configuration',
  zero_share: 'a leak',
  exposure_path: 'redirect, crash or logging',
  segment: 'one part of the traffic',
  unknown: 'not known',
};

const whenText = (timeMs: number | null): string => (timeMs === null ? '' : ` (${new Date(timeMs).toISOString()})`);

const armsText = ({ arms }: Diagnosis): string =>
  `${arms
    .map(({ variant, units, expected }) => `${variant} has ${grouped(units)} units and should have ${grouped(Math.round(expected))}`)
    .join('; ')}.`;

function timingText({ arms }: Diagnosis): string {
  const after = arms.filter(({ assignedAfter }) => assignedAfter > 0);
  if (after.length === 0) return '';
  const each = after.map(({ variant, assignedAfter }) => `${grouped(assignedAfter)} of ${variant}`).join(', ');
  return `Exposures that say they came before their assignment: ${each}.`;
}

function segmentsText({ segments: { rejected, culprit } }: Diagnosis): string {
  if (culprit !== null)
    return `Where: ${culprit.dimension} ${culprit.value} (${grouped(culprit.units)} units); the rest is as it should be.`;
  if (rejected.length === 0) return 'Where: everywhere alike, as far as the dimensions tell.';
  return `Where: no single part explains it; most of it is in ${rejected
    .slice(0, 3)
    .map(({ dimension, value }) => `${dimension} ${value}`)
    .join(', ')}.`;
}

const keptText = ({ keepsBefore, onset }: Diagnosis): string =>
  keepsBefore
    ? `The ${grouped(onset?.units ?? 0)} units before the onset are split as they should be and can be kept.`
    : 'Nothing before the onset can be kept.';

const segmentFacts = ({ dimension, value, units, lnE, excessShare }: Segment): Json => ({
  dimension,
  value,
  units,
  log_e: lnE,
  excess_share: excessShare,
});

/** The numbers, as the status API and `srm --experiment` show them too. */
export function factsOf(experiment: Experiment, diagnosis: Diagnosis): { [name: string]: Json } {
  const { exposures, rate } = experiment;
  const { arms, segments, onset } = diagnosis;
  const version = exposures.versions.get(diagnosis.version);
  const { statistic, df, pValue } = chiSquared([...(version?.counts ?? [])], version?.shares ?? []);
  return {
    arms: arms.map(({ variant, units, expected, share, expectedShare, interval, assigned, late, meanLagMs, assignedAfter }) => ({
      variant,
      units,
      expected,
      share,
      expected_share: expectedShare,
      interval,
      assigned,
      late,
      exposure_lag_ms: meanLagMs,
      assigned_after_exposed: assignedAfter,
    })),
    interval_version: diagnosis.version,
    log_e: exposures.lnE,
    log_e_cumulative: exposures.lnCumulative,
    log_e_onset: exposures.lnOnset,
    p_value: pValueOf(exposures.lnEMax),
    units: exposures.units,
    alarm_units: exposures.alarmUnits,
    onset_units: onset?.units ?? null,
    onset_ms: onset?.timeMs ?? null,
    keeps_before_onset: diagnosis.keepsBefore,
    stage: diagnosis.stage,
    stage_why: diagnosis.stageWhy,
    log_e_assignment: diagnosis.lnAssignment,
    log_e_exposure_rate: diagnosis.lnExposureRate,
    exposure_rate_waits: [...rate.waiting.keys()],
    culprit: segments.culprit === null ? null : segmentFacts(segments.culprit),
    segments: segments.rejected.slice(0, MAX_SEGMENTS).map(segmentFacts),
    cause: diagnosis.cause,
    cause_why: diagnosis.causeWhy,
    chi_squared: { statistic, df, p_value: pValue },
    hash: experiment.plan?.hash === null ? 'off: none is registered' : `${experiment.hashMismatched} of ${experiment.hashChecked}`,
  };
}
