/** What is known of each experiment, as one JSON text in Redis: `srm:{<experiment_id>}`, read by `srm --experiment`. */
import type { Json } from '../alerts/types.ts';
import type { SrmSettings } from '../config.ts';
import type { CounterWrite, Now } from '../topology/types.ts';
import { diagnose } from './diagnosis.ts';
import { factsOf } from './drafts.ts';
import type { Experiment } from './experiment.ts';
import { diagnosisOptions, isStillBroken } from './notices.ts';

/** A diagnosis asks every segment: so many a write, about 200 µs each. Those in alarm first, but not alone. */
const MAX_A_WRITE = 50;
const MAX_URGENT = 40;
const WRITE_MS = 1000;
const DAY_MS = 86_400_000;
const EXPIRY_MS = 90 * DAY_MS;

export const reportKey = (experimentId: string): string => `srm:{${experimentId}}`;

export class Reports {
  readonly #settings: SrmSettings;
  readonly #waiting = new Set<Experiment>();
  readonly #urgent = new Set<Experiment>();
  #takenMs = Number.NEGATIVE_INFINITY;

  constructor(settings: SrmSettings) {
    this.#settings = settings;
  }

  add(experiment: Experiment): void {
    if (experiment.isAlarmed) this.#urgent.add(experiment);
    else this.#waiting.add(experiment);
  }

  take(now: Now): CounterWrite[] {
    if (this.#waiting.size + this.#urgent.size === 0 || now.monotonicMs - this.#takenMs < WRITE_MS) return [];
    this.#takenMs = now.monotonicMs;
    const writes: CounterWrite[] = [];
    this.#takeFrom(this.#urgent, MAX_URGENT, writes);
    this.#takeFrom(this.#waiting, MAX_A_WRITE, writes);
    this.#takeFrom(this.#urgent, MAX_A_WRITE, writes);
    return writes;
  }

  #takeFrom(waiting: Set<Experiment>, most: number, writes: CounterWrite[]): void {
    for (const experiment of waiting) {
      if (writes.length >= most) return;
      waiting.delete(experiment);
      // Of one that nobody has ever registered there is nothing to tell.
      if (experiment.plan === null && experiment.lastPlan === null) continue;
      const fields = { report: JSON.stringify(reportOf(experiment, this.#settings)) };
      writes.push({ key: reportKey(experiment.id), fields, expiryMs: EXPIRY_MS });
    }
  }
}

/** The latest of a bandit's. */
const MOST_VERSIONS = 100;

export type TestState = 'alarm' | 'healthy' | 'recovered' | 'unregistered' | 'unversioned' | 'untested';

/** One object: what the status API shows too. */
export function reportOf(experiment: Experiment, settings: SrmSettings): { [name: string]: Json } {
  const { id, plan, exposures, contaminated, tallies } = experiment;
  const state = testStateOf(experiment, settings.alpha);
  const counts = tallies.exposed.versions.slice(-MOST_VERSIONS).map(({ version, arms }) => ({
    allocation_version: version,
    shares: experiment.sharesOf(version),
    counts: experiment.arms.map((_, arm) => arms[arm] ?? 0),
  }));
  const common = {
    experiment_id: id,
    owner: plan?.owner ?? null,
    state,
    variants: experiment.arms,
    versions: counts,
    contaminated,
    units: tallies.exposed.units,
    registry_problems: experiment.problems(),
  };
  if (plan === null || exposures.versions.size === 0) return { ...common, log_e: null, p_value: null };
  return {
    ...common,
    alarm: exposures.alarmUnits !== null || exposures.leak !== null,
    ...factsOf(experiment, diagnose(experiment, diagnosisOptions(settings, state === 'recovered'))),
  };
}

export function testStateOf({ plan, exposures, unversionedFrom }: Experiment, alpha: number): TestState {
  if (plan === null) return 'unregistered';
  if (unversionedFrom !== null) return 'unversioned';
  if (exposures.versions.size === 0) return 'untested';
  if (exposures.leak !== null || isStillBroken(exposures, alpha)) return 'alarm';
  return exposures.alarmUnits !== null ? 'recovered' : 'healthy';
}
