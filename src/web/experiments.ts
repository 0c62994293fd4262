/** Experiments that this process evaluates: for metrics, the status API and the page. */
import type { Metrics } from '../metrics.ts';
import type { Experiment } from '../srm/experiment.ts';
import { Integrity } from '../srm/part.ts';
import { type TestState, testStateOf } from '../srm/reports.ts';
import { pValueOf } from '../stats/dirichlet-multinomial.ts';
import type { Pipeline } from '../topology/pipeline.ts';

/** Labels of a metric are kept few. */
const MOST_SHOWN = 100;

const MOST_UNREGISTERED = 20;

interface Shown {
  experiment: Experiment;
  state: TestState;
}

export interface ExperimentStatus {
  experiment_id: string;
  owner: string | null;
  state: TestState;
  units: number;
  variants: string[];
  log_e: number;
  /** The least so far. */
  p_value: number;
}

/** Largest evidence first. */
function experimentsOf(pipeline: Pipeline): Shown[] {
  const parts = pipeline.evaluateTasks.flatMap(({ stage }) => stage?.parts.filter((part) => part instanceof Integrity) ?? []);
  const shown = parts.flatMap((part) =>
    [...part.experiments.values()].map((experiment) => ({ experiment, state: testStateOf(experiment, part.alpha) })),
  );
  return shown.sort((a, b) => b.experiment.exposures.lnE - a.experiment.exposures.lnE);
}

export function collectExperiments(metrics: Metrics, pipeline: Pipeline): void {
  metrics.gauge('srm_log_e_value').reset();
  metrics.gauge('srm_experiments').reset();
  const all = experimentsOf(pipeline);
  for (const { state } of all) metrics.gauge('srm_experiments').inc({ state });
  const tested = all.filter(({ state }) => state !== 'unregistered' && state !== 'untested');
  for (const { experiment } of tested.slice(0, MOST_SHOWN))
    metrics.gauge('srm_log_e_value').set({ experiment: experiment.id }, experiment.exposures.lnE);
}

export interface ShownExperiments {
  experiments: number;
  shown: ExperimentStatus[];
  /** Those with most units of which the registry knows nothing. */
  unregistered: { experiment_id: string; units: number }[];
}

/** `/api/v1/experiments`: the first by evidence, and how many there are. */
export function shownExperiments(pipeline: Pipeline): ShownExperiments {
  const all = experimentsOf(pipeline);
  const shown = all.slice(0, MOST_SHOWN).map(({ experiment, state }) => ({
    experiment_id: experiment.id,
    owner: experiment.plan?.owner ?? null,
    state,
    units: experiment.tallies.exposed.units,
    variants: experiment.arms.map((name, arm) => `${name} ${experiment.tallies.exposed.ofArm(arm).toLocaleString('en-US')}`),
    log_e: experiment.exposures.lnE,
    p_value: pValueOf(experiment.exposures.lnEMax),
  }));
  const unregistered = all
    .filter(({ state }) => state === 'unregistered')
    .map(({ experiment }) => ({ experiment_id: experiment.id, units: experiment.tally('exposed').units }))
    .sort((a, b) => b.units - a.units || (a.experiment_id < b.experiment_id ? -1 : 1));
  return { experiments: all.length, shown, unregistered: unregistered.slice(0, MOST_UNREGISTERED) };
}
