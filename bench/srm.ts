/**
 * `npm run bench:srm [-- --experiments 10000] [--seconds 60]`: healthy experiments of three variants and twenty segments each, 50,000 first exposures a
 * second, from records through ingest to evaluate's looks, commits and alerts. Prints how much of one core evaluate needs, and
 * memory. Every experiment is healthy, so every alert is a false one.
 */
import { parseArgs } from 'node:util';
import { loadSettings } from '../src/config.ts';
import { Decoder } from '../src/operators/decode.ts';
import { type AllocationRow, EMPTY_ROWS, type ExperimentRow, makeRegistry, type VariantRow } from '../src/sinks/registry.ts';
import { Integrity } from '../src/srm/part.ts';
import { SeededHash } from '../src/state/hash.ts';
import { MemoryBudget } from '../src/state/memory-budget.ts';
import { EvaluateStage } from '../src/topology/evaluate.ts';
import { EVALUATE_PARTS } from '../src/topology/evaluate-parts.ts';
import { IngestStage } from '../src/topology/ingest.ts';
import { unpacked } from '../src/topology/packed-records.ts';
import { ListedBatch } from '../src/topology/sources/listed-batch.ts';
import { collect, print, START } from './figures.ts';

const { values } = parseArgs({
  options: { experiments: { type: 'string', default: '10000' }, seconds: { type: 'string', default: '60' } },
});
const EXPERIMENTS = Number(values.experiments);
const SECONDS = Number(values.seconds);
const RATE = 50_000;
const EMISSIONS = 5;
const SOURCES = 4;
const VARIANTS = ['control', 'one', 'two'];
const PARTIALS = 'exposure-stream.partials';
/** Four dimensions of five values. */
const DIMENSIONS = {
  country: ['US', 'DE', 'BR', 'IN', 'JP'],
  device_os: ['ios', 'android', 'web', 'tv', 'car'],
  sdk_version: ['1', '2', '3', '4', '5'],
  surface: ['a', 'b', 'c', 'd', 'e'],
};

const { time, pace, pacing, limits, srm } = loadSettings({}, () => '');
const utf8 = new TextEncoder();

let state = 20261126;
/** 0 to n − 1. */
const draw = (n: number): number => {
  state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
  let x = state ^ (state >>> 12);
  x = Math.imul(x ^ (x >>> 13), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) % n;
};

function ingestOf(partition: number): IngestStage {
  const decoder = new Decoder('exposures', { mapping: {}, maxSpendMicros: 1e12, maxFutureSkewMs: 3e5 });
  const outputs = { partials: PARTIALS, duplicates: 'd', late: 'l', invalid: 'i', violations: 'v', unique: null };
  const place = { stream: 'exposures', topic: 'exposures', partition, partitions: SOURCES, partialsPartitions: 1 } as const;
  const stage = new IngestStage({
    ...place,
    decoder,
    hash: new SeededHash(new Uint8Array(8)),
    budget: new MemoryBudget(),
    time,
    pace,
    limits,
    srm,
    outputs,
  });
  stage.begin(0);
  stage.owned(1, { monotonicMs: 0, wallMs: START });
  return stage;
}

function registry() {
  const experiments = new Map<string, ExperimentRow>();
  const variants = new Map<string, VariantRow[]>();
  const allocations = new Map<string, AllocationRow[]>();
  const always = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };
  for (let i = 0; i < EXPERIMENTS; i++) {
    const experimentId = `experiment-${i}`;
    const plain = {
      name: '',
      owner: 'bench',
      status: 'running',
      randomizationUnit: 'user',
      salt: null,
      hash: null,
      startedAtMs: null,
      endedAtMs: null,
    };
    experiments.set(experimentId, { experimentId, ...plain });
    variants.set(
      experimentId,
      VARIANTS.map((variantId, position) => ({ experimentId, variantId, position })),
    );
    allocations.set(
      experimentId,
      VARIANTS.map((variantId, v) => ({ experimentId, version: 1, variantId, share: v === 0 ? 0.34 : 0.33, ...always })),
    );
  }
  return makeRegistry({ ...EMPTY_ROWS, experiments, variants, allocations }, { version: 1, epoch: 1, asOfMs: 0, loadedWallMs: 0 });
}

let unit = 0;
function record(offset: number, nowMs: number) {
  const share = draw(100);
  const variant = VARIANTS[share < 34 ? 0 : share < 67 ? 1 : 2];
  const attributes = Object.fromEntries(Object.entries(DIMENSIONS).map(([name, of]) => [name, of[draw(of.length)]]));
  const id = `u${unit++}`;
  const event = {
    event_id: id,
    experiment_id: `experiment-${draw(EXPERIMENTS)}`,
    variant_id: variant,
    unit_id: id,
    event_ts: nowMs,
    attributes,
  };
  return { offset, timestampMs: nowMs, key: utf8.encode(id), value: utf8.encode(JSON.stringify(event)) };
}

const heard = { contactMs: () => Number.POSITIVE_INFINITY, endReachedMs: () => null };
const ingest = Array.from({ length: SOURCES }, (_, partition) => ingestOf(partition));
const evaluate = new EvaluateStage({
  topic: PARTIALS,
  partition: 0,
  partialsPartitions: 1,
  pace,
  pacing,
  limits,
  srm,
  parts: EVALUATE_PARTS,
});
evaluate.register(registry());
evaluate.begin(0);
evaluate.owned();

