/**
 * `npm run test:e2e`: is every number the truth, with real services, after kills and restarts at random moments? Progress and a table for a
 * person on standard error, one line of JSON on standard output; exit code 1 with the reasons when anything differs.
 */
import { parseArgs } from 'node:util';
import { startServices } from '../services/index.ts';
import { drawChaos } from './chaos.ts';
import { grouped, type Outcome, runScenario, type ScenarioOptions } from './scenario.ts';
import { SIDE_OUTPUTS } from './side-outputs.ts';

const SPAN_MS = 30 * 3_600_000;
const DAY_MS = 86_400_000;
const MOST_LINES = 12;

const OPTIONS = {
  small: { type: 'boolean', default: false },
  impressions: { type: 'string' },
  exposures: { type: 'string' },
  assignments: { type: 'string' },
  partitions: { type: 'string' },
  seed: { type: 'string' },
  kills: { type: 'string' },
  terms: { type: 'string' },
  'redis-restarts': { type: 'string' },
  processes: { type: 'string' },
  seconds: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

const began = performance.now();
const say = (text: string): void => console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);

function optionsFrom(): ScenarioOptions | null {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) return null;
  const number = (name: Exclude<keyof typeof OPTIONS, 'small' | 'help'>, large: number, small = large): number =>
    Number(values[name] ?? (values.small ? small : large));
  const seed = number('seed', 1);
  const processes = number('processes', 2);
  const plan = { kills: number('kills', 3, 1), terms: number('terms', 2, 1), redisRestarts: number('redis-restarts', 1) };
  return {
    traffic: {
      seed,
      // Days of event time that Postgres makes partitions for; whole, so that a run can be told apart from another by its seed alone.
      baseMs: Math.floor((Date.now() - SPAN_MS) / DAY_MS) * DAY_MS,
      spanMs: SPAN_MS,
      impressions: number('impressions', 1_000_000, 45_000),
      exposures: number('exposures', 300_000, 12_000),
      assignments: number('assignments', 50_000, 3_000),
      partitions: number('partitions', 8, 4),
      contaminatedShare: 0.03,
    },
    chaos: drawChaos(plan, processes, seed),
    processes,
    produceMs: number('seconds', 75, 20) * 1000,
    settleMs: 240_000,
    holdMs: 6000,
    totalsFlushMs: 10_000,
    say,
  };
}

function print({ checks, figures, side, ok }: Outcome): void {
  console.error('\noutput            distinct by source        truth');
  for (const output of SIDE_OUTPUTS) {
    console.error(`.${output.padEnd(16)}${grouped(side.seen[output]).padStart(19)}${grouped(side.expected[output]).padStart(13)}`);
  }
  console.error('\ncheck');
  for (const [name, lines] of Object.entries(checks)) {
    console.error(`${name.padEnd(40)}${lines.length === 0 ? 'equal' : `${lines.length} differ`}`);
    for (const line of lines.slice(0, MOST_LINES)) console.error(`    ${line}`);
  }
  const wrong = Object.fromEntries(Object.entries(checks).map(([name, lines]) => [name, lines.length]));
  console.log(JSON.stringify({ ok, ...figures, wrong }));
}

const options = optionsFrom();
if (options === null) {
  console.log(`node test/e2e/main.ts ${Object.keys(OPTIONS).join(' --')}`);
} else {
  const services = await startServices({ own: true });
  say(`services: ${JSON.stringify(services.how)}`);
  try {
    const outcome = await runScenario(services, options);
    print(outcome);
    process.exitCode = outcome.ok ? 0 : 1;
  } finally {
    await services.stop();
  }
}
