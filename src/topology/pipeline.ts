/** Both stages over their ports: builds the tasks, reads the registry, and sends hourly totals aside of the path. */
import { AlertPublisher } from '../alerts/publisher.ts';
import type { AlertStore } from '../alerts/store.ts';
import { type FileSettings, outputTopic } from '../config.ts';
import { asError, StreamError } from '../errors.ts';
import { Decoder } from '../operators/decode.ts';
import type { Registry, RegistrySource } from '../sinks/registry.ts';
import type { TotalsSink } from '../sinks/totals.ts';
import { SeededHash } from '../state/hash.ts';
import { MemoryBudget } from '../state/memory-budget.ts';
import { countPartitions } from './count-partitions.ts';
import { type EvaluateOut, EvaluateStage } from './evaluate.ts';
import type { MakePart } from './evaluate-part.ts';
import { EVALUATE_PARTS } from './evaluate-parts.ts';
import { evaluateSink } from './evaluate-sink.ts';
import { fencedCounters } from './fenced-counters.ts';
import { IngestStage } from './ingest.ts';
import type { Outgoing } from './packed-records.ts';
import { Runner } from './runner.ts';
import { SnapshotTurns } from './snapshotter.ts';
import { Task, type TaskObserver } from './task.ts';
import { TotalsFlusher } from './totals-flusher.ts';
import type {
  Clock,
  CounterOutcome,
  CounterSink,
  LogWriter,
  PartitionFeed,
  Source,
  StateHeader,
  StateStore,
  Stream,
  TaskId,
} from './types.ts';
import { STREAMS } from './types.ts';

/** Raised when what a commit means has changed; older states are read, newer ones refused. */
export const STATE_FORMAT = 5;
const REGISTRY_RETRY_MS = 1000;
/** How long ingest waits for the epoch before it begins without. */
const EPOCH_PATIENCE_MS = 3000;

export interface PipelinePorts {
  /** Null when the other stage runs elsewhere. */
  ingestSource: Source | null;
  evaluateSource: Source | null;
  writer: LogWriter;
  stateStore: StateStore;
  counters: CounterSink;
  totals: TotalsSink;
  alerts: AlertStore;
  registry: RegistrySource;
  clock: Clock;
  /** Partitions of the inputs and of `.partials`. Rejects with code topic_missing, or kafka_unreachable (tried again). */
  partitionCounts: () => Promise<ReadonlyMap<string, number>>;
}

export interface PipelineObserver extends TaskObserver {
  registry?(registry: Registry): void;
  /** Something that is tried again by itself: the registry, the totals. */
  trouble?(what: 'registry' | 'totals' | 'alerts' | 'partition_counts', error: Error): void;
  published?(alerts: number): void;
  flushed?(rows: number, durationMs: number): void;
  fatal?(error: Error): void;
}

export interface PipelineOptions {
  settings: FileSettings;
  outputUnique: boolean;
  stateMemoryBytes: number;
  acceptStateLoss: boolean;
  observer: PipelineObserver;
  /** What evaluate does beyond counting; all that there is where not given. */
  parts?: readonly MakePart[];
}

export type IngestTask = Task<Outgoing[], void, IngestStage>;
export type EvaluateTask = Task<EvaluateOut, CounterOutcome, EvaluateStage>;

export class Pipeline {
  readonly budget: MemoryBudget;
  readonly #ports: PipelinePorts;
  readonly #options: PipelineOptions;
  readonly #stopping = new AbortController();
  readonly #snapshotTurns = new SnapshotTurns();
  readonly #totals: TotalsFlusher;
  readonly #alerts: AlertPublisher;
  #ingest: Runner<IngestTask> | null = null;
  #evaluate: Runner<EvaluateTask> | null = null;
  #registry: Registry | null = null;
  #registryError: string | null = null;
  #loops: Promise<void>[] = [];

  constructor(ports: PipelinePorts, options: PipelineOptions) {
    this.#ports = ports;
    this.#options = options;
    this.budget = new MemoryBudget(options.stateMemoryBytes);
    const common = { clock: ports.clock, tasks: () => this.evaluateTasks, observer: options.observer };
    this.#totals = new TotalsFlusher({ ...common, sink: ports.totals, flushMs: options.settings.pace.totalsFlushMs });
    const topic = outputTopic(options.settings, 'alerts');
    this.#alerts = new AlertPublisher({ ...common, topic, writer: ports.writer, store: ports.alerts });
  }

  get ingestTasks(): IngestTask[] {
    return this.#ingest?.tasks ?? [];
  }

