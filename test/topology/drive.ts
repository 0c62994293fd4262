/**
 * A story: records at times, processes that start, crash and stop, and what came out. It runs the production pipeline
 * over ports in memory; only time and faults are the story's.
 */
import { AlertRows, MemoryAlertStore } from '../../src/alerts/store.ts';
import { type FileSettings, loadSettings } from '../../src/config.ts';
import { codeOf } from '../../src/errors.ts';
import { MemoryCounterStore, MemoryCounters } from '../../src/sinks/memory-counters.ts';
import { MemoryTotals, MemoryTotalsStore } from '../../src/sinks/memory-totals.ts';
import { type RegistrySource, StaticRegistry } from '../../src/sinks/registry.ts';
import { MemoryDisk, MemoryStateStore } from '../../src/state/memory-store.ts';
import type { MakePart } from '../../src/topology/evaluate-part.ts';
import { type EvaluateTask, type IngestTask, Pipeline, type PipelineObserver } from '../../src/topology/pipeline.ts';
import { MemoryBroker, type MemoryRecord, MemoryWriter } from '../../src/topology/sources/memory-log.ts';
import { MemorySource } from '../../src/topology/sources/memory-source.ts';
import { type Now, STREAMS, type StateStore, type Stream } from '../../src/topology/types.ts';
import { HandClock } from './hand-clock.ts';

/** When every story begins. */
export const START = Date.UTC(2026, 2, 2, 12);
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const PREFIX = 'exposure-stream.';
/** The first byte of a partial; what evaluate tells the fleet has another. */
const PARTIAL = 0xe5;
export const PARTIALS = `${PREFIX}partials`;
const OUTPUTS = ['unique', 'duplicates', 'late', 'invalid', 'violations', 'alerts'] as const;
type Output = (typeof OUTPUTS)[number];

type Parts<Whole> = { [Name in keyof Whole]?: Partial<Whole[Name]> };

export interface StoryOptions {
  /** Partitions of each input (1) and of `.partials` (1). */
  partitions?: number;
  partialsPartitions?: number;
  settings?: Parts<Pick<FileSettings, 'time' | 'pace' | 'limits'>>;
}

export interface SideRecord {
  offset: number;
  source: string;
  reason: string | undefined;
  headers: Record<string, string>;
  value: string | null;
}

const DEFAULTS: FileSettings = loadSettings({}, () => '');

export class Story {
  readonly clock = new HandClock(START);
  readonly settings: FileSettings;
  readonly broker: MemoryBroker;
  readonly disk = new MemoryDisk();
  readonly counters = new MemoryCounterStore(() => this.clock.now().wallMs);
  readonly totals = new MemoryTotalsStore();
  readonly alerts = new AlertRows();
  readonly registry = new StaticRegistry({}, 1, this.clock);
  readonly topics: Record<string, number>;
  #ids = 0;

  constructor({ partitions = 1, partialsPartitions = 1, settings = {} }: StoryOptions = {}) {
    const { time, pace, limits } = settings;
    this.settings = {
      ...DEFAULTS,
      time: { ...DEFAULTS.time, ...time },
      pace: { ...DEFAULTS.pace, ...pace },
      limits: { ...DEFAULTS.limits, ...limits },
    };
    this.topics = { exposures: partitions, assignments: partitions, impressions: partitions, [PARTIALS]: partialsPartitions };
    const outputs = Object.fromEntries(OUTPUTS.map((name) => [PREFIX + name, 1]));
    this.broker = new MemoryBroker(this.clock, { ...this.topics, ...outputs });
  }

  /** Sends an impression; `at` is its event time after the story's start. Returns its offset. */
  impression(fields: Record<string, unknown> & { at: number; partition?: number }): number {
    return this.#send('impressions', { campaign_id: 'c', spend_micros: 1, ...fields });
  }

  exposure(fields: Record<string, unknown> & { at: number; partition?: number }): number {
    return this.#send('exposures', { experiment_id: 'e', variant_id: 'a', unit_id: 'u', ...fields });
  }

  assignment(fields: Record<string, unknown> & { at: number; partition?: number }): number {
    return this.#send('assignments', { experiment_id: 'e', variant_id: 'a', unit_id: 'u', ...fields });
  }

