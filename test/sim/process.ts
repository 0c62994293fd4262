/** One process of the simulation: the production pipeline over ports whose every await is a step of the scheduler. */

import { type AlertRows, MemoryAlertStore } from '../../src/alerts/store.ts';
import { MemoryCounters } from '../../src/sinks/memory-counters.ts';
import { MemoryTotals } from '../../src/sinks/memory-totals.ts';
import type { Registry, RegistrySource, StaticRegistry } from '../../src/sinks/registry.ts';
import { type MemoryDisk, MemoryStateStore } from '../../src/state/memory-store.ts';
import { EVALUATE_PARTS } from '../../src/topology/evaluate-parts.ts';
import { type Outgoing, unpacked } from '../../src/topology/packed-records.ts';
import { Pipeline, type PipelineObserver, type PipelinePorts } from '../../src/topology/pipeline.ts';
import { type MemoryBroker, MemoryWriter } from '../../src/topology/sources/memory-log.ts';
import { type AssignedPartition, MemorySource } from '../../src/topology/sources/memory-source.ts';
import type {
  Claim,
  Commit,
  CommitLog,
  CounterOutcome,
  CounterSink,
  CounterWrite,
  CounterWriter,
  LogWriter,
  StateHeader,
  StateStore,
  TaskId,
} from '../../src/topology/types.ts';
import { STREAMS } from '../../src/topology/types.ts';
import { manyUnits } from './alerts.ts';
import type { Plan } from './plan.ts';
import { Actor, type Scheduler } from './scheduler.ts';
import type { WatchedCounters, WatchedTotals } from './watched.ts';

export const PARTIALS = 'exposure-stream.partials';
export type Group = 'ingest' | 'evaluate';
export const GROUPS: readonly Group[] = ['ingest', 'evaluate'];

/** What outlives every process. */
export interface World {
  plan: Plan;
  scheduler: Scheduler;
  broker: MemoryBroker;
  counters: WatchedCounters;
  totals: WatchedTotals;
  alerts: AlertRows;
  registry: StaticRegistry;
  /** Calls that are to take effect once more, some time later; asked once a call. */
  repeats: (what: 'send' | 'counters' | 'append', again: () => void) => void;
}

/** Whatever the coordinator has last told this process. */
class SimSource extends MemorySource {
  assignment: AssignedPartition[] = [];

  override everything(): AssignedPartition[] {
    return this.assignment;
  }

  assign(partitions: AssignedPartition[]): void {
    this.assignment = partitions;
    this.reassign(partitions);
  }
}

type Step = (label: string) => Promise<void>;

export class SimProcess {
  readonly actor: Actor;
  readonly disk: MemoryDisk;
  readonly pipeline: Pipeline;
  readonly sources: Record<Group, SimSource>;
  readonly acceptStateLoss: boolean;
  stopping = false;

  constructor(name: string, world: World, options: { disk: MemoryDisk; acceptStateLoss: boolean; observer: PipelineObserver }) {
    const { plan, scheduler, broker } = world;
    this.actor = new Actor(name);
    this.disk = options.disk;
    this.acceptStateLoss = options.acceptStateLoss;
    const step: Step = (label) => scheduler.step(this.actor, label);
    const common = { maxBatchRecords: plan.maxBatchRecords, step };
    this.sources = {
      ingest: new SimSource(broker, { ...common, group: 'ingest', topics: STREAMS }),
      evaluate: new SimSource(broker, { ...common, group: 'evaluate', topics: [PARTIALS] }),
    };
    const ports: PipelinePorts = {
      ingestSource: this.sources.ingest,
      evaluateSource: this.sources.evaluate,
      writer: new SimWriter(world, step),
      stateStore: new SimStateStore(world, options.disk, step),
      counters: new SimCounters(world, step),
      totals: new MemoryTotals(world.totals, step),
      alerts: new MemoryAlertStore(world.alerts, step),
      registry: registryOf(world.registry, step),
      clock: scheduler.clockOf(this.actor),
      partitionCounts: async () => {
        await step('counts before');
        return new Map([...STREAMS.map((stream) => [stream, plan.partitions[stream]] as const), [PARTIALS, plan.partialsPartitions]]);
      },
    };
    this.pipeline = new Pipeline(ports, {
      settings: plan.settings,
      outputUnique: plan.outputUnique,
      stateMemoryBytes: Number.POSITIVE_INFINITY,
      acceptStateLoss: options.acceptStateLoss,
      observer: options.observer,
      parts: [...EVALUATE_PARTS, manyUnits],
    });
  }

