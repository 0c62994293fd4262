/** Processes 1 → 3 → 1 with kills in between, at moments drawn from a seed. */
import { type Chaos, mulberry32 } from './chaos.ts';
import type { ScenarioOptions } from './scenario.ts';

export const RESCALED = 3;

export interface RescalePlan {
  seed: number;
  kills: number;
}

/** The second and third come, some are killed and come back, two leave: one when asked, one without a word. */
export function drawRescale({ seed, kills }: RescalePlan): Chaos {
  const next = mulberry32(seed + 0x7e5ca1e);
  const within = (from: number, to: number): number => from + (to - from) * next();
  const order = [0, 1, 2];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  const killed = Array.from({ length: kills }, (_, i) => {
    const share = within(0.35 + (0.3 * i) / kills, 0.35 + (0.3 * (i + 0.5)) / kills);
    return { share, what: 'kill' as const, worker: Math.floor(next() * RESCALED) };
  });
  return {
    moments: [
      { share: within(0.08, 0.15), what: 'start', worker: 1 },
      { share: within(0.17, 0.25), what: 'start', worker: 2 },
      ...killed,
      { share: within(0.7, 0.76), what: 'stop', worker: order[0] },
      { share: within(0.82, 0.88), what: 'lose', worker: order[1] },
    ],
  };
}

export const rescaleOptions = (
  plan: RescalePlan,
  options: Omit<ScenarioOptions, 'chaos' | 'environment' | 'processes' | 'startedAtFirst'>,
) => ({
  ...options,
  processes: RESCALED,
  startedAtFirst: 1,
  environment: { STATE_STORE: 'kafka' },
  wornState: true,
  chaos: drawRescale(plan),
});
