/** What is measured: each loads its data, lets processes count it, and holds the result against the truth. */
import { randomUUID } from 'node:crypto';
import type { Stream } from '../../src/topology/types.ts';
import type { TestServices } from '../../test/services/index.ts';
import { check, DAY, HOUR, type Target } from '../figures.ts';
import { onMeasuredCore, Run } from './bed.ts';
import { liveRun } from './live.ts';
import { type Expected, load } from './load.ts';
import { evaluateRate, jsonRate, redisRate } from './parts.ts';
import type { Measured, WorkerPlan } from './protocol.ts';
import type { Report } from './report.ts';
import { measureStages } from './stages.ts';

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
const CAMPAIGNS = 1000;
/** Spend, impressions, watermark. */
const VALUES_A_KEY = 3;
const LIVE_EVENTS_PER_S = 20_000;
const CODECS = { none: 0, lz4: 3, zstd: 4 } as const;
const TEN_MILLION = 10_000_000;
/** So many that two processes count side by side for a while, though one begins a second or two before the other. */
const TWO_SHARE = 2.5;

interface Ingest {
  /** Of the records asked for: what is only looked at beside the others takes fewer. */
  share?: number;
  stream?: Stream;
  codec?: keyof typeof CODECS;
  partitions?: number;
  processes?: number;
  campaigns?: number;
  /** How many records pass in a second of event time. */
  perSecond?: number;
  plan?: Partial<WorkerPlan>;
  targets?: { cpu?: Target; rate?: Target };
}

/** Loads, counts with so many processes (the last on the last core), verifies. */
async function ingest(
  work: Work,
  {
    share = 1,
    stream = 'impressions',
    codec = 'none',
    partitions = 1,
    processes = 1,
    campaigns = CAMPAIGNS,
    perSecond = 20_000,
    plan = {},
  }: Ingest,
): Promise<Measured[]> {
  const run = await Run.open(work.services.kafkaBrokers, randomUUID(), partitions);
  const data = {
    topic: run.topic,
    partitions,
    stream,
    codec: CODECS[codec],
    campaigns,
    perSecond,
    count: Math.floor(work.records * share),
    baseMs: BASE_MS,
  };
  const expected = await load(work.services.kafkaBrokers, data);
  const records = Math.floor(expected.records / processes);
  const given = { stream, records, tasks: partitions / processes, baseMs: BASE_MS, profile: work.profile, ...plan };
  const starts = Array.from({ length: processes }, (_, core) => run.start(given, core));
  const measured = await Promise.all((await Promise.all(starts)).map((worker) => worker.measured()));
  await verify(run, stream, measured, expected);
  await run.close();
  return measured;
}

async function verify(run: Run, stream: Stream, measured: readonly Measured[], expected: Expected): Promise<void> {
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
  if (stream === 'impressions') await run.verify(expected);
  if (stream === 'exposures') await run.verifyUnits(expected);
}

const sum = (measured: readonly Measured[], of: (one: Measured) => number): number => measured.reduce((total, one) => total + of(one), 0);

const ingestScenario =
  (options: Ingest): Scenario =>
  async (work) => {
    const [measured] = await ingest(work, options);
    work.report.process(work.name, measured, options.targets);
  };

/**
 * Two processes on two cores against one; the second shares its core with the broker, which takes what it needs of that. So the
 * target is for the CPU time of an event: what stands in the way of the other is in there, and the broker is not.
 */
const twoProcesses: Scenario = async (work) => {
  const { report, name } = work;
  const [one] = await ingest(work, { share: TWO_SHARE, partitions: 2 });
  const two = await ingest(work, { share: TWO_SHARE, partitions: 2, processes: 2 });
  const alone = one.records / one.seconds;
  const together = commonRate(two.map(({ samples }) => samples));
  report.figure(name, 'one process', alone / 1e6, 'M/s');
  report.figure(name, 'two processes while both count, the second on the broker’s core', together / 1e6, 'M/s');
  report.figure(name, 'two against one, of what the broker leaves', together / alone, 'times');
  const cpuOf = (all: readonly Measured[]): number => sum(all, ({ cpuSeconds }) => cpuSeconds) / sum(all, ({ records }) => records);
  const [cpuOfOne, cpuOfTwo] = [cpuOf([one]), cpuOf(two)];
  report.figure(name, 'CPU a million events, of one', cpuOfOne * 1e6, 's');
  report.figure(name, 'CPU a million events, of two', cpuOfTwo * 1e6, 's');
  report.figure(name, 'two against one, by the CPU time of each', (2 * cpuOfOne) / cpuOfTwo, 'times', { min: 1.8 });
};

/** Judged a second, of all together, in the time in which all were at it. */
function commonRate(all: readonly Measured['samples'][]): number {
  const fromMs = Math.max(...all.map((samples) => samples[0][0]));
  const toMs = Math.min(...all.map((samples) => samples[samples.length - 1][0]));
  if (toMs <= fromMs) throw new Error('the processes did not count at the same time: more --records are needed');
  const judgedBy = (samples: Measured['samples'], atMs: number): number =>
    samples.findLast(([wallMs]) => wallMs <= atMs)?.[1] ?? samples[0][1];
  const judged = all.reduce((total, samples) => total + judgedBy(samples, toMs) - judgedBy(samples, fromMs), 0);
  return (judged / (toMs - fromMs)) * 1000;
}

