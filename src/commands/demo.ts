/**
 * `demo`: seeded traffic with faults through the production topology, on logs and stores in this process. Half-way the
 * process is "killed": its memory is gone, a new owner restores from the commit log. At the end every number is held
 * against the truth that the generator knows.
 */

import { MemoryAlertStore } from '../alerts/store.ts';
import { alertJson } from '../alerts/types.ts';
import type { Settings } from '../config.ts';
import { outputTopic } from '../config.ts';
import { asError } from '../errors.ts';
import { generateTraffic, suspectReport, type Traffic } from '../generate/index.ts';
import { MemoryCounterStore, MemoryCounters } from '../sinks/memory-counters.ts';
import { MemoryTotals } from '../sinks/memory-totals.ts';
import { StaticRegistry } from '../sinks/registry.ts';
import { MemoryStateStore } from '../state/memory-store.ts';
import { unpacked } from '../topology/packed-records.ts';
import { Pipeline } from '../topology/pipeline.ts';
import { MemoryBroker, MemoryWriter } from '../topology/sources/memory-log.ts';
import { MemorySource } from '../topology/sources/memory-source.ts';
import type { Clock } from '../topology/types.ts';
import { STREAMS } from '../topology/types.ts';
import { compareWithTruth } from './demo-compare.ts';
import { DEMO_REGISTRY, DemoExperiment } from './demo-experiment.ts';
import { playPacing } from './demo-pacing.ts';
import { DemoScreen } from './demo-screen.ts';
import { type CommonOptions, type Host, printJson, settingsOf } from './host.ts';
import { SideTally } from './side-tally.ts';
import { countedUntilEnd } from './until-end.ts';

const IMPRESSIONS = 200_000;
const PARTITIONS = 4;
const PARTIALS_PARTITIONS = 2;
/** How long the traffic takes to come; enough to watch. */
const FEED_MS = 9000;
const TICK_MS = 25;
const SCREEN_MS = 500;

export interface DemoOptions extends CommonOptions {
  records?: number;
  seed: number;
}

/** Resolves with the exit code: 1 when a number differs from the truth. */
export async function demo(host: Host, options: DemoOptions): Promise<number> {
  const settings = settingsOf(host, options);
  const impressions = options.records ?? IMPRESSIONS;
  const traffic = generateTraffic({
    seed: options.seed,
    partitions: PARTITIONS,
    impressions,
    exposures: Math.ceil(impressions * 0.3),
    assignments: Math.ceil(impressions * 0.1),
  });
  const world = new DemoWorld(host, settings);
  const screen = new DemoScreen(host, options.json === true, traffic.total);
  screen.say(
    `${traffic.total.toLocaleString('en-US')} records with duplicates, disorder, late, malformed and re-stamped ones; ${PARTITIONS} partitions a topic`,
  );
  const startedMs = host.clock.now().monotonicMs;
  await world.start();
  if (!(await feed(host, traffic, world, screen))) return 1;
  const done = await world.drain(host.stopping);
  await world.stop();
  if (!done) return 1;
  const seconds = (host.clock.now().monotonicMs - startedMs) / 1000;
  const truth = traffic.truth();
  const comparison = compareWithTruth(truth, world.counters, world.side);
  const suspects = suspectReport(truth, world.side.suspected());
  const pacing = await playPacing(host, settings, (line) => screen.say(line));
  if (pacing === null) return 1;
  const alerts = world.alerts.rows.all();
  screen.alerts(alerts);
  screen.end(comparison, suspects, seconds);
  if (options.json)
    printJson(host, {
      records: traffic.total,
      kills: 1,
      ...comparison,
      suspected_duplicates: suspects,
      pacing,
      alerts: alerts.map(alertJson),
      timing: { seconds },
    });
  return comparison.different === 0 ? 0 : 1;
}

