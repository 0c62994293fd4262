/** `run`: both stages on the real services, until SIGTERM, or until everything that was there at the start is counted. */
import type { Kafka } from 'kafkajs';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { MemoryAlertStore } from '../alerts/store.ts';
import { outputTopic, type Settings } from '../config.ts';
import { actionOf, codeOf, StreamError } from '../errors.ts';
import { Metrics } from '../metrics.ts';
import { openPool } from '../sinks/postgres-client.ts';
import { PostgresRegistry } from '../sinks/postgres-registry.ts';
import { PostgresTotals } from '../sinks/postgres-totals.ts';
import { RedisCounters } from '../sinks/redis-counters.ts';
import { type Summary, summarise } from '../summary.ts';
import { Pipeline } from '../topology/pipeline.ts';
import { KafkaAdmin } from '../topology/sources/kafka-admin.ts';
import { KafkaSource } from '../topology/sources/kafka-source.ts';
import { KafkaWriter } from '../topology/sources/kafka-writer.ts';
import type { Source } from '../topology/types.ts';
import { collect } from '../web/collect.ts';
import { shownExperiments } from '../web/experiments.ts';
import { STATUS_PAGE } from '../web/page.ts';
import { watchRuns } from '../web/reconcile-runs.ts';
import { json, type Routes, text, WebServer } from '../web/server.ts';
import { statusOf } from '../web/status.ts';
import { Alerting } from './alerting.ts';
import { checkTopics, countPartitions, heldBefore, inputTopics, openKafka, openStateStore } from './connect.ts';
import { type CommonOptions, type Host, loggerOf, printJson, routesOf, settingsOf } from './host.ts';
import { observe } from './observer.ts';
import { watchPartitions } from './partition-watch.ts';
import { printSummary } from './print-summary.ts';
import { countedUntilEnd, endAtStart } from './until-end.ts';
import { versionOf } from './version.ts';

/** Contract: ends within 10 s of SIGTERM. What is not committed by then is counted again by the next owner. */
const STOP_WITHIN_MS = 6000;
const CUT_OFF_WITHIN_MS = 1500;

export interface RunOptions extends CommonOptions {
  stage?: 'ingest' | 'evaluate';
  untilEnd?: boolean;
  acceptStateLoss?: boolean;
}

/** Resolves with the exit code. */
export async function run(host: Host, options: RunOptions): Promise<number> {
  const settings = settingsOf(host, options);
  const log = loggerOf(host, settings);
  const metrics = new Metrics();
  const failure = new AbortController();
  const service = new Service(host, { settings, log, metrics, options, fail: (error) => failure.abort(error) });
  const port = await service.listen();
  log.info({ port, group: settings.env.GROUP_ID, stage: options.stage ?? 'both', version: versionOf() }, 'started');
  const stopping = AbortSignal.any([host.stopping, failure.signal]);
  const startedMs = host.clock.now().monotonicMs;
  const work = service.start().catch((error: unknown) => failure.abort(error));
  const counted = options.untilEnd
    ? work.then(() => countedUntilEnd({ pipeline: service.pipeline, clock: host.clock, stopping, endOf: endAtStart }))
    : new Promise<false>(() => {});
  const reached = await Promise.race([counted.catch((error: unknown) => failure.abort(error)), aborted(stopping)]);
  const seconds = (host.clock.now().monotonicMs - startedMs) / 1000;
  const summary: Summary | null = reached ? summarise(service.pipeline.ingestTasks, service.pipeline.evaluateTasks) : null;
  const clean = await service.stop();
  if (failure.signal.aborted) return failed(log, failure.signal.reason);
  if (clean) log.info('stopped, everything committed');
  else log.warn('stopped; a service did not answer in time, so what is not committed is counted again by the next owner');
  if (summary !== null) {
    if (options.json) printJson(host, { ...summary, timing: { seconds } });
    else printSummary(host, summary, seconds);
  }
  return 0;
}

