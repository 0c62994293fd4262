import type { Experiment } from './experiment.ts';
import type { ExperimentPlan } from './plan.ts';

/** What contradicts itself in the registry of an experiment, or does not fit what is counted; each could not be tested. */
export function problemsOf(experiment: Experiment, plan: ExperimentPlan): string[] {
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