const live =
  (eventsPerS: (work: Work) => Promise<number>): Scenario =>
  async (work) => {
    const { report, name } = work;
    const rate = Math.round(await eventsPerS(work));
    const { latenciesMs, measured } = await liveRun(work, rate);
    if (latenciesMs.length === 0) throw new Error('nothing became visible while it was measured');
    const sorted = [...latenciesMs].sort((a, b) => a - b);
    const quantile = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
    const isTarget = rate === LIVE_EVENTS_PER_S;
    report.figure(name, 'impressions a second', rate / 1000, 'k/s');
    report.figure(
      name,
      'produced → visible in Redis, the oldest record of an emission: median',
      quantile(0.5),
      'ms',
      isTarget ? { max: 300 } : {},
    );
    report.figure(name, `the same, 99 of 100 (of ${sorted.length} emissions)`, quantile(0.99), 'ms', isTarget ? { max: 1000 } : {});
    report.figure(name, 'CPU of both stages', (100 * measured.cpuSeconds) / measured.seconds, '% of a core');
    report.figure(name, 'longest pause of the event loop', measured.longestPauseMs, 'ms', { max: 50 });
    report.expenses(name, measured.expenses);
  };

const stages: Scenario = async ({ records, profile, report, name }) => {
  const { expenses, longestMs, cpu, ...laps } = await measureStages({
    stream: 'impressions',
    records: Math.min(records, 2_000_000),
    campaigns: CAMPAIGNS,
    keys: TEN_MILLION,
    profile,
  });
  const says = {
    receive: 'copying to where a response lies',
    open: 'checksums',
    read: 'finding records',
    process: 'decoding and judging',
    emit: 'building partials',
    commit: 'building commits',
  };
  for (const [stage, seconds] of Object.entries(laps)) report.figure(name, says[stage as keyof typeof says], seconds, 's a million');
  report.figure(name, 'CPU of all', cpu, 's a million');
  report.figure(name, 'longest record set', longestMs, 'ms');
  report.expenses(name, expenses);
};

let capacity = 0;

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'JSON.parse alone': async ({ report, name }) => report.figure(name, 'CPU a million events', jsonRate(), 's'),
  'by stage, without a broker, 10 M keys before': stages,
  'kafkajs decoding': ingestScenario({ share: 0.5, plan: { decoder: 'kafkajs' }, targets: { cpu: { max: 1.5 } } }),
  'default, 1 partition': async (work) => {
    const [measured] = await ingest(work, {});
    capacity = measured.records / measured.seconds;
    work.report.process(work.name, measured, { cpu: { max: 0.7 }, rate: { min: 1 } });
  },
  'default, 2 partitions': ingestScenario({ partitions: 2, targets: { cpu: { max: 0.7 } } }),
  'default, 4 partitions': async (work) => {
    await ingestScenario({ partitions: 4, targets: { cpu: { max: 0.7 } } })(work);
    const compared = { more: 'default, 4 partitions', less: 'default, 1 partition', of: 3 };
    work.report.memory(work.name, 'resident memory, a partition more with the same records', compared);
  },
  '100,000 campaigns': ingestScenario({ campaigns: 100_000, targets: { cpu: { max: 0.7 } } }),
  // Suspects expire and tables are swept, which takes a quarter of an hour of event time.
  'two hours of traffic': ingestScenario({ perSecond: 800, targets: { cpu: { max: 0.7 } } }),
  exposures: ingestScenario({ share: 0.5, stream: 'exposures' }),
  assignments: ingestScenario({ share: 0.5, stream: 'assignments' }),
  lz4: ingestScenario({ share: 0.5, codec: 'lz4' }),
  zstd: ingestScenario({ share: 0.5, codec: 'zstd' }),
  '10 M keys before': async (work) => {
    await ingestScenario({ plan: { keys: TEN_MILLION }, targets: { cpu: { max: 0.7 } } })(work);
    const compared = { more: '10 M keys before', less: 'default, 1 partition', of: 10 };
    work.report.memory(work.name, 'resident memory, a million keys', compared);
  },
  '50 M keys before': ingestScenario({ plan: { keys: 5 * TEN_MILLION }, targets: { cpu: { max: 0.9 } } }),
  'two processes': twoProcesses,
  'evaluate, merging': async ({ report, name }) =>
    report.figure(name, 'cells a CPU second', (await evaluateRate()) / 1e6, 'M/s', { min: 1 }),
  'evaluate, Redis': async ({ services, report, name }) => {
    const rate = await onMeasuredCore(() => redisRate(services.redisUrl));
    report.figure(name, 'keys a second, each behind its fence', rate / 1000, 'k/s', { min: 200 });
    report.figure(name, 'values in them', (rate * VALUES_A_KEY) / 1000, 'k/s');
  },
  'end to end at 20,000 a second': live(async () => LIVE_EVENTS_PER_S),
  'end to end at half of capacity': live(async (work) => {
    if (capacity === 0) {
      const [measured] = await ingest(work, {});
      capacity = measured.records / measured.seconds;
    }
    return capacity / 2;
  }),
};
