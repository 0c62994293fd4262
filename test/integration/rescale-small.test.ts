import { expect, it } from 'vitest';
import { rescaleOptions } from '../e2e/rescale-plan.ts';
import { runScenario } from '../e2e/scenario.ts';
import { describeIntegration } from '../services/integration.ts';

const HOUR_MS = 3_600_000;

/** `npm run test:rescale` is the same with more records, kills and seeds. */
describeIntegration('one process, then three, then one, with their state in Kafka', (services) => {
  it('count exactly while partitions move under load, and catch duplicates from both sides of a move', { timeout: 150_000 }, async () => {
    const options = rescaleOptions(
      { seed: 4, kills: 1 },
      {
        traffic: {
          seed: 4,
          baseMs: Date.now() - 30 * HOUR_MS,
          spanMs: 30 * HOUR_MS,
          impressions: 12_000,
          exposures: 6_000,
          assignments: 2_000,
          partitions: 3,
          duplicateShare: 0.1,
          farShare: 0.8,
          contaminatedShare: 0.03,
        },
        produceMs: 16_000,
        settleMs: 90_000,
        holdMs: 2000,
        totalsFlushMs: 2000,
        say: () => undefined,
      },
    );
    const { checks, figures } = await runScenario({ ...services, restartRedis: () => Promise.reject(new Error('not asked for')) }, options);
    expect(checks).toEqual(Object.fromEntries(Object.keys(checks).map((name) => [name, []])));
    expect(figures['moves']).toBeGreaterThan(0);
    expect(figures['duplicates_across_moves']).toBeGreaterThan(0);
  });
});