const aborted = (signal: AbortSignal): Promise<false> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(false);
    else signal.addEventListener('abort', () => resolve(false), { once: true });
  });

function failed(log: Logger, error: unknown): number {
  log.error(
    { code: codeOf(error), err: error instanceof StreamError ? undefined : error },
    error instanceof Error ? error.message : String(error),
  );
  return actionOf(error) === 'exit_2' ? 2 : 1;
}

interface ServiceParts {
  settings: Settings;
  log: Logger;
  metrics: Metrics;
  options: RunOptions;
  fail: (error: Error) => void;
}

/** One process: its connections, its pipeline, its HTTP server. */
class Service {
  readonly pipeline: Pipeline;
  readonly #host: Host;
  readonly #parts: ServiceParts;
  readonly #counters: RedisCounters | null;
  /** Null where evaluate does not run. */
  readonly #alerting: Alerting | null;
  readonly #close: (() => Promise<void>)[] = [];
  readonly #web: WebServer;
  readonly #kafka: Kafka;
  readonly #admin: KafkaAdmin;
  readonly #stopping = new AbortController();
  /** Asked aside of everything: a few rows now and then. */
  readonly #runs: Pool;
  #partitions: ReadonlyMap<string, number> = new Map();

  constructor(host: Host, parts: ServiceParts) {
    const { settings, log, options } = parts;
    const { clock } = host;
    this.#host = host;
    this.#parts = parts;
    this.#kafka = openKafka(settings, log);
    this.#admin = new KafkaAdmin(this.#kafka);
    const evaluates = options.stage !== 'ingest';
    this.#counters = evaluates
      ? new RedisCounters({ url: settings.env.REDIS_URL, keyPrefix: settings.env.REDIS_KEY_PREFIX, clock, log })
      : null;
    const totals = new PostgresTotals(openPool(settings.env.DATABASE_URL));
    this.#runs = openPool(settings.env.DATABASE_URL, 1);
    const registry = new PostgresRegistry(openPool(settings.env.DATABASE_URL, 1), { clock, log });
    const writer = new KafkaWriter(this.#kafka, { clock, logger: log });
    const stateStore = openStateStore(settings, { kafka: this.#kafka, clock, log });
    const observer = observe({
      ...parts,
      pipeline: () => this.pipeline,
      nowMs: () => clock.now(),
      fatal: parts.fail,
      stopIsFatal: options.untilEnd === true,
    });
    this.#alerting = evaluates
      ? new Alerting({
          ...parts,
          routes: routesOf(host, settings),
          clock,
          pipeline: () => this.pipeline,
          trouble: (error) => observer.trouble?.('alerts', error),
        })
      : null;
    const nothing = { write: () => Promise.reject(new Error('evaluate does not run here')), close: () => Promise.resolve() };
    this.pipeline = new Pipeline(
      {
        ingestSource: options.stage === 'evaluate' ? null : this.#source('ingest', inputTopics(settings)),
        evaluateSource: evaluates ? this.#source('evaluate', [outputTopic(settings, 'partials')]) : null,
        writer,
        stateStore,
        counters: this.#counters ?? nothing,
        totals,
        alerts: this.#alerting?.store ?? new MemoryAlertStore(),
        registry,
        clock,
        partitionCounts: async () => {
          this.#partitions = await checkTopics(this.#admin, settings, options.stage ?? 'both');
          return this.#partitions;
        },
      },
      {
        settings,
        outputUnique: settings.env.OUTPUT_UNIQUE,
        stateMemoryBytes: settings.env.STATE_MEMORY_BYTES,
        acceptStateLoss: options.acceptStateLoss ?? false,
        observer,
      },
    );
    this.#close = [
      () => writer.close(),
      async () => this.#counters?.close(),
      () => totals.close(),
      async () => this.#alerting?.close(),
      () => registry.close(),
      () => this.#runs.end(),
      () => stateStore.close(),
      () => this.#admin.close(),
    ];
    this.#web = new WebServer(this.#routes());
  }

  listen(): Promise<number> {
    const { HTTP_HOST: address, HTTP_PORT: port } = this.#parts.settings.env;
    return this.#web.listen(address, port).catch((cause: unknown) => {
      throw new StreamError('bad_setting', `HTTP_PORT is ${port}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    });
  }

  async start(): Promise<void> {
    this.#alerting?.start(this.#stopping.signal);
    await this.pipeline.start();
    const count = () => countPartitions(this.#admin, this.#parts.settings);
    const watch = { began: this.#partitions, count, clock: this.#host.clock, stopping: this.#stopping.signal };
    void watchPartitions(watch).catch(this.#parts.fail);
    const { metrics, options } = this.#parts;
    if (options.stage !== 'ingest') void watchRuns(this.#runs, { metrics, clock: this.#host.clock, stopping: this.#stopping.signal });
  }

  /** Commits, leaves, closes. What hangs on a service that is away is cut off, so that the rest can still end well; true when nothing was. */
  async stop(): Promise<boolean> {
    this.#stopping.abort();
    const stopped = this.pipeline.stop().then(() => true);
    const clean = await this.#within(STOP_WITHIN_MS, stopped);
    const closed = Promise.allSettled(this.#close.map((close) => close()));
    if (!clean)
      await this.#within(
        CUT_OFF_WITHIN_MS,
        stopped.catch(() => false),
      );
    await this.#within(CUT_OFF_WITHIN_MS, closed);
    await this.#web.close();
    return clean === true;
  }

  /** Undefined when it takes longer. */
  async #within<Result>(ms: number, work: Promise<Result>): Promise<Result | undefined> {
    const cut = new AbortController();
    try {
      return await Promise.race([work, this.#host.clock.sleep(ms, cut.signal).then(() => undefined)]);
    } finally {
      cut.abort();
    }
  }

  #source(stage: 'ingest' | 'evaluate', topics: string[]): Source {
    const { settings, log } = this.#parts;
    const groupId = `${settings.env.GROUP_ID}-${stage}`;
    return new KafkaSource(this.#kafka, {
      groupId,
      topics,
      clock: this.#host.clock,
      logger: log.child({ part: 'kafka', group: groupId }),
      decoder: settings.env.KAFKA_DECODER,
      fetchBytes: settings.limits.fetchBytes,
      held: () => heldBefore(settings, stage, log),
    });
  }

  #routes(): Routes {
    const status = () => statusOf(this.pipeline, this.#host.clock.now().wallMs, this.#unavailable());
    return {
      '/': () => ({ status: 200, type: 'text/html; charset=utf-8', body: STATUS_PAGE }),
      '/healthz': () => text('ok\n'),
      '/readyz': () => {
        const { ready, waiting_for } = status();
        return ready ? text('ready\n') : text(`waiting for:\n${waiting_for.map((line) => `- ${line}\n`).join('')}`, 503);
      },
      '/api/v1/status': () => json(status()),
      '/api/v1/experiments': () => json(shownExperiments(this.pipeline)),
      '/api/v1/alerts': async () => json((await this.#alerting?.shown()) ?? { source: 'process', open: [], suppressed: [] }),
      '/metrics': async () => {
        const { metrics } = this.#parts;
        collect(metrics, this.pipeline, this.#host.clock.now());
        this.#alerting?.collect();
        metrics.gauge('build_info').set({ version: versionOf(), node: process.version }, 1);
        metrics.gauge('redis_up').set(this.#counters?.healthy === false ? 0 : 1);
        return { status: 200, type: metrics.registry.contentType, body: await metrics.registry.metrics() };
      },
    };
  }

  #unavailable(): string[] {
    return this.#counters === null || this.#counters.healthy ? [] : [`Redis: ${this.#counters.lastError}`];
  }
}
