/** When is everything that was there counted? First ingest is past its end, then evaluate past what ingest has sent. */
import { actionOf } from '../errors.ts';
import type { EvaluateTask, IngestTask, Pipeline } from '../topology/pipeline.ts';
import type { Clock } from '../topology/types.ts';

const LOOK_MS = 20;
const RETRY_MS = 500;

export interface UntilEndParts {
  pipeline: Pipeline;
  clock: Clock;
  stopping: AbortSignal;
  /** The end that a task of ingest must reach; null while it is not known. */
  endOf: (task: IngestTask) => number | null;
}

/** True once it is so, and the totals sink has been asked to take the rest; false when stopped before. */
export async function countedUntilEnd({ pipeline, clock, stopping, endOf }: UntilEndParts): Promise<boolean> {
  const until = async (reached: () => boolean): Promise<boolean> => {
    while (!reached() && !stopping.aborted) await clock.sleep(LOOK_MS, stopping);
    return !stopping.aborted;
  };
  const past = (task: IngestTask): boolean => {
    const end = endOf(task);
    return end !== null && task.committed >= end;
  };
  if (!(await until(() => pipeline.ready && pipeline.ingestTasks.every(past)))) return false;
  const ends = new Map<EvaluateTask, number>();
  for (const task of pipeline.evaluateTasks) ends.set(task, await endOfLog(pipeline, clock, task));
  const counted = (task: EvaluateTask): boolean => task.committed >= (ends.get(task) ?? 0);
  if (!(await until(() => pipeline.evaluateTasks.every(counted)))) return false;
  await pipeline.flushTotals();
  return true;
}

/** For Kafka: the end of the log when the task first opened it. */
export const endAtStart = (task: IngestTask): number | null => task.endAtStart;

/** Asked again while the broker is away. */
async function endOfLog(pipeline: Pipeline, clock: Clock, task: EvaluateTask): Promise<number> {
  for (;;) {
    try {
      return (await pipeline.feedOf(task)?.bounds())?.end ?? 0;
    } catch (error) {
      if (actionOf(error) !== 'retry') throw error;
      await clock.sleep(RETRY_MS);
    }
  }
}
