/** Sets the metrics that live in state, each time they are asked for. */
import type { Metrics } from '../metrics.ts';
import { INVALID_REASONS } from '../operators/decode.ts';
import type { EvaluateTask, IngestTask, Pipeline } from '../topology/pipeline.ts';
import { DISPOSITIONS, type Now, STREAMS } from '../topology/types.ts';
import { collectExperiments } from './experiments.ts';

const FROM_STATE = [
  'records_total',
  'invalid_records_total',
  'late_spend_micros_total',
  'duplicate_spend_micros_total',
  'invalid_traffic_spend_micros_total',
  'suspected_duplicates_total',
  'suspected_duplicate_spend_micros_total',
] as const;

export function collect(metrics: Metrics, pipeline: Pipeline, { wallMs, monotonicMs }: Now): void {
  for (const name of FROM_STATE) metrics.counter(name).reset();
  for (const name of [
    'watermark_lag_seconds',
    'watermark_holder',
    'consumer_lag_records',
    'tasks',
    'restored_bytes',
    'restore_ratio',
    'state_keys',
    'state_bytes',
    'campaigns',
    'counted_behind_seconds',
    'platform_expected_spend_micros',
  ] as const)
    metrics.gauge(name).reset();
  for (const task of pipeline.ingestTasks) collectIngest(metrics, task, wallMs);
  for (const task of [...pipeline.ingestTasks, ...pipeline.evaluateTasks]) collectTask(metrics, pipeline, task);
  collectLost(metrics, pipeline);
  collectState(metrics, pipeline);
  collectWatermarks(metrics, pipeline, wallMs);
  collectExperiments(metrics, pipeline);
  collectPacing(metrics, pipeline, { wallMs, monotonicMs });
  const { registry } = pipeline;
  if (registry !== null) metrics.gauge('registry_age_seconds').set(Math.max(0, wallMs - registry.loadedWallMs) / 1000);
  const evaluating = pipeline.evaluateTasks.flatMap(({ stage }) => (stage === null ? [] : [stage.state]));
  metrics.setCounter(
    'forgotten_cells_total',
    {},
    evaluating.reduce((sum, state) => sum + state.forgottenCells, 0),
  );
  metrics.gauge('totals_pending_rows').set(evaluating.reduce((sum, state) => sum + state.hours.size, 0));
}

/** Of the campaigns whose partitions this process has. */
function collectPacing(metrics: Metrics, pipeline: Pipeline, now: Now): void {
  let atRisk = 0;
  for (const { stage } of pipeline.evaluateTasks) {
    if (stage === null) continue;
    const { states, atRiskMicros } = stage.pacing.summary(now);
    for (const [state, count] of Object.entries(states)) metrics.gauge('campaigns').inc({ state }, count);
    atRisk += atRiskMicros;
    const { countedUntilMs, expectedOfPlatform } = stage.pacing;
    const redisMs = stage.pacing.redisMs(now);
    if (redisMs !== null && countedUntilMs !== null)
      metrics.gauge('counted_behind_seconds').set(Math.max(0, redisMs - countedUntilMs) / 1000);
    if (expectedOfPlatform !== null && expectedOfPlatform.micros !== null)
      metrics.gauge('platform_expected_spend_micros').set({ from: expectedOfPlatform.from }, expectedOfPlatform.micros);
  }
  metrics.gauge('spend_at_risk_micros').set(atRisk);
}

function collectTask(metrics: Metrics, pipeline: Pipeline, task: IngestTask | EvaluateTask): void {
  const { stage, topic, partition } = task.id;
  metrics.gauge('tasks').inc({ stage, state: task.state });
  if (task.restored !== null) {
    const { bytes, phase, share } = task.restored;
    const labels = { stage, topic, partition: String(partition) };
    metrics.gauge('restored_bytes').set(labels, bytes);
    metrics.gauge('restore_ratio').set({ ...labels, phase }, share);
  }
  const lag = pipeline.lagOf(task);
  const stream = pipeline.ingestTasks.find((one) => one === task)?.stage?.stream ?? 'partials';
  if (lag !== null) metrics.gauge('consumer_lag_records').set({ stream, partition: String(partition) }, lag);
}

