import type { Experiment } from './experiment.ts';
import { type ExperimentPlan, versionOf } from './plan.ts';

const MOST_SAID = 20;

/** What contradicts itself in the registry of an experiment, or does not fit what is counted; each could not be tested. */
export function problemsOf(experiment: Experiment, plan: ExperimentPlan): string[] {
  const { tallies, arms } = experiment;
  const problems: string[] = [];
  for (const { version } of tallies.exposed.versions) {
    const planned = versionOf(plan, version);
    if (planned === undefined) problems.push(`units say allocation version ${version}, which is not registered`);
    else if (planned.problem !== null) problems.push(planned.problem);
  }
  for (const [arm, variant] of arms.entries()) {
    const units = experiment.isRegistered(arm) ? 0 : tallies.exposed.ofArm(arm);
    if (units > 0) problems.push(`the variant ${variant} has units and is not registered`);
  }
  const more = problems.length - MOST_SAID;
  return more <= 0 ? problems : [...problems.slice(0, MOST_SAID), `and ${more} more like these`];
}
