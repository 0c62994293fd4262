/** What is raised about an experiment, and when. Texts and numbers are made when something is new or a step has brought more. */
import type { AlertBook } from '../alerts/book.ts';
import type { AlertKind } from '../alerts/kinds.ts';
import type { AlertDraft, Subject } from '../alerts/types.ts';
import type { SrmSettings } from '../config.ts';
import { lnExcessRate } from '../stats/excess-rate.ts';
import { type DiagnosisOptions, diagnose } from './diagnosis.ts';
import {
  contaminationDraft,
  leakDraft,
  mismatchDraft,
  pausingDraft,
  phaseOf,
  registryDraft,
  segmentDraft,
  srmDraft,
  unversionedDraft,
} from './drafts.ts';
import type { Experiment } from './experiment.ts';
import type { ExperimentTest } from './experiment-test.ts';
import { isOver } from './plan.ts';
import { findSegments } from './segments.ts';

/** Evidence must fall this far below the alarm before it counts as gone, so that it does not come and go. */
const LN_SLACK = 3;

/** Whether a split that was once found broken is so still. */
export const isStillBroken = ({ alarmUnits, lnE }: Pick<ExperimentTest, 'alarmUnits' | 'lnE'>, alpha: number): boolean =>
  alarmUnits !== null && lnE >= -Math.log(alpha) - LN_SLACK;
/** So many units must have come without a version before that is more than the moment of a ramp. */
const UNVERSIONED_UNITS = 1000;

/** Asked at every look; `srm_segment` at steps. */
const KINDS = ['srm', 'srm_leak', 'contamination', 'hash_mismatch', 'experiment_registry', 'unversioned'] as const;
type Kind = (typeof KINDS)[number];
const ALL_KINDS = [...KINDS, 'srm_segment'] as const satisfies AlertKind[];

export interface LookedAt {
  /** An onset step was made, or one that had waited for assignments. */
  stepped: boolean;
  atMs: number;
  /** As far as event time is known to be. */
  eventMs: number;
}

export class Notices {
  readonly #alerts: AlertBook;
  readonly #settings: SrmSettings;
  /** Conditions that held at the last look. */
  readonly #noticed = new Map<Experiment, Set<Kind>>();
  /** What was last said of the registry. */
  readonly #problems = new WeakMap<Experiment, readonly string[]>();

  constructor(alerts: AlertBook, settings: SrmSettings) {
    this.#alerts = alerts;
    this.#settings = settings;
  }