  /** Sends these very bytes. */
  raw(stream: Stream, value: string | null, key: string | null = 'k'): number {
    return this.broker.append(stream, 0, { key, value, timestampMs: Number.NaN });
  }

  /** A process on what stands here; a story may have several. */
  process(options: ProcessOptions = {}): StoryProcess {
    return new StoryProcess(this, options);
  }

  /** As `process`, started and given time to claim and restore. */
  async started(options: ProcessOptions = {}): Promise<StoryProcess> {
    const process = this.process(options);
    await process.start();
    await this.pass(0);
    return process;
  }

  pass(ms: number): Promise<void> {
    return this.clock.pass(ms);
  }

  side(output: Output): SideRecord[] {
    return this.broker
      .partition(PREFIX + output, 0)
      .records()
      .map(sideRecord);
  }

  /** The partials sent so far. */
  partials(partition = 0): MemoryRecord[] {
    return this.broker
      .partition(PARTIALS, partition)
      .records()
      .filter(({ value }) => value?.[0] === PARTIAL);
  }

  /** What the bidder and the experimenter would read, without the fences. */
  counter(key: string): Record<string, string> | null {
    const stored = this.counters.get(key);
    if (stored === null) return null;
    const { epoch, version, watermark_ms, ...fields } = stored.fields;
    return fields;
  }

  version(key: string): number {
    return Number(this.counters.get(key)?.fields['version'] ?? Number.NaN);
  }

  #send(topic: Stream, given: Record<string, unknown> & { at: number; partition?: number }): number {
    const { at, partition = 0, kafkaAt = at, ...fields } = given;
    const event = { event_id: `event ${this.#ids++}`, event_ts: START + at, ...fields };
    const timestampMs = START + Number(kafkaAt);
    return this.broker.append(topic, partition, { key: 'k', value: JSON.stringify(event), timestampMs });
  }
}

function sideRecord({ headers, value }: MemoryRecord): SideRecord {
  return {
    offset: Number(headers['source_offset']),
    source: `${headers['source_topic']}/${headers['source_partition']}`,
    reason: headers['reason'],
    headers,
    value: value === null ? null : Buffer.from(value).toString(),
  };
}

export interface ProcessOptions {
  acceptStateLoss?: boolean;
  outputUnique?: boolean;
  stateMemoryBytes?: number;
  /** A state of its own instead of the story's. */
  disk?: MemoryDisk;
  registry?: RegistrySource;
  observer?: PipelineObserver;
  stages?: readonly ('ingest' | 'evaluate')[];
  parts?: readonly MakePart[];
  /** What the partition counts are, where not what the broker has. */
  partitionCounts?: () => Promise<ReadonlyMap<string, number>>;
}

const NEVER = new Promise<never>(() => {});

interface Fault {
  label: RegExp;
  left: number;
  error: Error | Promise<void>;
}

export class StoryProcess {
  readonly pipeline: Pipeline;
  readonly ingestSource: MemorySource;
  readonly evaluateSource: MemorySource;
  /** Codes of what tasks failed with, in order; with `!` when the task did not go on. */
  readonly failures: string[] = [];
  /** Codes of what would have ended the process. */
  readonly fatal: string[] = [];
  readonly trouble: string[] = [];
  readonly restored: { stage: string; position: number; resumed: boolean; commits: number }[] = [];
  /** Every port call, as its label. */
  readonly steps: string[] = [];
  /** The story's clock. */
  readonly now: () => Now;
  readonly #faults: Fault[] = [];
  #dead = false;

