/**
 * One partition's work: poll → run the operators → write sinks → commit state with its position → commit the offset.
 * Five awaits, five places to crash, each harmless: a restart goes on at the last commit, and all that was written since
 * is written again with the same values.
 */
import { actionOf, asError, codeOf } from '../errors.ts';
import { checkHeader } from '../state/header.ts';
import { Lifecycle, type TaskState } from './lifecycle.ts';
import { placeStage } from './place-stage.ts';
import { Restore, type RestoreProgress } from './restore.ts';
import { type SnapshotPolicy, type SnapshotTurns, Snapshotter } from './snapshotter.ts';
import type { Sink, Stage } from './stage.ts';
import type { Clock, CommitLog, PartitionFeed, RecordBatch, StateHeader, TaskId } from './types.ts';

const MAX_WAIT_MS = 1000;
const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;

/** What is told about a task while it runs; for logs and metrics. */
export interface TaskObserver {
  /** Every few seconds of a long restore. */
  restoring?(task: TaskId, progress: Readonly<RestoreProgress>): void;
  /** The state was written under another configuration; counting goes on under this one. */
  configured?(task: TaskId, before: string, now: string): void;
  restored?(task: TaskId, info: { commits: number; position: number; durationMs: number; resumed: boolean }): void;
  committed?(task: TaskId, durationMs: number): void;
  delivered?(task: TaskId): void;
  failed?(task: TaskId, error: Error, backoffMs: number | null): void;
  /** Wraps the synchronous middle, for a span a batch. */
  batch?(task: TaskId, batch: RecordBatch, process: () => void): void;
}

export interface TaskParts<Out, Outcome> {
  id: TaskId;
  log: CommitLog;
  clock: Clock;
  commitMs: number;
  snapshot: SnapshotPolicy;
  /** Shared by the tasks of the process; alone where not given. */
  snapshotTurns?: SnapshotTurns;
  /** What this process is; recorded with each claim. */
  header: () => StateHeader;
  /** A new, empty stage. */
  stage: () => Stage<Out, Outcome>;
  sink: (feed: PartitionFeed) => Sink<Out, Outcome>;
  /** Go on at the first retained offset when state or log is lost (--accept-state-loss). */
  acceptStateLoss: boolean;
  observer: TaskObserver;
}

export class Task<Out, Outcome, S extends Stage<Out, Outcome> = Stage<Out, Outcome>> {
  readonly id: TaskId;
  readonly #parts: TaskParts<Out, Outcome>;
  readonly #life = new Lifecycle();
  readonly #stopping = new AbortController();
  #stage: Stage<Out, Outcome> | null = null;
  /** Memory and log agree but for what is not yet committed: false while a step is under way. */
  #clean = false;
  #snapshotter: Snapshotter | null = null;
  /** Since the last commit: opening alone is no success. */
  #failures = 0;
  #begun = false;
  #commitDueMs = 0;
  #committed = -1;
  #endAtStart: number | null = null;
  #error: Error | null = null;
  #restore: Restore | null = null;

  constructor(parts: TaskParts<Out, Outcome>) {
    this.id = parts.id;
    this.#parts = parts;
  }

  get state(): TaskState {
    return this.#life.state;
  }

