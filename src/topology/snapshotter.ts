/**
 * Replaces a log that has grown well beyond its state by a snapshot: a slice with every commit while it is written, and its
 * read-back beside the loop. Nothing waits for it. Made anew whenever a task opens its state: a snapshot that was under way
 * then is just commits.
 */
import { asError } from '../errors.ts';
import type { CommitLog } from './types.ts';

/** Slots or cells of a snapshot that go with one commit: a few ms of work, about 2 MB. */
const SLICE = 150_000;
/** A larger state has larger slices, so that a snapshot is done in so many commits, before the process is restarted; tens of ms at most. */
const COMMITS = 120;
const LARGEST_SLICE = 1_000_000;
const SLOT_BYTES = 8;

/** When: the log is larger than `minBytes` and than `ratio` times the state. */
export interface SnapshotPolicy {
  minBytes: number;
  ratio: number;
}

export interface Snapshotted {
  readonly byteLength: number;
  beginSnapshot(): void;
  snapshotSlice(count: number): boolean;
}

export class Snapshotter {
  readonly #log: CommitLog;
  readonly #stage: Snapshotted;
  readonly #policy: SnapshotPolicy;
  #state: 'none' | 'writing' | 'written' | 'ending' = 'none';
  #slice = SLICE;
  /** Why the last one could not be ended; the task is opened again. */
  failure: Error | null = null;

  constructor(log: CommitLog, stage: Snapshotted, policy: SnapshotPolicy) {
    this.#log = log;
    this.#stage = stage;
    this.#policy = policy;
  }

  /** Whether a commit has something to add, changes or none. */
  get writing(): boolean {
    return this.#state === 'writing';
  }

  /** Adds a slice to the commit about to be taken. */
  beforeCommit(): void {
    if (this.#state === 'writing' && this.#stage.snapshotSlice(this.#slice)) this.#state = 'written';
  }

  /** The commit is durable. */
  async afterCommit(): Promise<void> {
    if (this.#state === 'written') {
      this.#state = 'ending';
      this.#log.endSnapshot().then(
        () => {
          this.#state = 'none';
        },
        (error: unknown) => {
          this.failure = asError(error);
        },
      );
    } else if (this.#state === 'none' && this.#log.sizeBytes() > this.#threshold()) {
      await this.#log.beginSnapshot();
      this.#stage.beginSnapshot();
      this.#slice = Math.min(LARGEST_SLICE, Math.max(SLICE, this.#stage.byteLength / SLOT_BYTES / COMMITS));
      this.#state = 'writing';
    }
  }

  #threshold(): number {
    const { minBytes, ratio } = this.#policy;
    return Math.max(minBytes, ratio * this.#stage.byteLength);
  }
}
