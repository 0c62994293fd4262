/**
 * `npm run test:rescale -- [--seeds N] [--from S]`: state in Kafka, 1 → 3 → 1 processes under load, kills at moments drawn from the seed,
 * each process with a folder of its own. Every number must be the truth. A line of JSON a seed on standard output.
 */
import { parseArgs } from 'node:util';
import { startServices, type TestServices } from '../services/index.ts';
import { rescaleOptions } from './rescale-plan.ts';
import { type Outcome, runScenario } from './scenario.ts';

const SPAN_MS = 30 * 3_600_000;
const MOST_LINES = 12;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '3' },
    from: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '40' },
    records: { type: 'string', default: '120000' },
    partitions: { type: 'string', default: '6' },
    kills: { type: 'string', default: '2' },
  },
});
const began = performance.now();
const say = (text: string): void => console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);

function rescale(services: TestServices, seed: number): Promise<Outcome> {
  const records = Number(values.records);
  const options = rescaleOptions(
    { seed, kills: Number(values.kills) },
    {
      traffic: {
        seed,
        baseMs: Date.now() - SPAN_MS,
        spanMs: SPAN_MS,
        impressions: Math.round(records * 0.6),
        exposures: Math.round(records * 0.3),
        assignments: Math.round(records * 0.1),
        partitions: Number(values.partitions),
        duplicateShare: 0.1,
        farShare: 0.8,
        contaminatedShare: 0.03,
      },
      produceMs: Number(values.seconds) * 1000,
      settleMs: 120_000,
      holdMs: 3000,
      totalsFlushMs: 5000,
      say,
    },
  );
  return runScenario(services, options);
}

const services = await startServices({ own: true });
try {
  let wrong = 0;
  for (let seed = Number(values.from), left = Number(values.seeds); left > 0; seed++, left--) {
    say(`seed ${seed}`);
    const { checks, figures, side, ok } = await rescale(services, seed);
    if (!ok) wrong++;
    for (const [name, lines] of Object.entries(checks)) {
      if (lines.length > 0) console.error(`${name}: ${lines.length} differ\n    ${lines.slice(0, MOST_LINES).join('\n    ')}`);
    }
    const duplicates = `${side.seen.duplicates} of ${side.expected.duplicates}`;
    say(`${figures['duplicates_across_moves']} duplicates came on both sides of one of ${figures['moves']} moves; caught: ${duplicates}`);
    console.log(
      JSON.stringify({ seed, ok, ...figures, duplicates_caught: side.seen.duplicates, duplicates_sent: side.expected.duplicates }),
    );
  }
  say(wrong === 0 ? 'every number is the truth, for every seed' : `${wrong} seeds are wrong`);
  process.exitCode = wrong === 0 ? 0 : 1;
} finally {
  await services.stop();
}