  constructor(story: Story, options: ProcessOptions) {
    const { broker, clock, settings, topics } = story;
    this.now = () => clock.now();
    const step = (label: string): Promise<void> => this.#step(label);
    const { stages = ['ingest', 'evaluate'] } = options;
    this.ingestSource = new MemorySource(broker, { group: 'ingest', topics: STREAMS, step });
    this.evaluateSource = new MemorySource(broker, { group: 'evaluate', topics: [PARTIALS], step });
    this.pipeline = new Pipeline(
      {
        ingestSource: stages.includes('ingest') ? this.ingestSource : null,
        evaluateSource: stages.includes('evaluate') ? this.evaluateSource : null,
        writer: new MemoryWriter(broker, step),
        stateStore: stepping(new MemoryStateStore({ disk: options.disk ?? story.disk }), step),
        counters: new MemoryCounters({ store: story.counters, step }),
        totals: new MemoryTotals(story.totals, step),
        alerts: new MemoryAlertStore(story.alerts, step),
        registry: options.registry ?? story.registry,
        clock,
        partitionCounts: options.partitionCounts ?? (() => Promise.resolve(new Map(Object.entries(topics)))),
      },
      {
        settings,
        outputUnique: options.outputUnique ?? false,
        stateMemoryBytes: options.stateMemoryBytes ?? Number.POSITIVE_INFINITY,
        acceptStateLoss: options.acceptStateLoss ?? false,
        observer: this.#observer(options.observer ?? {}),
        ...(options.parts ? { parts: options.parts } : {}),
      },
    );
  }

  start(): Promise<void> {
    return this.pipeline.start();
  }

  /** As SIGTERM does; give the clock time meanwhile. */
  stop(): Promise<void> {
    return this.pipeline.stop();
  }

  /** As `kill -9` does: none of its calls has any more effect. */
  kill(): void {
    this.#dead = true;
  }

  /** The next calls with such a label fail, so many times. */
  fault(label: RegExp, error: Error = new Error('broken by the story'), times = 1): void {
    this.#faults.push({ label, error, left: times });
  }

  /** The next call with such a label gets no answer until the returned function is called. */
  hold(label: RegExp): () => void {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#faults.push({ label, error: held, left: 1 });
    return release;
  }

  /** How many calls had such a label. */
  calls(label: RegExp): number {
    return this.steps.filter((step) => label.test(step)).length;
  }

  ingest(topic: Stream, partition = 0): IngestTask {
    const task = this.pipeline.ingestTasks.find(({ id }) => id.topic === topic && id.partition === partition);
    if (task === undefined) throw new Error(`no task of ${topic}/${partition} here`);
    return task;
  }

  evaluate(partition = 0): EvaluateTask {
    const task = this.pipeline.evaluateTasks.find(({ id }) => id.partition === partition);
    if (task === undefined) throw new Error(`no task of .partials/${partition} here`);
    return task;
  }

  /** accepted, duplicate, late, invalid of a source partition, as committed. */
  dispositions(topic: Stream, partition = 0): number[] {
    return [...(this.ingest(topic, partition).stage?.committedTotals.dispositions ?? [])];
  }

  async #step(label: string): Promise<void> {
    if (this.#dead) return NEVER;
    this.steps.push(label);
    const fault = this.#faults.find((one) => one.left > 0 && one.label.test(label));
    if (fault === undefined) return;
    fault.left--;
    if (fault.error instanceof Error) throw fault.error;
    await fault.error;
    if (this.#dead) return NEVER;
  }

  #observer(more: PipelineObserver): PipelineObserver {
    return {
      ...more,
      restored: (task, info) => {
        this.restored.push({ stage: task.stage, position: info.position, resumed: info.resumed, commits: info.commits });
        more.restored?.(task, info);
      },
      failed: (task, error, backoffMs) => {
        this.failures.push(codeOf(error) + (backoffMs === null ? '!' : ''));
        more.failed?.(task, error, backoffMs);
      },
      fatal: (error) => this.fatal.push(codeOf(error)),
      trouble: (what, error) => this.trouble.push(`${what} ${codeOf(error)}`),
    };
  }
}

/** Claims and appends as steps, so that a story can break them. */
function stepping(inner: MemoryStateStore, step: (label: string) => Promise<void>): StateStore {
  return {
    open: (task) => {
      const log = inner.open(task);
      const where = `${task.stage}:${task.topic}/${task.partition}`;
      return {
        claim: async (header) => {
          await step(`claim ${where} before`);
          return await log.claim(header);
        },
        append: async (commit) => {
          await step(`append ${where} before`);
          await log.append(commit);
          await step(`append ${where} after`);
        },
        beginSnapshot: () => log.beginSnapshot(),
        endSnapshot: () => log.endSnapshot(),
        sizeBytes: () => log.sizeBytes(),
        close: () => log.close(),
      };
    },
    hashSeed: () => inner.hashSeed(),
    close: () => inner.close(),
  };
}
