/** Where a task goes on: at its own position, never the group's (contract: "Where a task starts"). */
import { StreamError } from '../errors.ts';
import type { PartitionBounds, TaskId } from './types.ts';

interface Placed {
  readonly position: number;
  begin(position: number, lossy: boolean): void;
  skipTo(position: number): void;
}

export interface Place {
  task: TaskId;
  /** Whether anything was restored. */
  hasState: boolean;
  bounds: PartitionBounds;
  acceptStateLoss: boolean;
}

const ADVICE = 'with --accept-state-loss (no counter goes down, but some may stay too low)';

/** Throws `state_lost`, `position_beyond_log` or `position_before_log`, with what to do. */
export function placeStage(stage: Placed, { task, hasState, bounds, acceptStateLoss }: Place): void {
  const where = `${task.stage} of ${task.topic}/${task.partition}`;
  if (!hasState) {
    const lossy = bounds.committed !== null && bounds.first > 0;
    if (lossy && !acceptStateLoss) {
      throw new StreamError(
        'state_lost',
        `${where}: the group has committed offset ${bounds.committed}, the log begins at ${bounds.first}, and there is no state: restore the state, or go on at ${bounds.first} ${ADVICE}`,
      );
    }
    stage.begin(bounds.first, lossy);
    return;
  }
  if (stage.position > bounds.end) {
    throw new StreamError(
      'position_beyond_log',
      `${where}: the state is at offset ${stage.position}, the log ends at ${bounds.end}: the topic was recreated or truncated`,
    );
  }
  if (stage.position >= bounds.first) return;
  if (!acceptStateLoss) {
    throw new StreamError(
      'position_before_log',
      `${where}: the state is at offset ${stage.position}, the log begins at ${bounds.first}: what lies between is gone; go on ${ADVICE}`,
    );
  }
  stage.skipTo(bounds.first);
}