/** A loss is told by the task it happened to, and by evaluate of every source that began counting anew. */
function collectLost(metrics: Metrics, pipeline: Pipeline): void {
  const lossy = (tasks: readonly { readonly stage: { readonly lossy: boolean } | null }[]) =>
    tasks.filter(({ stage }) => stage?.lossy).length;
  metrics.gauge('tasks_with_lost_state').set({ stage: 'ingest' }, lossy(pipeline.ingestTasks));
  metrics.gauge('tasks_with_lost_state').set({ stage: 'evaluate' }, lossy(pipeline.evaluateTasks));
  const sources = pipeline.evaluateTasks.map(({ stage }) => stage?.state.sources.lost.size ?? 0);
  metrics.gauge('sources_with_lost_state').set(Math.max(0, ...sources));
}

/** Only what is committed is counted, so that the sum over processes is exact. */
function collectIngest(metrics: Metrics, { stage, id }: IngestTask, wallMs: number): void {
  if (stage === null) return;
  const { stream } = stage;
  const partition = String(id.partition);
  const { dispositions, reasons, sums } = stage.committedTotals;
  DISPOSITIONS.forEach((disposition, i) => {
    metrics.counter('records_total').inc({ stream, partition, disposition }, dispositions[i]);
  });
  INVALID_REASONS.forEach((reason, i) => {
    if (reasons[i] > 0) metrics.counter('invalid_records_total').inc({ stream, reason }, reasons[i]);
  });
  metrics.counter('suspected_duplicates_total').inc({ stream, partition }, sums.suspected);
  if (Number.isFinite(stage.watermarkMs))
    metrics.gauge('watermark_lag_seconds').set({ stream, partition }, (wallMs - stage.watermarkMs) / 1000);
  if (stream !== 'impressions') return;
  metrics.counter('late_spend_micros_total').inc({ partition }, sums.lateMicros);
  metrics.counter('duplicate_spend_micros_total').inc({ partition }, sums.duplicateMicros);
  metrics.counter('invalid_traffic_spend_micros_total').inc({ partition }, sums.invalidTrafficMicros);
  metrics.counter('suspected_duplicate_spend_micros_total').inc({ partition }, sums.suspectedMicros);
}

function collectState(metrics: Metrics, pipeline: Pipeline): void {
  for (const { stage } of pipeline.ingestTasks) {
    if (stage === null) continue;
    for (const store of ['dedup', 'suspects', 'units'] as const) {
      metrics.gauge('state_keys').inc({ store }, stage.state[store].size);
      metrics.gauge('state_bytes').inc({ store }, stage.state[store].byteLength);
    }
  }
  for (const { stage } of pipeline.evaluateTasks) {
    for (const [store, { keys, bytes }] of Object.entries(stage?.state.sizes ?? {})) {
      metrics.gauge('state_keys').inc({ store: `evaluate_${store}` }, keys);
      metrics.gauge('state_bytes').inc({ store: `evaluate_${store}` }, bytes);
    }
  }
  metrics.gauge('state_budget_bytes').set(pipeline.budget.limitBytes);
}

function collectWatermarks(metrics: Metrics, pipeline: Pipeline, wallMs: number): void {
  const heard = pipeline.evaluateTasks
    .map(({ stage }) => stage?.state.sources)
    .find((sources) => sources !== undefined && sources.all().length > 0);
  for (const stream of STREAMS) {
    const watermarks = pipeline.ingestTasks.flatMap(({ stage }) => (stage?.stream === stream ? [stage.watermarkMs] : []));
    metrics.gauge('watermark_ahead_seconds').set({ stream }, Math.max(0, ...watermarks.map((ms) => ms - wallMs)) / 1000);
    const holder = heard?.holder(stream);
    if (holder) metrics.gauge('watermark_holder').set({ stream, partition: String(holder.partition) }, 1);
  }
}
