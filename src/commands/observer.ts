/** What happens in the pipeline, as logs, metrics and spans. */
import { type Span, SpanKind, trace } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { actionOf, codeOf } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Pipeline, PipelineObserver } from '../topology/pipeline.ts';
import type { RecordBatch, TaskId } from '../topology/types.ts';

/** Trouble that repeats is logged once in this time. */
const REPEAT_MS = 30_000;

export interface ObserverParts {
  log: Logger;
  metrics: Metrics;
  pipeline: () => Pipeline;
  nowMs: () => { monotonicMs: number; wallMs: number };
  fatal: (error: Error) => void;
  /** With --until-end a task that is stopped would be waited for for ever. */
  stopIsFatal: boolean;
}

export function observe({ log, metrics, pipeline, nowMs, fatal, stopIsFatal }: ObserverParts): PipelineObserver {
  const tracer = trace.getTracer('exposure-stream');
  const toldMs = new Map<string, number>();
  const troubled = new Set<string>();
  return {
    restored: (task, info) => log.info({ ...task, ...info }, info.resumed ? 'resumed' : 'state restored'),
    restoring: (task, progress) => log.info({ ...task, ...progress }, 'restoring'),
    configured: (task, before, now) =>
      log.warn({ ...task, before, now }, 'the state was written under another configuration; counting goes on under this one'),
    committed: (task, durationMs) => metrics.histogram('commit_duration_seconds').observe({ stage: task.stage }, durationMs / 1000),
    delivered: (task) => {
      if (task.stage === 'evaluate') observeVisible(task, pipeline(), metrics, nowMs().wallMs);
    },
    failed: (task, error, backoffMs) => {
      const code = codeOf(error);
      metrics.counter('task_failures_total').inc({ stage: task.stage, code });
      const fields = { ...task, code, action: actionOf(error), backoff_ms: backoffMs, err: code === 'unexpected' ? error : undefined };
      if (backoffMs === null && stopIsFatal) fatal(error);
      if (backoffMs === null) log.error(fields, error.message);
      else log.warn(fields, error.message);
    },
    batch: (task, batch, process) =>
      spanOf(task, batch, (name, options) => tracer.startActiveSpan(name, options, (span) => inSpan(span, process))),
    registry: () => {
      if (troubled.delete('registry')) log.info('the registry is read again');
    },
    flushed: (rows, durationMs) => {
      if (troubled.delete('totals')) log.info('hourly totals are written again');
      log.debug({ rows, duration_ms: durationMs }, 'hourly totals written');
    },
    published: (alerts) => {
      if (troubled.delete('alerts')) log.info('alerts are published again');
      log.debug({ alerts }, 'alerts published');
    },
    trouble: (what, error) => {
      troubled.add(what);
      if (what === 'alerts') metrics.counter('alerts_publish_failures_total').inc();
      if (what === 'totals') metrics.counter('totals_flush_failures_total').inc();
      const { monotonicMs } = nowMs();
      if (monotonicMs - (toldMs.get(what) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
      toldMs.set(what, monotonicMs);
      log.warn({ what, code: codeOf(error) }, error.message);
    },
    fatal,
  };
}

function observeVisible(task: TaskId, pipeline: Pipeline, metrics: Metrics, wallMs: number): void {
  const stage = pipeline.evaluateTasks.find(({ id }) => id.partition === task.partition)?.stage;
  for (const recordMs of stage?.takeVisible() ?? []) metrics.histogram('end_to_end_seconds').observe(Math.max(0, wallMs - recordMs) / 1000);
}

type Start = (name: string, options: { kind: SpanKind; attributes: Record<string, string | number> }) => void;

/** One span a batch, never one a record; names as in OpenTelemetry's semantic conventions for messaging. */
function spanOf(task: TaskId, batch: RecordBatch, start: Start): void {
  const attributes = {
    'messaging.system': 'kafka',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': task.topic,
    'messaging.destination.partition.id': String(task.partition),
    'messaging.kafka.offset': batch.nextOffset,
    'exposure_stream.stage': task.stage,
    'exposure_stream.batch.bytes': batch.byteLength,
  };
  start(`process ${task.topic}`, { kind: SpanKind.CONSUMER, attributes });
}

function inSpan(span: Span, process: () => void): void {
  try {
    process();
  } finally {
    span.end();
  }
}
