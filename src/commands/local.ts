/** The same topology without services: logs, counters and totals in this process. */
import { MemoryAlertStore } from '../alerts/store.ts';
import type { FileSettings } from '../config.ts';
import { outputTopic } from '../config.ts';
import { MemoryCounters } from '../sinks/memory-counters.ts';
import { MemoryTotals } from '../sinks/memory-totals.ts';
import { type RegistrySource, StaticRegistry } from '../sinks/registry.ts';
import { ForgetfulStateStore } from '../state/forgetful-store.ts';
import { type Outgoing, unpacked } from '../topology/packed-records.ts';
import { Pipeline, type PipelineObserver } from '../topology/pipeline.ts';
import { MemoryBroker, MemoryWriter } from '../topology/sources/memory-log.ts';
import { MemorySource } from '../topology/sources/memory-source.ts';
import type { Clock, LogWriter, OutRecord, Source } from '../topology/types.ts';

/** Evaluate's partitions: one core does all the work here. */
const PARTIALS_PARTITIONS = 1;
/** Nothing is lost by committing often here, and the end comes sooner. */
const COMMIT_MS = 200;

export interface LocalOptions {
  settings: FileSettings;
  clock: Clock;
  source: Source;
  stateMemoryBytes: number;
  outputUnique: boolean;
  /** Where side outputs go. */
  side: (records: readonly OutRecord[]) => Promise<void> | void;
  fatal: (error: Error) => void;
  observer?: PipelineObserver;
  /** Where not in new ones, with nobody registered. */
  counters?: MemoryCounters;
  registry?: RegistrySource;
}

export interface Local {
  pipeline: Pipeline;
  counters: MemoryCounters;
  totals: MemoryTotals;
  alerts: MemoryAlertStore;
}

export function makeLocal(options: LocalOptions): Local {
  const { settings, clock, source } = options;
  const partials = outputTopic(settings, 'partials');
  const broker = new MemoryBroker(clock, { [partials]: PARTIALS_PARTITIONS });
  const counters = options.counters ?? new MemoryCounters();
  const totals = new MemoryTotals();
  const alerts = new MemoryAlertStore();
  const pipeline = new Pipeline(
    {
      ingestSource: source,
      evaluateSource: new MemorySource(broker, { group: 'evaluate', topics: [partials] }),
      writer: new SplitWriter(new MemoryWriter(broker), partials, options.side),
      stateStore: new ForgetfulStateStore(),
      counters,
      totals,
      alerts,
      registry: options.registry ?? new StaticRegistry(),
      clock,
      partitionCounts: async () => new Map([...(await source.partitionCounts()), [partials, PARTIALS_PARTITIONS]]),
    },
    {
      settings: { ...settings, pace: { ...settings.pace, commitMs: COMMIT_MS } },
      outputUnique: options.outputUnique,
      stateMemoryBytes: options.stateMemoryBytes,
      acceptStateLoss: false,
      observer: {
        ...options.observer,
        fatal: options.fatal,
        failed: (task, error, backoffMs) => {
          options.observer?.failed?.(task, error, backoffMs);
          if (backoffMs === null) options.fatal(error);
        },
        // What evaluate has committed is read by nobody again.
        committed: (task, durationMs) => {
          options.observer?.committed?.(task, durationMs);
          if (task.stage === 'evaluate')
            broker.partition(partials, task.partition).truncate(broker.bounds('evaluate', partials, task.partition).committed ?? 0);
        },
      },
    },
  );
  return { pipeline, counters, totals, alerts };
}

/** Partials to the log in memory, everything else aside. */
class SplitWriter implements LogWriter {
  readonly #partials: LogWriter;
  readonly #topic: string;
  readonly #side: LocalOptions['side'];

  constructor(partials: LogWriter, topic: string, side: LocalOptions['side']) {
    this.#partials = partials;
    this.#topic = topic;
    this.#side = side;
  }

  async send(records: readonly Outgoing[]): Promise<void> {
    const side = records.filter((record) => record.topic !== this.#topic);
    if (side.length > 0) await this.#side(unpacked(side));
    await this.#partials.send(records.filter((record) => record.topic === this.#topic));
  }

  close(): Promise<void> {
    return this.#partials.close();
  }
}