/** Produces the traffic over a few seconds, shows what happens, and kills the process half-way. */
async function feed(host: Host, traffic: Traffic, world: DemoWorld, screen: DemoScreen): Promise<boolean> {
  const { clock, stopping } = host;
  const startedMs = clock.now().monotonicMs;
  let sent = 0;
  let shownMs = startedMs;
  let killed = false;
  let due = 0;
  for (const record of traffic) {
    while (sent >= due) {
      if (stopping.aborted || world.failure !== null) return stopped(world);
      await clock.sleep(TICK_MS, stopping);
      const nowMs = clock.now().monotonicMs;
      due = Math.min(traffic.total, Math.ceil(((nowMs - startedMs) / FEED_MS) * traffic.total));
      if (nowMs - shownMs >= SCREEN_MS) {
        shownMs = nowMs;
        screen.show(world.pipeline, sent);
      }
      if (!killed && sent > traffic.total / 2) {
        killed = true;
        await world.killAndRestart();
        screen.say('✂ kill -9: memory gone. A new owner claims the state, restores it from the commit log and goes on at its position.');
      }
    }
    world.broker.append(record.topic, record.partition, { key: record.key, value: record.value, timestampMs: record.timestampMs });
    if (record.topic === 'exposures') world.experiment.unit(record.timestampMs, sent > traffic.total / 2);
    sent++;
  }
  return true;
}

function stopped(world: DemoWorld): false {
  if (world.failure !== null) throw world.failure;
  return false;
}

/** What outlives the process: logs, state, counters. And the process. */
class DemoWorld {
  readonly broker: MemoryBroker;
  readonly counters: MemoryCounters;
  readonly side = new SideTally();
  readonly experiment: DemoExperiment;
  readonly alerts = new MemoryAlertStore();
  failure: Error | null = null;
  pipeline: Pipeline;
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #store: MemoryCounterStore;
  readonly #state = new MemoryStateStore();
  readonly #partials: string;
  readonly #counts: Record<string, number>;
  #sources: MemorySource[] = [];

  constructor(host: Host, settings: Settings) {
    this.#settings = settings;
    this.#clock = host.clock;
    this.#store = new MemoryCounterStore(() => host.clock.now().wallMs);
    this.#partials = outputTopic(settings, 'partials');
    const { exposures, assignments } = settings.streams;
    const traffic = Object.fromEntries(STREAMS.map((stream) => [settings.streams[stream].topic, PARTITIONS]));
    this.#counts = {
      ...traffic,
      [exposures.topic]: PARTITIONS + 1,
      [assignments.topic]: PARTITIONS + 1,
      [this.#partials]: PARTIALS_PARTITIONS,
    };
    this.broker = new MemoryBroker(host.clock, this.#counts);
    this.counters = new MemoryCounters({ store: this.#store });
    this.experiment = new DemoExperiment(this.broker, {
      exposures: exposures.topic,
      assignments: assignments.topic,
      partition: PARTITIONS,
    });
    this.pipeline = this.#process();
  }

  start(): Promise<void> {
    return this.pipeline.start();
  }

  /** As `kill -9` does: nothing is committed, nothing is said; then a new process on what is left. */
  async killAndRestart(): Promise<void> {
    for (const source of this.#sources) source.reassign([]);
    const dead = this.pipeline;
    this.pipeline = this.#process();
    await this.pipeline.start();
    void dead.stop();
  }

  drain(stopping: AbortSignal): Promise<boolean> {
    const endOf = ({ id }: { id: { topic: string; partition: number } }) => this.broker.partition(id.topic, id.partition).end;
    return countedUntilEnd({ pipeline: this.pipeline, clock: this.#clock, stopping, endOf });
  }

  stop(): Promise<void> {
    return this.pipeline.stop();
  }

  #process(): Pipeline {
    const { streams, pace } = this.#settings;
    const source = new MemorySource(this.broker, { group: 'ingest', topics: STREAMS.map((stream) => streams[stream].topic) });
    const evaluateSource = new MemorySource(this.broker, { group: 'evaluate', topics: [this.#partials] });
    this.#sources = [source, evaluateSource];
    const log = new MemoryWriter(this.broker);
    return new Pipeline(
      {
        ingestSource: source,
        evaluateSource,
        writer: { send: (records) => log.send(this.side.take(unpacked(records), this.#partials)), close: () => log.close() },
        stateStore: this.#state,
        counters: new MemoryCounters({ store: this.#store }),
        totals: new MemoryTotals(),
        alerts: this.alerts,
        registry: new StaticRegistry(DEMO_REGISTRY),
        clock: this.#clock,
        partitionCounts: () => Promise.resolve(new Map(Object.entries(this.#counts))),
      },
      {
        settings: { ...this.#settings, pace: { ...pace, commitMs: 500 } },
        outputUnique: false,
        stateMemoryBytes: this.#settings.env.STATE_MEMORY_BYTES,
        acceptStateLoss: false,
        observer: {
          fatal: (error) => {
            this.failure = asError(error);
          },
          failed: (_task, error, backoffMs) => {
            if (backoffMs === null) this.failure = error;
          },
        },
      },
    );
  }
}