  get evaluateTasks(): EvaluateTask[] {
    return this.#evaluate?.tasks ?? [];
  }

  get registry(): Registry | null {
    return this.#registry;
  }

  /** Why the registry could not be read the last time; null when it could, or was not yet asked. */
  get registryError(): string | null {
    return this.#registryError;
  }

  /** Every stage that runs here has joined its group; perhaps without a partition. */
  get joined(): boolean {
    const { ingestSource, evaluateSource } = this.#ports;
    return (ingestSource === null || this.#ingest?.joined === true) && (evaluateSource === null || this.#evaluate?.joined === true);
  }

  /** Joined, and every assigned task has its state. */
  get ready(): boolean {
    return this.joined && [...this.ingestTasks, ...this.evaluateTasks].every((task) => task.state === 'running');
  }

  /** Resolves when both groups have been asked to let us in; work goes on in the background until `stop`. */
  async start(): Promise<void> {
    const { ingestSource, evaluateSource, stateStore } = this.#ports;
    const counts = await countPartitions({
      ask: this.#ports.partitionCounts,
      clock: this.#ports.clock,
      stopping: this.#stopping.signal,
      trouble: (error) => this.#options.observer.trouble?.('partition_counts', error),
    });
    const hash = new SeededHash(await stateStore.hashSeed());
    const fatal = (error: Error) => this.#fatal(error);
    // Ingest wants no more of the registry than the epoch, and goes on without it when Postgres is away.
    const registered = this.#firstRegistry(evaluateSource === null);
    await Promise.race([registered, this.#ports.clock.sleep(EPOCH_PATIENCE_MS, this.#stopping.signal)]);
    if (this.#stopping.signal.aborted) return;
    if (ingestSource !== null) {
      this.#ingest = new Runner({ source: ingestSource, makeTask: (feed) => this.#ingestTask(feed, counts, hash), fatal });
      await this.#ingest.start();
    }
    await registered;
    if (this.#stopping.signal.aborted) return;
    if (evaluateSource !== null) {
      this.#evaluate = new Runner({ source: evaluateSource, makeTask: (feed) => this.#evaluateTask(feed, counts, hash), fatal });
      await this.#evaluate.start();
      this.#loops = [this.#registryLoop(), this.#totals.run(this.#stopping.signal), this.#alerts.run(this.#stopping.signal)].map((loop) =>
        loop.catch((error) => this.#fatal(asError(error))),
      );
    }
  }

  /** Commits everything, leaves the groups, and flushes what totals and alerts are left (once; a failure is told, not retried). */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#ingest?.stop(), this.#evaluate?.stop()]);
    await Promise.all(this.#loops);
    const tasks = this.#evaluate?.allTasks ?? [];
    await Promise.all([this.#totals.flush(tasks), this.#alerts.last(tasks)]);
  }

  /** Sends all hourly totals that are waiting. */
  async flushTotals(): Promise<void> {
    await this.#totals.flush(this.evaluateTasks);
  }

  /** Records between a task's position and the end of its log as the broker last told it; null while either is unknown. */
  lagOf(task: IngestTask | EvaluateTask): number | null {
    const end = this.feedOf(task)?.endOffset() ?? null;
    return end === null || task.stage === null ? null : Math.max(0, end - task.stage.position);
  }

  /** The feed a task reads, for its bounds. */
  feedOf(task: IngestTask | EvaluateTask): PartitionFeed | null {
    return this.#ingest?.feedOf(task as IngestTask) ?? this.#evaluate?.feedOf(task as EvaluateTask) ?? null;
  }

  #ingestTask(feed: PartitionFeed, counts: ReadonlyMap<string, number>, hash: SeededHash): IngestTask {
    const { settings, outputUnique } = this.#options;
    const stream = STREAMS.find((name) => settings.streams[name].topic === feed.topic) as Stream;
    const partials = outputTopic(settings, 'partials');
    const partialsPartitions = counts.get(partials) ?? 0;
    const partitions = counts.get(feed.topic) ?? 0;
    const { maxSpendMicros } = settings.limits;
    const decoder = new Decoder(stream, {
      mapping: settings.streams[stream].fields,
      maxSpendMicros,
      maxFutureSkewMs: settings.time.maxFutureSkewMs,
    });
    const outputs = {
      partials,
      duplicates: outputTopic(settings, 'duplicates'),
      late: outputTopic(settings, 'late'),
      invalid: outputTopic(settings, 'invalid'),
      violations: outputTopic(settings, 'violations'),
      unique: outputUnique ? outputTopic(settings, 'unique') : null,
    };
    const { time, pace, limits, srm } = settings;
    const place = { stream, topic: feed.topic, partition: feed.partition, partitions, partialsPartitions };
    return new Task({
      ...this.#common('ingest', feed, () => this.#header({ [feed.topic]: partitions, [partials]: partialsPartitions }, hash)),
      stage: () => new IngestStage({ ...place, decoder, hash, budget: this.budget, time, pace, limits, srm, outputs }),
      sink: () => ({ deliver: (records: Outgoing[]) => this.#ports.writer.send(records) }),
    });
  }

  #evaluateTask(feed: PartitionFeed, counts: ReadonlyMap<string, number>, hash: SeededHash): EvaluateTask {
    const { pace, pacing, limits, srm, time } = this.#options.settings;
    const { maxOutOfOrdernessMs } = time;
    const partialsPartitions = counts.get(feed.topic) ?? 0;
    const { parts = EVALUATE_PARTS } = this.#options;
    const { writer, counters: sink } = this.#ports;
    return new Task({
      ...this.#common('evaluate', feed, () => this.#header({ [feed.topic]: partialsPartitions }, hash)),
      stage: () => {
        const place = { topic: feed.topic, partition: feed.partition, partialsPartitions };
        const stage = new EvaluateStage({ ...place, pace, pacing, limits, srm, maxOutOfOrdernessMs, hash, parts });
        if (this.#registry) stage.register(this.#registry);
        return stage;
      },
      sink: (current) => evaluateSink(fencedCounters(sink, current), writer),
    });
  }

  #common(stage: 'ingest' | 'evaluate', feed: PartitionFeed, header: () => StateHeader) {
    const id = { stage, topic: feed.topic, partition: feed.partition };
    const { clock, stateStore } = this.#ports;
    const { acceptStateLoss, settings } = this.#options;
    const observer: TaskObserver = { ...this.#options.observer, failed: (task, error, backoffMs) => this.#failed(task, error, backoffMs) };
    const snapshot = { minBytes: settings.limits.snapshotBytes, ratio: settings.limits.snapshotRatio };
    const { commitMs } = settings.pace;
    const log = stateStore.open(id);
    return { id, log, clock, commitMs, snapshot, snapshotTurns: this.#snapshotTurns, header, acceptStateLoss, observer };
  }

  #header(partitionCounts: Record<string, number>, hash: SeededHash): StateHeader {
    const { streams, time, limits } = this.#options.settings;
    const configuration = JSON.stringify({ streams, time, limits });
    return { formatVersion: STATE_FORMAT, hashSeedId: hash.id, partitionCounts, epoch: this.#registry?.epoch ?? 0, configuration };
  }

  /** @param once for ingest alone, which needs only Kafka: one try */
  async #firstRegistry(once: boolean): Promise<void> {
    while (this.#registry === null && !this.#stopping.signal.aborted) {
      if (once) return this.#loadRegistry().catch(() => {});
      await this.#loadRegistry();
      if (this.#registry === null) await this.#ports.clock.sleep(REGISTRY_RETRY_MS, this.#stopping.signal);
    }
  }

  async #registryLoop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#ports.clock.sleep(this.#options.settings.pace.registryMs, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      await this.#loadRegistry();
      if (this.#registry) for (const task of this.evaluateTasks) task.stage?.register(this.#registry);
    }
  }

  async #loadRegistry(): Promise<void> {
    try {
      const registry = await this.#ports.registry.load();
      if (this.#registry !== null && registry.epoch !== this.#registry.epoch) {
        throw new StreamError(
          'epoch_changed',
          `the epoch is ${registry.epoch} now, it was ${this.#registry.epoch}: start this process again`,
        );
      }
      this.#registry = registry;
      this.#registryError = null;
      this.#options.observer.registry?.(registry);
    } catch (error) {
      this.#registryError = asError(error).message;
      if (error instanceof StreamError && error.action !== 'retry') throw error;
      this.#options.observer.trouble?.('registry', asError(error));
    }
  }

  /** A task that is stopped leaves the others alone; a process of which a whole stage is stopped has nothing left to do. */
  #failed(task: TaskId, error: Error, backoffMs: number | null): void {
    this.#options.observer.failed?.(task, error, backoffMs);
    if (backoffMs !== null) return;
    const tasks = task.stage === 'ingest' ? this.ingestTasks : this.evaluateTasks;
    if (tasks.every(({ state }) => state === 'stopped')) this.#fatal(error);
  }

  #fatal(error: Error): void {
    this.#options.observer.fatal?.(error);
  }
}