  looked(experiment: Experiment, { stepped, atMs, eventMs }: LookedAt): void {
    if (!isWatched(experiment, eventMs)) return;
    const noticed = this.#noticed.get(experiment);
    if (!stepped && noticed === undefined && !this.#mayHold(experiment)) return;
    for (const kind of KINDS) this.#notice(kind, experiment, { stepped, atMs });
    if (stepped) this.#judgeSegments(experiment, atMs);
  }

  #notice(kind: Kind, experiment: Experiment, { stepped, atMs }: { stepped: boolean; atMs: number }): void {
    const subject: Subject = { kind: 'experiment', id: experiment.id };
    const noticed = this.#noticed.get(experiment) ?? new Set();
    if (this.#holds(kind, experiment)) {
      const isNews = kind === 'experiment_registry' && this.#problems.get(experiment) !== experiment.problems();
      if (!stepped && !isNews && noticed.has(kind)) return;
      if (isNews) this.#problems.set(experiment, experiment.problems());
      this.#alerts.raise(this.#draft(kind, experiment), atMs);
      this.#noticed.set(experiment, noticed.add(kind));
    } else if (stepped || noticed.has(kind)) {
      if (kind === 'srm' && experiment.exposures.alarmUnits !== null && this.#alerts.latched(kind, subject)?.holds)
        this.#alerts.raise(this.#draft(kind, experiment, true), atMs);
      this.#alerts.clear(kind, subject, atMs);
      noticed.delete(kind);
      if (noticed.size === 0) this.#noticed.delete(experiment);
    }
  }

  /** After a restart: what is open or acknowledged held at the last look, and is cleared once it does not. */
  resume(experiment: Experiment): void {
    const subject: Subject = { kind: 'experiment', id: experiment.id };
    const held = KINDS.filter((kind) => {
      const latch = this.#alerts.latchOf(kind, subject);
      return latch === 'quiet' || (latch === 'open' && this.#alerts.latched(kind, subject)?.holds);
    });
    if (held.length > 0) this.#noticed.set(experiment, new Set(held));
  }

  /** It is registered no more. */
  withdraw(experiment: Experiment, atMs: number): void {
    for (const kind of ALL_KINDS) this.#alerts.withdraw(kind, { kind: 'experiment', id: experiment.id }, atMs);
    this.#noticed.delete(experiment);
  }

  /** It has begun anew: what was found before is over. */
  enterPhase(experiment: Experiment, atMs: number): void {
    const phase = phaseOf(experiment.plan?.startedAtMs ?? null);
    for (const kind of ALL_KINDS) this.#alerts.enterPhase(kind, { kind: 'experiment', id: experiment.id }, phase, atMs);
    this.#noticed.delete(experiment);
  }

  /** A part of the traffic alone; once the whole is in alarm, that says where. */
  #judgeSegments(experiment: Experiment, atMs: number): void {
    const subject: Subject = { kind: 'experiment', id: experiment.id };
    if (experiment.exposures.alarmUnits !== null) return;
    const found = findSegments(experiment, this.#settings.alpha);
    if (found.rejected.length > 0) this.#alerts.raise(segmentDraft(experiment, found), atMs);
    else this.#alerts.clear('srm_segment', subject, atMs);
  }

  /** False when nothing can; nearly always, so it is asked first. */
  #mayHold(experiment: Experiment): boolean {
    const { exposures, contaminated, hashMismatched, unversionedFrom } = experiment;
    if (exposures.alarmUnits !== null || exposures.leak !== null || contaminated > 0 || hashMismatched > 0 || unversionedFrom !== null)
      return true;
    return experiment.problems().length > 0;
  }

  #holds(kind: Kind, experiment: Experiment): boolean {
    const { exposures, hashMismatched, unversionedFrom } = experiment;
    const lnAlarm = -Math.log(this.#settings.alpha);
    if (kind === 'srm') return isStillBroken(exposures, this.#settings.alpha);
    if (kind === 'srm_leak') return exposures.leak !== null;
    if (kind === 'hash_mismatch') return hashMismatched > 0;
    if (kind === 'experiment_registry') return experiment.problems().length > 0;
    if (kind === 'unversioned') return unversionedFrom !== null && experiment.tally('exposed').units - unversionedFrom >= UNVERSIONED_UNITS;
    const { contaminated, units } = experiment.contamination;
    return contaminated > 0 && lnExcessRate(contaminated, units, this.#settings.contamination) >= lnAlarm;
  }

  #draft(kind: Kind, experiment: Experiment, recovered = false): AlertDraft {
    if (kind === 'contamination') return contaminationDraft(experiment, this.#settings.contamination);
    if (kind === 'hash_mismatch') return mismatchDraft(experiment);
    if (kind === 'experiment_registry') return registryDraft(experiment, experiment.problems());
    if (kind === 'unversioned') return unversionedDraft(experiment);
    const ofLeak = kind === 'srm_leak';
    const diagnosis = diagnose(experiment, { ...diagnosisOptions(this.#settings, recovered), ofLeak });
    const draft = ofLeak ? leakDraft(experiment, diagnosis) : srmDraft(experiment, diagnosis);
    return this.#settings.pauses && draft.severity === 'page' ? pausingDraft(draft) : draft;
  }
}

export const diagnosisOptions = ({ alpha, floor, contamination }: SrmSettings, recovered: boolean): DiagnosisOptions => ({
  alpha,
  floor,
  contamination,
  recovered,
});

/** Somebody waits for what its tests say. */
export const isWatched = ({ plan }: Experiment, eventMs: number): boolean => plan?.isRunning === true && !isOver(plan, eventMs);
