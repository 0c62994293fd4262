/** A measured process: the stages as `run` puts them together, and the meters around them. Started by bench/main.ts. */
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { MemoryAlertStore } from '../../src/alerts/store.ts';
import { loadSettings } from '../../src/config.ts';
import { MemoryTotals } from '../../src/sinks/memory-totals.ts';
import { RedisCounters } from '../../src/sinks/redis-counters.ts';
import { StaticRegistry } from '../../src/sinks/registry.ts';
import { DirStateStore } from '../../src/state/dir-store.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { IngestStage } from '../../src/topology/ingest.ts';
import { PackedRecords } from '../../src/topology/packed-records.ts';
import { Pipeline } from '../../src/topology/pipeline.ts';
import { KafkaAdmin } from '../../src/topology/sources/kafka-admin.ts';
import { kafkaClient } from '../../src/topology/sources/kafka-client.ts';
import { KafkaSource } from '../../src/topology/sources/kafka-source.ts';
import { KafkaWriter } from '../../src/topology/sources/kafka-writer.ts';
import type { CounterSink, LogWriter, Source } from '../../src/topology/types.ts';
import { prefill } from './prefill.ts';
import { Profile } from './profile.ts';
import type { FromWorker, Measured, ToWorker, WorkerPlan } from './protocol.ts';

const LOOK_MS = 20;
/** The longest pause of the event loop is the longest time from tick to tick: told too long by this at most. */
const TICK_MS = 2;
/** Compiled and warm by then: the figures begin here. */
const WARM_SHARE = 0.5;
const STATE_BYTES = 16 * 1024 ** 3;

const plan = JSON.parse(process.argv[2]) as WorkerPlan;
const clock = new SystemClock();
const nothing = (): void => undefined;
const logger = { debug: nothing, info: nothing, warn: (fields: object, text: string) => console.warn(text, fields), error: console.error };
const tell = (message: FromWorker): void => void process.send?.(message);

const yaml = JSON.stringify({
  streams: { [plan.stream]: { topic: plan.topic } },
  outputs: { prefix: plan.partials.slice(0, -'partials'.length) },
  ...(plan.fetchBytes === null ? {} : { limits: { fetchBytes: plan.fetchBytes } }),
});
const settings = loadSettings({ CONFIG_FILE: 'bench' }, () => yaml);
const store = new DirStateStore(plan.stateDir, { hashSeed: new Uint8Array(8) });
await prefill(store, { settings, plan });

const kafka = kafkaClient({ brokers: plan.brokers.split(','), clientId: 'bench' }, logger);
const admin = new KafkaAdmin(kafka);
const source = (stage: string, topic: string): Source =>
  new KafkaSource(kafka, {
    groupId: `${plan.group}-${stage}`,
    topics: [topic],
    clock,
    logger,
    decoder: plan.decoder,
    fetchBytes: settings.limits.fetchBytes,
  });
/** What is sent to `.partials`, by the clock: building it, and making record batches of it. */
const partials = { ms: 0, bytes: 0 };
const timed = <Given extends unknown[], Out>(method: (this: IngestStage, ...given: Given) => Out) =>
  function (this: IngestStage, ...given: Given): Out {
    const startedMs = performance.now();
    const out = method.apply(this, given);
    partials.ms += performance.now() - startedMs;
    return out;
  };