/** Wall time, so too much where others use the machine. */
const spent = { looks: 0, counters: 0, commits: 0, hours: 0 };
// Ingest first, so that its garbage is not evaluate's.
let ingestMs = 0;
const emissions: { nowMs: number; partials: Uint8Array[] }[] = [];
for (let tick = 0; tick < SECONDS * EMISSIONS; tick++) {
  const nowMs = START + tick * (1000 / EMISSIONS);
  const now = { monotonicMs: tick * (1000 / EMISSIONS), wallMs: nowMs };
  const partials: Uint8Array[] = [];
  for (const stage of ingest) {
    const first = stage.position;
    const count = RATE / EMISSIONS / SOURCES;
    const records = Array.from({ length: count }, (_, i) => record(first + i, nowMs));
    const place = { topic: 'exposures', partition: 0, nextOffset: first + count, endOffset: first + count, byteLength: 0 };
    const cpu = process.cpuUsage();
    stage.process(new ListedBatch(place, records), now);
    for (const { topic, value } of unpacked(stage.emit(now, heard, true) ?? []))
      if (topic === PARTIALS && value) partials.push(value.slice());
    stage.takeCommit();
    const { user, system } = process.cpuUsage(cpu);
    ingestMs += (user + system) / 1000;
  }
  emissions.push({ nowMs, partials });
}
const wireBytes = emissions.reduce((sum, { partials }) => sum + partials.reduce((bytes, value) => bytes + value.length, 0), 0);
ingest.length = 0;
collect();
const before = process.memoryUsage();

let [evaluateMs, commitBytes, offset] = [0, 0, 0];
/** Of what runs in one go: a record, what is written, a commit. CPU time of the thread, since others use the machine too. */
const threadMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};
const longest = { record: 0, emission: 0, commit: 0 };
for (const [tick, { nowMs, partials }] of emissions.entries()) {
  const now = { monotonicMs: tick * (1000 / EMISSIONS), wallMs: nowMs };
  const cpu = process.cpuUsage();
  const from = performance.now();
  for (const value of partials) {
    const at = offset++;
    const place = { topic: PARTIALS, partition: 0, nextOffset: at + 1, endOffset: at + 1, byteLength: 0 };
    const began = threadMs();
    evaluate.process(new ListedBatch(place, [{ offset: at, timestampMs: nowMs, key: null, value }]));
    longest.record = Math.max(longest.record, threadMs() - began);
  }
  const looked = performance.now();
  const lookedMs = threadMs();
  evaluate.emit(now, heard, true);
  evaluate.delivered({ refused: [], dataLost: false, kept: [], timeMs: 0 }, now);
  const emitted = performance.now();
  const emittedMs = threadMs();
  if (tick % EMISSIONS === 0) commitBytes += evaluate.takeCommit().changes.length;
  const committed = performance.now();
  const committedMs = threadMs();
  // As often as hourly totals go to Postgres.
  if (tick % (EMISSIONS * 30) === EMISSIONS * 29) {
    evaluate.takeHours(Number.POSITIVE_INFINITY);
    evaluate.hoursLanded(true);
  }
  const { user, system } = process.cpuUsage(cpu);
  evaluateMs += (user + system) / 1000;
  spent.looks += looked - from;
  spent.counters += emitted - looked;
  spent.commits += committed - emitted;
  spent.hours += performance.now() - committed;
  longest.emission = Math.max(longest.emission, emittedMs - lookedMs);
  longest.commit = Math.max(longest.commit, committedMs - emittedMs);
}
collect();
const share = evaluateMs / 1000 / SECONDS;
const part = evaluate.parts.find((one) => one instanceof Integrity);
const after = process.memoryUsage();
const mb = (bytes: number): string => `${Math.round(bytes / 2 ** 20).toLocaleString('en-US')} MB`;
print(
  `${EXPERIMENTS.toLocaleString('en-US')} experiments × ${VARIANTS.length} variants × 20 segments, ${RATE.toLocaleString('en-US')} first exposures a second for ${SECONDS} s`,
);
print(
  `evaluate: ${(share * 100).toFixed(0)} % of one core (${(evaluateMs / SECONDS).toFixed(0)} ms of CPU a second); commits ${mb(commitBytes / SECONDS)} a second`,
);
print(
  `of its time: ${Object.entries(spent)
    .map(([what, ms]) => `${what} ${(ms / SECONDS).toFixed(0)} ms`)
    .join(', ')} a second`,
);
print(
  `longest in one go, CPU time of its thread: ${Object.entries(longest)
    .map(([what, ms]) => `${what} ${ms.toFixed(0)} ms`)
    .join(', ')}`,
);
print(`ingest beside it: ${((ingestMs / SECONDS / 1000) * 100).toFixed(0)} % of one core`);
print(
  `memory of evaluate: ${mb(after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers)}, of it cells ${mb(evaluate.state.sizes.cells.bytes)}; resident ${mb(after.rss)} with ${mb(wireBytes)} of partials waiting`,
);
const alerts = [...evaluate.state.alerts.open()];
const kinds = [...new Set(alerts.map(({ kind }) => kind))].map((kind) => `${kind} ${alerts.filter((alert) => alert.kind === kind).length}`);
print(`${part?.experiments.size ?? 0} experiments watched; false alerts: ${kinds.length === 0 ? 'none' : kinds.join(', ')}`);
process.exitCode = share < 1 ? 0 : 1;
