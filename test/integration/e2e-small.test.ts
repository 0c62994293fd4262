import { afterAll, beforeAll, expect, it } from 'vitest';
import { drawChaos } from '../e2e/chaos.ts';
import { runScenario } from '../e2e/scenario.ts';
import { startServices, type TestServices } from '../services/index.ts';
import { describeIntegration } from '../services/integration.ts';

const HOUR_MS = 3_600_000;

/** `npm run test:e2e` is the same with 1.35 million records and more trouble. */
describeIntegration('two processes in one group', (shared) => {
  let own: TestServices;
  beforeAll(async () => {
    own = await startServices({ redis: true, own: true });
  });
  afterAll(() => own.stop());

  it('count exactly, though one is killed, one is restarted and Redis loses everything', { timeout: 150_000 }, async () => {
    const { checks, figures } = await runScenario(
      { ...shared, redisUrl: own.redisUrl, restartRedis: () => own.restartRedis() },
      {
        traffic: {
          seed: 7,
          baseMs: Date.now() - 30 * HOUR_MS,
          spanMs: 30 * HOUR_MS,
          impressions: 40_000,
          exposures: 15_000,
          assignments: 5_000,
          partitions: 4,
          contaminatedShare: 0.03,
        },
        chaos: drawChaos({ kills: 1, terms: 1, redisRestarts: 1 }, 2, 7),
        processes: 2,
        produceMs: 15_000,
        settleMs: 90_000,
        holdMs: 3000,
        totalsFlushMs: 2000,
        say: () => undefined,
      },
    );
    expect(checks).toEqual(Object.fromEntries(Object.keys(checks).map((name) => [name, []])));
    expect(figures['records']).toBe(60_000);
    expect(figures['duplicates_across_ends']).toBeGreaterThan(0);
  });
});
