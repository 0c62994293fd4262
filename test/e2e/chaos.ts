/** Ends processes while the traffic flows, at moments drawn from a seed, and starts them again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from './worker.ts';

export interface ChaosPlan {
  kills: number;
  terms: number;
  redisRestarts: number;
}

/** kill and term: it ends and is started again; stop and lose: asked or not, it stays away; start: one more comes. */
export type What = 'kill' | 'term' | 'redis' | 'start' | 'stop' | 'lose';

export interface Chaos {
  /** Shares of the traffic, 0…1, at which something is to happen, ascending. */
  moments: { share: number; what: What; worker: number }[];
}

const RESTART_AFTER_MS = 1500;

/** One moment in each of as many equal stretches, so that processes are up again in between. */
export function drawChaos(plan: ChaosPlan, workers: number, seed: number): Chaos {
  const next = mulberry32(seed);
  const kinds = [
    ...Array<'kill'>(plan.kills).fill('kill'),
    ...Array<'term'>(plan.terms).fill('term'),
    ...Array<'redis'>(plan.redisRestarts).fill('redis'),
  ];
  for (let i = kinds.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [kinds[i], kinds[j]] = [kinds[j], kinds[i]];
  }
  return { moments: kinds.map((what, i) => ({ share: (i + 0.2 + 0.7 * next()) / kinds.length, what, worker: i % workers })) };
}

export interface ChaosParts {
  chaos: Chaos;
  workers: readonly Worker[];
  /** How much of the traffic is out. */
  share: () => number;
  restartRedis: () => Promise<void>;
  /** Told after each end of a process. */
  ended: () => void;
  say: (text: string) => void;
  faults: Set<string>;
}

/** Ends after the last moment, with everything that did not leave for good running again. */
export async function makeChaos({ chaos, workers, share, restartRedis, ended, say, faults }: ChaosParts): Promise<void> {
  for (const moment of chaos.moments) {
    while (share() < moment.share) await sleep(20);
    const worker = workers[moment.worker];
    if (moment.what === 'redis') {
      say('Redis dies and comes back empty');
      await restartRedis();
      continue;
    }
    if (moment.what === 'start') {
      say(`${worker.name} comes`);
      worker.start();
      continue;
    }
    const isKill = moment.what === 'kill' || moment.what === 'lose';
    say(`${worker.name}: ${isKill ? 'kill -9' : 'SIGTERM'}`);
    if (isKill) await worker.kill();
    else {
      const code = await worker.terminate();
      if (code !== 0) faults.add(`${worker.name} on SIGTERM: ${code === null ? 'still there after 10 s' : `exit ${code}`}`);
    }
    ended();
    if (moment.what === 'stop' || moment.what === 'lose') continue;
    await sleep(RESTART_AFTER_MS);
    worker.start();
  }
}

export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
