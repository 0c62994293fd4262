/** What a task drives: the synchronous middle of a stage, between the awaits of task.ts. */
import type { Commit, Now, PartitionFeed, RecordBatch } from './types.ts';

/** What a stage may know about its feed. */
export type FeedStatus = Pick<PartitionFeed, 'contactMs' | 'endReachedMs'>;

export interface Stage<Out, Outcome> {
  /** The next offset to be processed. */
  readonly position: number;
  /** Whether a commit would add anything. */
  readonly uncommitted: boolean;
  /** What it holds is not all that the log had: state or records were lost, and that was accepted. Kept in the state. */
  readonly lossy: boolean;
  /** Begins without a state at this offset; `lossy` when there had been one. */
  begin(position: number, lossy: boolean): void;
  /** Applies a commit, some ms of it a step: others may run between two. */
  restore(commit: Commit): Iterable<void>;
  /** Goes on at a later offset: what lies between is gone, and that was accepted. The stage is lossy from here on. */
  skipTo(position: number): void;
  /** `.partials` was recreated (`migrate --new-epoch`): ingest sends again what it holds, evaluate reads from 0. */
  newEpoch(): void;
  /** The state is complete and this owner's claim is appended. */
  owned(claim: number, now: Now): void;
  process(batch: RecordBatch, now: Now): void;
  /** The batch was more than should be done in one go: `process` is to be called with it again, others may run before. */
  readonly unfinished?: boolean;
  /**
   * Does a part of what `emit` will give; true while it should be called again first. Others may run before, but of this stage only
   * `emit` may be called then, and `snapshotSlice`: the emission tells of one position.
   */
  prepare?(now: Now, feed: FeedStatus, force: boolean): boolean;
  /**
   * What must be written now, or null. With `force`, everything that a commit would cover and that is not yet written.
   * The next call comes only after `delivered`.
   */
  emit(now: Now, feed: FeedStatus, force: boolean): Out | null;
  /** What `emit` gave was a portion: it is to be called again before a commit, and soon in any case. */
  readonly hasMore?: boolean;
  delivered(outcome: Outcome, now: Now): void;
  /** Monotonic ms at which `emit` wants to be called again, data or none. */
  dueMs(): number;
  /** Memory of the state: what a snapshot would be about as large as. */
  readonly byteLength: number;
  /** False while a snapshot would not get on, and is not to be begun. */
  readonly canSnapshot?: boolean;
  /** The commits from the next one on are to be enough to restore from, once `snapshotSlice` has said so. */
  beginSnapshot(): void;
  /** Adds the next `count` entries of the snapshot to the next commit; true when it is complete with that commit. */
  snapshotSlice(count: number): boolean;
  /** Gives back what it holds of the memory budget; not used afterwards. */
  dispose(): void;
  /** Everything since the last commit, its bytes valid until the next. Called only when all of it has been delivered. Throws StreamError counts_mismatch. */
  takeCommit(): Commit;
}

/** Writes what a stage emits; resolves when it is acknowledged. */
export interface Sink<Out, Outcome> {
  deliver(out: Out): Promise<Outcome>;
}