  assign(group: Group, partitions: AssignedPartition[]): void {
    this.sources[group].assign(partitions);
  }
}

export class SimWriter implements LogWriter {
  readonly #world: World;
  readonly #inner: MemoryWriter;

  constructor(world: World, step: Step) {
    this.#world = world;
    this.#inner = new MemoryWriter(world.broker, step);
  }

  async send(records: readonly Outgoing[]): Promise<void> {
    const { broker, repeats } = this.#world;
    // As they are now: what comes again was on its way already, and their memory is used for others.
    const sent = unpacked(records).map((record) => ({ ...record, key: record.key?.slice() ?? null, value: record.value?.slice() ?? null }));
    repeats('send', () => void new MemoryWriter(broker).send(sent));
    await this.#inner.send(records);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class SimCounters implements CounterSink {
  readonly #world: World;
  readonly #inner: MemoryCounters;

  constructor(world: World, step: Step) {
    this.#world = world;
    this.#inner = new MemoryCounters({ store: world.counters, step, keysPerStep: world.plan.keysPerStep });
  }

  async write(writer: CounterWriter, writes: readonly CounterWrite[]): Promise<CounterOutcome> {
    const { counters, repeats } = this.#world;
    repeats('counters', () => void new MemoryCounters({ store: counters }).write(writer, writes));
    return await this.#inner.write(writer, writes);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function registryOf(inner: StaticRegistry, step: Step): RegistrySource {
  return {
    load: async (): Promise<Registry> => {
      await step('registry before');
      const registry = await inner.load();
      await step('registry after');
      return registry;
    },
    close: () => inner.close(),
  };
}

class SimStateStore implements StateStore {
  readonly #world: World;
  readonly #disk: MemoryDisk;
  readonly #inner: MemoryStateStore;
  readonly #step: Step;

  constructor(world: World, disk: MemoryDisk, step: Step) {
    this.#world = world;
    this.#disk = disk;
    this.#inner = new MemoryStateStore({ disk });
    this.#step = step;
  }

  open(task: TaskId): CommitLog {
    const inner = this.#inner.open(task);
    const where = `${task.stage}:${task.topic}/${task.partition}`;
    const step = (label: string, when: string): Promise<void> => this.#step(`${label} ${where} ${when}`);
    return {
      claim: async (header: StateHeader): Promise<Claim> => {
        await step('claim', 'before');
        const claim = await inner.claim(header);
        await step('claim', 'after');
        return { ...claim, commits: () => slowly(claim.commits(), () => step('restore', 'part')) };
      },
      append: async (commit: Commit): Promise<void> => {
        await step('append', 'before');
        await inner.append(commit);
        this.#mayRepeat(`${task.stage}/${task.topic}/${task.partition}`);
        await step('append', 'after');
      },
      beginSnapshot: async (): Promise<void> => {
        await step('snapshot', 'before');
        await inner.beginSnapshot();
        await step('snapshot', 'after');
      },
      endSnapshot: async (): Promise<void> => {
        await step('snapshot', 'before');
        await inner.endSnapshot();
        await step('snapshot', 'after');
      },
      sizeBytes: () => inner.sizeBytes(),
      close: () => inner.close(),
    };
  }

  hashSeed(): Promise<Uint8Array> {
    return this.#inner.hashSeed();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** The entry that was appended last arrives once more. */
  #mayRepeat(name: string): void {
    const entries = this.#disk.logOf(name);
    const entry = entries[entries.length - 1];
    if ('commit' in entry) this.#world.repeats('append', () => void entries.push(entry));
  }
}

async function* slowly(commits: AsyncIterable<Commit>, step: () => Promise<void>): AsyncGenerator<Commit, void> {
  for await (const commit of commits) {
    await step();
    yield commit;
  }
}
