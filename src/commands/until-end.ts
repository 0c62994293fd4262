/** When is everything that was there at the start counted? First ingest is past it, then evaluate past what ingest sent. */
import type { EvaluateTask, Pipeline } from '../topology/pipeline.ts';
import type { Clock } from '../topology/types.ts';

const LOOK_MS = 50;

/** True once it is so, and Postgres has been asked to take the totals; false when stopped before. */
export async function countedUntilEnd(pipeline: Pipeline, clock: Clock, stopping: AbortSignal): Promise<boolean> {
  const until = async (reached: () => boolean): Promise<boolean> => {
    while (!reached() && !stopping.aborted) await clock.sleep(LOOK_MS, stopping);
    return !stopping.aborted;
  };
  if (!(await until(() => pipeline.ready))) return false;
  const past = () => pipeline.ingestTasks.every((task) => task.endAtStart !== null && task.committed >= task.endAtStart);
  if (!(await until(past))) return false;
  const ends = new Map<EvaluateTask, number>();
  for (const task of pipeline.evaluateTasks) ends.set(task, (await pipeline.feedOf(task)?.bounds())?.end ?? 0);
  const counted = (task: EvaluateTask) => task.stage?.uncommitted === false || task.committed >= (ends.get(task) ?? 0);
  if (!(await until(() => pipeline.evaluateTasks.every((task) => (task.stage?.position ?? -1) >= (ends.get(task) ?? 0) && counted(task)))))
    return false;
  await pipeline.flushTotals();
  return true;
}
