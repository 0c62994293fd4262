/** What is measured: each loads its data, lets processes count it, and holds the result against the truth. */
import { randomUUID } from 'node:crypto';
import type { TestServices } from '../../test/services/index.ts';
import { check, DAY, HOUR, type Target } from '../figures.ts';
import { Run } from './bed.ts';
import { liveRun } from './live.ts';
import { type Expected, load } from './load.ts';
import { evaluateRate, jsonRate, redisRate } from './parts.ts';
import type { Measured, WorkerPlan } from './protocol.ts';
import type { Report } from './report.ts';

export interface Work {
  name: string;
  services: TestServices;
  records: number;
  profile: boolean;
  report: Report;
}

type Scenario = (work: Work) => Promise<void>;

/** A day in the past, on an hour: any will do. */
const BASE_MS = 20_000 * DAY + 6 * HOUR;
export const CAMPAIGNS = 1000;
const LIVE_EVENTS_PER_S = 20_000;

interface Ingest {
  partitions?: number;
  processes?: number;
  campaigns?: number;
  plan?: Partial<WorkerPlan>;
  targets?: { cpu?: Target; rate?: Target };
}

/** Loads, counts with so many processes (the last on the last core), verifies. */
async function ingest(work: Work, { partitions = 1, processes = 1, campaigns = CAMPAIGNS, plan = {} }: Ingest): Promise<Measured[]> {
  const run = await Run.open(work.services.kafkaBrokers, randomUUID(), partitions);
  const expected = await load(work.services.kafkaBrokers, {
    topic: run.topic,
    partitions,
    campaigns,
    count: work.records,
    baseMs: BASE_MS,
  });
  const records = Math.floor(expected.records / processes);
  const given = { records, tasks: partitions / processes, baseMs: BASE_MS, profile: work.profile, ...plan };
  const starts = Array.from({ length: processes }, (_, core) => run.start(given, core));
  const measured = await Promise.all((await Promise.all(starts)).map((worker) => worker.measured()));
  await verify(run, measured, expected);
  await run.close();
  return measured;
}

async function verify(run: Run, measured: readonly Measured[], expected: Expected): Promise<void> {
  check(
    'accepted',
    sum(measured, ({ accepted }) => accepted),
    expected.accepted,
  );
  check(
    'duplicates',
    sum(measured, ({ duplicates }) => duplicates),
    expected.duplicates,
  );
  await run.verify(expected);
}

const sum = (measured: readonly Measured[], of: (one: Measured) => number): number => measured.reduce((total, one) => total + of(one), 0);

const ingestScenario =
  (options: Ingest): Scenario =>
  async (work) => {
    const [measured] = await ingest(work, options);
    work.report.process(work.name, measured, options.targets);
  };

/** Two processes on two cores, beside the broker on one of them, against one. */
const twoProcesses: Scenario = async (work) => {
  const [one] = await ingest(work, { partitions: 2 });
  const two = await ingest(work, { partitions: 2, processes: 2 });
  const rateOf = ({ records, seconds }: Measured): number => records / seconds;
  const together = two.reduce((total, one) => total + rateOf(one), 0);
  work.report.figure(work.name, 'one process', rateOf(one) / 1e6, 'M/s');
  work.report.figure(work.name, 'two processes', together / 1e6, 'M/s');
  work.report.figure(work.name, 'two against one', together / rateOf(one), 'times', { min: 1.8 });
  const cpu = sum(two, ({ cpuSeconds }) => cpuSeconds) / sum(two, ({ records }) => records);
  work.report.figure(work.name, 'CPU a million events, of two', cpu * 1e6, 's');
};

const live =
  (eventsPerS: (work: Work) => Promise<number>): Scenario =>
  async (work) => {
    const rate = Math.round(await eventsPerS(work));
    const { latenciesMs, measured } = await liveRun(work, rate);
    const sorted = [...latenciesMs].sort((a, b) => a - b);
    const quantile = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
    const isTarget = rate === LIVE_EVENTS_PER_S;
    work.report.figure(work.name, 'impressions a second', rate / 1000, 'k/s');
    work.report.figure(work.name, 'produced → visible in Redis, median', quantile(0.5), 'ms', isTarget ? { max: 300 } : {});
    work.report.figure(work.name, 'the same, 99 of 100', quantile(0.99), 'ms', isTarget ? { max: 1000 } : {});
    work.report.figure(work.name, 'CPU of both stages', (100 * measured.cpuSeconds) / measured.seconds, '% of a core');
    work.report.figure(work.name, 'longest pause of the event loop', measured.longestPauseMs, 'ms', { max: 50 });
  };

let capacity = 0;

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'JSON.parse alone': async ({ report, name }) => report.figure(name, 'CPU a million events', jsonRate(), 's'),
  'kafkajs decoding': ingestScenario({ plan: { decoder: 'kafkajs' }, targets: { cpu: { max: 1.5 } } }),
  'default, 1 partition': async (work) => {
    const [measured] = await ingest(work, {});
    capacity = measured.records / measured.seconds;
    work.report.process(work.name, measured, { cpu: { max: 0.7 }, rate: { min: 1 } });
  },
  'default, 2 partitions': ingestScenario({ partitions: 2, targets: { cpu: { max: 0.7 } } }),
  'default, 4 partitions': ingestScenario({ partitions: 4, targets: { cpu: { max: 0.7 } } }),
  '100,000 campaigns': ingestScenario({ campaigns: 100_000, targets: { cpu: { max: 0.7 } } }),
  '10 M keys before': ingestScenario({ plan: { keys: 10_000_000 }, targets: { cpu: { max: 0.7 } } }),
  '50 M keys before': ingestScenario({ plan: { keys: 50_000_000 }, targets: { cpu: { max: 0.9 } } }),
  'two processes': twoProcesses,
  'evaluate, merging': async ({ report, name }) =>
    report.figure(name, 'cells a CPU second', (await evaluateRate()) / 1e6, 'M/s', { min: 1 }),
  'evaluate, Redis': async ({ services, report, name }) =>
    report.figure(name, 'keys a second', (await redisRate(services.redisUrl)) / 1000, 'k/s', { min: 200 }),
  'end to end at 20,000 a second': live(async () => LIVE_EVENTS_PER_S),
  'end to end at half of capacity': live(async (work) => {
    if (capacity === 0) {
      const [measured] = await ingest(work, {});
      capacity = measured.records / measured.seconds;
    }
    return capacity / 2;
  }),
};