const { emit, prepare } = IngestStage.prototype;
Object.assign(IngestStage.prototype, { emit: timed(emit), prepare: timed(prepare) });
const kafkaWriter = new KafkaWriter(kafka, { clock, logger });
const writer: LogWriter = {
  send: (records) => {
    for (const record of records)
      if (!(record instanceof PackedRecords) && record.topic === plan.partials) partials.bytes += record.value?.length ?? 0;
    return kafkaWriter.send(records);
  },
  close: () => kafkaWriter.close(),
};
const idle: CounterSink = { write: () => Promise.reject(new Error('evaluate does not run here')), close: () => Promise.resolve() };
const log = { info: nothing, warn: (fields: object, text: string) => console.warn(text, fields) } as never;
const latenciesMs: number[] = [];
const fail = (error: Error): void => {
  console.error(error);
  process.exit(1);
};
const pipeline: Pipeline = new Pipeline(
  {
    ingestSource: source('ingest', plan.topic),
    evaluateSource: plan.redisUrl === null ? null : source('evaluate', plan.partials),
    writer,
    stateStore: store,
    counters: plan.redisUrl === null ? idle : new RedisCounters({ url: plan.redisUrl, keyPrefix: plan.keyPrefix, clock, log }),
    totals: new MemoryTotals(),
    alerts: new MemoryAlertStore(),
    registry: new StaticRegistry(),
    clock,
    partitionCounts: async () => {
      const counts = await admin.partitionCounts([plan.topic, plan.partials]);
      return new Map([...counts].map(([name, count]) => [name, count ?? 0]));
    },
  },
  {
    settings,
    outputUnique: false,
    stateMemoryBytes: STATE_BYTES,
    acceptStateLoss: false,
    observer: {
      fatal: fail,
      failed: (task, error) => console.warn(task, error),
      delivered: (task) => {
        if (task.stage !== 'evaluate') return;
        const { wallMs } = clock.now();
        const { stage } = pipeline.evaluateTasks.find(({ id }) => id.partition === task.partition) ?? { stage: null };
        for (const recordMs of stage?.takeVisible() ?? []) latenciesMs.push(wallMs - recordMs);
      },
    },
  },
);

const judged = (): number => pipeline.ingestTasks.reduce((sum, { stage }) => sum + (stage?.state.totals.sums.consumed ?? 0), 0);
const committed = (): number => pipeline.ingestTasks.reduce((sum, task) => sum + Math.max(0, task.committed), 0);

const hasItsShare = (): boolean => pipeline.ingestTasks.length === plan.tasks;

let gcMs = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) gcMs += duration;
}).observe({ entryTypes: ['gc'] });

let stopping = false;
process.on('message', (message: ToWorker) => {
  stopping = message.stop;
});
process.once('disconnect', () => process.exit(1));
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds() && !stopping) await clock.sleep(LOOK_MS);
};

await pipeline.start();
await until(() => pipeline.ready && pipeline.ingestTasks.length > 0);
tell({ ready: true });
await until(() => hasItsShare() && judged() >= plan.records * WARM_SHARE);
const profile = plan.profile ? await Profile.begin() : null;
const delay = monitorEventLoopDelay({ resolution: TICK_MS });
delay.enable();
const [records, startedMs, cpu, gcBefore, partialsBefore] = [judged(), performance.now(), process.cpuUsage(), gcMs, { ...partials }];
const samples: [number, number][] = [];
latenciesMs.length = 0;
await until(() => {
  samples.push([clock.now().wallMs, judged()]);
  return hasItsShare() && judged() >= plan.records;
});
const [measured, seconds, used] = [judged() - records, (performance.now() - startedMs) / 1000, process.cpuUsage(cpu)];
delay.disable();
const expenses = (await profile?.end()) ?? [];
await until(() => committed() >= judged());
const totals = pipeline.ingestTasks.map(({ stage }) => stage?.state.totals.dispositions ?? new Float64Array(4));
const result: Measured = {
  records: measured,
  seconds,
  cpuSeconds: (used.user + used.system) / 1e6,
  gcShare: (gcMs - gcBefore) / 1000 / seconds,
  rssBytes: process.memoryUsage.rss(),
  stateBytes: pipeline.ingestTasks.reduce((sum, { stage }) => sum + (stage?.byteLength ?? 0), 0),
  longestPauseMs: delay.max / 1e6,
  accepted: totals.reduce((sum, [accepted]) => sum + accepted, 0),
  duplicates: totals.reduce((sum, [, duplicates]) => sum + duplicates, 0),
  latenciesMs,
  partialsShare: (partials.ms - partialsBefore.ms) / 1000 / ((used.user + used.system) / 1e6),
  partialsBytes: partials.bytes - partialsBefore.bytes,
  samples,
  expenses,
};
tell({ measured: result });
// Its share would fall to the others, which are still measured.
await until(() => false);
await pipeline.stop();
process.disconnect();
process.exit(0);