  /** Null before the state is restored, and while it is in doubt. */
  get stage(): S | null {
    const { state } = this.#life;
    return state === 'running' || (state === 'idle' && this.#clean) ? (this.#stage as S | null) : null;
  }

  /** Position of the last commit; -1 before it is known. */
  get committed(): number {
    return this.#committed;
  }

  /** The log's end when the task first opened it; null before. */
  get endAtStart(): number | null {
    return this.#endAtStart;
  }

  /** How far a restore that is under way has come; null when none is. */
  get restored(): Readonly<RestoreProgress> | null {
    return this.#restore?.progress ?? null;
  }

  /** What the task last failed with, null once it runs again. */
  get error(): Error | null {
    return this.#error;
  }

  /** Runs until the feed is lost, `stop` is called, or a named stop. Rejects only with an error that ends the process. */
  async run(feed: PartitionFeed): Promise<void> {
    while (!this.#over(feed) && this.#life.state !== 'stopped') {
      this.#life.to('claiming');
      try {
        await this.#open(feed);
        await this.#drive(feed);
      } catch (error) {
        this.#snapshotter?.over();
        if (!(await this.#failed(asError(error), feed))) return;
        continue;
      }
      this.#snapshotter?.over();
      this.#life.to('idle');
    }
  }

  /** Ends after the step under way and one last commit. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Gives the memory back when the partition has gone elsewhere; its log has all that was committed. */
  leave(): void {
    if (this.#life.state === 'idle') this.#forget();
  }

  async close(): Promise<void> {
    await this.#parts.log.close();
  }

  #forget(): void {
    this.#stage?.dispose();
    this.#stage = null;
    this.#clean = false;
    this.#begun = false;
  }

  #over(feed: PartitionFeed): boolean {
    return feed.lost || this.#stopping.signal.aborted;
  }

  /** True when the task should try again. */
  async #failed(error: Error, feed: PartitionFeed): Promise<boolean> {
    const { id, clock, observer } = this.#parts;
    this.#restore = null;
    if (feed.lost || (this.#over(feed) && codeOf(error) === 'partition_lost')) {
      this.#life.to('idle');
      return false;
    }
    const goesOn = codeOf(error) === 'position_before_log' && this.#parts.acceptStateLoss;
    const action = goesOn ? 'reopen' : actionOf(error);
    this.#error = error;
    if (action === 'stop' || action === 'exit_1' || action === 'exit_2') {
      this.#life.to('stopped');
      this.#forget();
      observer.failed?.(id, error, null);
      if (action === 'stop') return false;
      throw error;
    }
    this.#life.to('backing_off');
    const backoffMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(this.#failures++, 10));
    observer.failed?.(id, error, backoffMs);
    await clock.sleep(backoffMs, this.#stopping.signal);
    if (!this.#over(feed)) return true;
    this.#life.to('idle');
    return false;
  }

  /** Claims the state, restores what others have committed since, and seeks to the position. */
  async #open(feed: PartitionFeed): Promise<void> {
    const { id, log, clock, observer } = this.#parts;
    const header = this.#parts.header();
    const startedMs = clock.now().monotonicMs;
    const restore = this.#restoring(feed);
    const claim = await restore.claim(header);
    // After the claim: a state that another owner has committed meanwhile would seem to be ahead of older bounds.
    const bounds = await feed.bounds();
    this.#endAtStart ??= bounds.end;
    if (claim.previous) checkHeader(claim.previous, header);
    if (claim.previous && claim.previous.configuration !== header.configuration) {
      observer.configured?.(id, claim.previous.configuration, header.configuration);
    }
    const resumed = claim.current && this.#clean && this.#stage !== null;
    let commits = 0;
    if (!resumed) {
      this.#life.to('restoring');
      this.#forget();
      this.#stage = this.#parts.stage();
      commits = await restore.apply(claim, this.#stage);
      this.#begun = commits > 0;
    }
    this.#restore = null;
    const stage = this.#stage as Stage<Out, Outcome>;
    if (!resumed && this.#begun && claim.previous && claim.previous.epoch < header.epoch) stage.newEpoch();
    placeStage(stage, { task: id, hasState: this.#begun, bounds, acceptStateLoss: this.#parts.acceptStateLoss });
    this.#begun = true;
    stage.owned(claim.id, clock.now());
    feed.seek(stage.position);
    if (!resumed) this.#committed = stage.position;
    this.#commitDueMs = startedMs + this.#parts.commitMs;
    this.#clean = true;
    this.#snapshotter = new Snapshotter(log, stage, this.#parts.snapshot, this.#parts.snapshotTurns);
    this.#error = null;
    this.#life.to('running');
    observer.restored?.(id, { commits, position: stage.position, durationMs: clock.now().monotonicMs - startedMs, resumed });
  }

  #restoring(feed: PartitionFeed): Restore {
    const { id, log, clock, observer } = this.#parts;
    const isOver = (): boolean => this.#over(feed);
    const tell = (progress: Readonly<RestoreProgress>): void => observer.restoring?.(id, progress);
    this.#restore = new Restore({ log, clock, stopping: this.#stopping.signal, isOver, tell });
    return this.#restore;
  }

  async #drive(feed: PartitionFeed): Promise<void> {
    const sink = this.#parts.sink(feed);
    while (!this.#over(feed)) await this.#step(feed, sink);
    if (!feed.lost) await this.#commit(feed, sink);
  }

  async #step(feed: PartitionFeed, sink: Sink<Out, Outcome>): Promise<void> {
    const { id, clock, observer } = this.#parts;
    const stage = this.#stage as Stage<Out, Outcome>;
    if (this.#snapshotter?.failure) throw this.#snapshotter.failure;
    const dueMs = stage.uncommitted || this.#snapshotter?.writing ? Math.min(stage.dueMs(), this.#commitDueMs) : stage.dueMs();
    const batch = await this.#poll(feed, Math.min(MAX_WAIT_MS, Math.max(0, dueMs - clock.now().monotonicMs)));
    this.#clean = false;
    if (batch !== null) {
      if (observer.batch) observer.batch(id, batch, () => stage.process(batch, clock.now()));
      else stage.process(batch, clock.now());
      // To its end, whatever has happened meanwhile: half a batch is no place to commit at.
      for (; stage.unfinished === true; stage.process(batch, clock.now())) await clock.sleep(0);
    }
    await this.#emit(feed, sink, false);
    if (clock.now().monotonicMs >= this.#commitDueMs) await this.#commit(feed, sink);
    this.#clean = true;
  }

  async #poll(feed: PartitionFeed, waitMs: number): Promise<RecordBatch | null> {
    try {
      return await feed.poll(waitMs);
    } catch (error) {
      if (feed.lost || codeOf(error) === 'partition_lost') return null;
      throw error;
    }
  }

  async #emit(feed: PartitionFeed, sink: Sink<Out, Outcome>, force: boolean): Promise<void> {
    const stage = this.#stage as Stage<Out, Outcome>;
    const { clock } = this.#parts;
    while (stage.prepare?.(clock.now(), feed, force) === true) await clock.sleep(0);
    const out = stage.emit(clock.now(), feed, force);
    if (out === null) return;
    const outcome = await sink.deliver(out);
    stage.delivered(outcome, this.#parts.clock.now());
    this.#parts.observer.delivered?.(this.id);
  }

  /** A commit covers only what was sent and acknowledged. */
  async #commit(feed: PartitionFeed, sink: Sink<Out, Outcome>): Promise<void> {
    const { clock, log, commitMs, observer } = this.#parts;
    const stage = this.#stage as Stage<Out, Outcome>;
    const startedMs = clock.now().monotonicMs;
    this.#commitDueMs = startedMs + commitMs;
    const snapshotter = this.#snapshotter as Snapshotter;
    if (!stage.uncommitted && !snapshotter.writing) return;
    this.#clean = false;
    do await this.#emit(feed, sink, true);
    while (stage.hasMore === true);
    await snapshotter.beforeCommit(() => clock.sleep(0, this.#stopping.signal));
    const commit = stage.takeCommit();
    await log.append(commit);
    this.#committed = commit.to;
    await snapshotter.afterCommit();
    await feed.commit(commit.to);
    this.#clean = true;
    this.#failures = 0;
    observer.committed?.(this.id, clock.now().monotonicMs - startedMs);
  }
}
