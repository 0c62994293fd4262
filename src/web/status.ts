/** The state of this process as plain JSON: what the status API shows, and what metrics are made of. */
import type { EvaluateTask, IngestTask, Pipeline } from '../topology/pipeline.ts';
import type { RestoreProgress } from '../topology/restore.ts';
import { DISPOSITIONS, STREAMS, type Stream } from '../topology/types.ts';

export interface TaskStatus {
  stage: 'ingest' | 'evaluate';
  topic: string;
  partition: number;
  state: string;
  position: number | null;
  committed: number | null;
  lag_records: number | null;
  error: string | null;
  /** Of a restore that is under way. */
  restored: RestoreProgress | null;
}

export interface IngestStatus extends TaskStatus {
  stream: Stream | null;
  watermark_ms: number | null;
  dispositions: Record<string, number> | null;
}

export interface Status {
  ready: boolean;
  waiting_for: string[];
  ingest: IngestStatus[];
  evaluate: TaskStatus[];
  watermarks: { stream: Stream; watermark_ms: number | null; held_by: string | null }[];
  registry_age_ms: number | null;
}

const finite = (value: number | undefined): number | null => (value !== undefined && Number.isFinite(value) ? value : null);

/** @param unavailable services that do not answer, in words */
export function statusOf(pipeline: Pipeline, wallMs: number, unavailable: readonly string[]): Status {
  const ingest = pipeline.ingestTasks.map((task) => ({ ...ingestStatus(task), lag_records: pipeline.lagOf(task) }));
  const evaluate = pipeline.evaluateTasks.map((task) => ({ ...taskStatus(task), lag_records: pipeline.lagOf(task) }));
  const restoring = [...ingest, ...evaluate]
    .filter((task) => task.state !== 'running')
    .map((task) => `${task.stage} ${task.topic}/${task.partition}: ${task.error ?? doing(task)}`);
  const joining = pipeline.joined ? [] : ['joining the consumer groups'];
  const unregistered = pipeline.registry === null && pipeline.registryError !== null ? [`the registry: ${pipeline.registryError}`] : [];
  const { registry } = pipeline;
  return {
    ready: pipeline.ready && unavailable.length === 0,
    waiting_for: [...unavailable, ...unregistered, ...joining, ...restoring],
    ingest,
    evaluate,
    watermarks: STREAMS.map((stream) => watermarkStatus(pipeline.evaluateTasks, stream)),
    registry_age_ms: registry === null ? null : Math.max(0, wallMs - registry.loadedWallMs),
  };
}

const doing = ({ state, restored }: TaskStatus): string =>
  restored === null ? state : `${state}, ${restored.phase} its state, ${Math.floor(restored.share * 100)} %`;

function taskStatus(task: IngestTask | EvaluateTask): TaskStatus {
  const { id, state, stage, committed, error } = task;
  return {
    ...id,
    state,
    position: finite(stage?.position),
    committed: committed < 0 ? null : committed,
    lag_records: null,
    error: error?.message ?? null,
    restored: task.restored === null ? null : { ...task.restored },
  };
}

function ingestStatus(task: IngestTask): IngestStatus {
  const { stage } = task;
  const totals = stage?.committedTotals;
  return {
    ...taskStatus(task),
    stream: stage?.stream ?? null,
    watermark_ms: finite(stage?.watermarkMs),
    dispositions: totals ? Object.fromEntries(DISPOSITIONS.map((name, i) => [name, totals.dispositions[i]])) : null,
  };
}

/** Any task of evaluate hears every source; the first that has heard is asked. */
function watermarkStatus(tasks: readonly EvaluateTask[], stream: Stream): Status['watermarks'][number] {
  const sources = tasks.map((task) => task.stage?.state.sources).find((known) => known !== undefined && known.all().length > 0);
  const holder = sources?.holder(stream) ?? null;
  return {
    stream,
    watermark_ms: sources?.watermarkMs(stream) ?? null,
    held_by: holder === null ? null : `${holder.topic}/${holder.partition}`,
  };
}
