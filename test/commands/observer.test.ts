import { trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { observe } from '../../src/commands/observer.ts';
import { StreamError } from '../../src/errors.ts';
import { Metrics } from '../../src/metrics.ts';
import type { PipelineObserver } from '../../src/topology/pipeline.ts';
import { SECOND, Story, type StoryProcess } from '../topology/drive.ts';

afterEach(() => trace.disable());

/** A process that is observed as `run` observes it. */
function observed(story: Story): { process: StoryProcess; metrics: Metrics; logs: Record<string, unknown>[]; observer: PipelineObserver } {
  const logs: Record<string, unknown>[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => logs.push(JSON.parse(line) as Record<string, unknown>) });
  const metrics = new Metrics();
  const observer = observe({
    stopIsFatal: false,
    log,
    metrics,
    pipeline: () => process.pipeline,
    nowMs: () => story.clock.now(),
    fatal: () => {},
  });
  const process: StoryProcess = story.process({ observer });
  return { process, metrics, logs, observer };
}

test('one span a batch, never one a record, with the names of the semantic conventions', async () => {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  const story = new Story();
  for (let i = 0; i < 500; i++) story.impression({ at: i });
  const { process } = observed(story);
  await process.start();
  await story.pass(SECOND);
  const spans = exporter.getFinishedSpans().filter(({ attributes }) => attributes['messaging.destination.name'] === 'impressions');
  expect(spans).toHaveLength(1);
  expect(spans[0]).toMatchObject({
    name: 'process impressions',
    attributes: {
      'messaging.system': 'kafka',
      'messaging.destination.partition.id': '0',
      'messaging.kafka.offset': 500,
      'exposure_stream.stage': 'ingest',
    },
  });
});

test('failures are logged with code and action and counted; what a person must see is an error, the rest a warning', async () => {
  const story = new Story();
  const { process, metrics, logs } = observed(story);
  process.fault(/^send before/, new StreamError('kafka_unreachable', 'no broker'));
  process.fault(/^append ingest:impressions/, new StreamError('total_overflow', 'too much'));
  await process.start();
  story.impression({ at: 0 });
  await story.pass(3 * SECOND);
  const failures = logs
    .filter(({ code }) => code !== undefined)
    .map(({ level, code, action, backoff_ms, msg }) => [level, code, action, backoff_ms, msg]);
  expect(failures).toEqual([
    [40, 'kafka_unreachable', 'retry', 100, 'no broker'],
    [50, 'total_overflow', 'stop', null, 'too much'],
  ]);
  expect(await metrics.registry.metrics()).toContain('exposure_stream_task_failures_total{stage="ingest",code="total_overflow"} 1');
});

test('how long a record took until it was visible, and a commit, are measured', async () => {
  const story = new Story();
  const { process, metrics } = observed(story);
  await process.start();
  await story.pass(5 * SECOND);
  story.impression({ at: 5 * SECOND });
  await story.pass(2 * SECOND);
  const text = await metrics.registry.metrics();
  expect(text).toMatch(/exposure_stream_end_to_end_seconds_count 1\n/);
  const sum = Number(/exposure_stream_end_to_end_seconds_sum (\S+)/.exec(text)?.[1]);
  expect(sum).toBeGreaterThanOrEqual(0);
  expect(sum).toBeLessThan(0.5);
  expect(text).toMatch(/exposure_stream_commit_duration_seconds_count\{stage="ingest"\} 1\n/);
});

test('trouble that repeats is logged once in 30 s, and its end too', async () => {
  const story = new Story();
  const { metrics, logs, observer } = observed(story);
  for (let i = 0; i < 5; i++) {
    observer.trouble?.('totals', new StreamError('postgres_unreachable', 'away'));
    await story.pass(10 * SECOND);
  }
  observer.flushed?.(3, 1);
  observer.flushed?.(3, 1);
  expect(logs.map(({ msg }) => msg)).toEqual([
    'away',
    'away',
    'hourly totals are written again',
    'hourly totals written',
    'hourly totals written',
  ]);
  expect(await metrics.registry.metrics()).toContain('exposure_stream_totals_flush_failures_total 5');
});
