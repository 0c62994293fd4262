import { setImmediate } from 'node:timers/promises';
import { type Outcome, Simulation } from './simulation.ts';

export type { Outcome } from './simulation.ts';

/** Runs a seed twice; that both runs were the same, event for event, is one more thing that must hold. */
export async function runTwice(seed: number, keepTrace = false): Promise<Outcome> {
  const first = await new Simulation(seed, keepTrace).run();
  // Between runs the machine has its turn: output, signals.
  await setImmediate();
  const second = await new Simulation(seed, false).run();
  if (first.hash === second.hash) return first;
  return { ...first, problems: [...first.problems, `not the same twice: ${first.hash}, then ${second.hash}`] };
}
