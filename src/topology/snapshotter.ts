/**
 * Replaces a log that has grown well beyond its state by a snapshot: a slice with every commit while it is written, and its
 * read-back beside the loop. No commit waits for it; a snapshot waits for those of the process's other tasks. Made anew
 * whenever a task opens its state: a snapshot that was under way then is just commits.
 */
import { asError } from '../errors.ts';
import type { CommitLog } from './types.ts';

/** Slots or cells of a snapshot that are written in one go: a few ms. */
const SLICE = 50_000;
/** Slices that go with one commit, about 2 MB; of a large state more, so that a snapshot is done in so many commits, before a restart. */
const SLICES = 3;
const COMMITS = 120;
const MOST_SLICES = 10;
const SLOT_BYTES = 8;

/** When: the log is larger than `minBytes` and than `ratio` times the state. */
export interface SnapshotPolicy {
  minBytes: number;
  ratio: number;
}

/**
 * Of a process, so many snapshots at once. Each doubles its log for a while and is read back over disk or network: tasks whose
 * logs have grown alike would do all that in the same minute.
 */
export class SnapshotTurns {
  #free: number;

  constructor(atOnce = 1) {
    this.#free = atOnce;
  }

  /** How to give the turn back, once; null while others have theirs. */
  take(): (() => void) | null {
    if (this.#free === 0) return null;
    this.#free--;
    let isOurs = true;
    return () => {
      if (isOurs) this.#free++;
      isOurs = false;
    };
  }
}

export interface Snapshotted {
  readonly byteLength: number;
  /** False while a snapshot would not get on: then it is not begun, and nobody waits for its turn. */
  readonly canSnapshot?: boolean;
  beginSnapshot(): void;
  snapshotSlice(count: number): boolean;
}

export class Snapshotter {
  readonly #log: CommitLog;
  readonly #stage: Snapshotted;
  readonly #policy: SnapshotPolicy;
  readonly #turns: SnapshotTurns;
  #giveBack: (() => void) | null = null;
  #state: 'none' | 'writing' | 'written' | 'ending' = 'none';
  #slices = SLICES;
  /** Why the last one could not be ended; the task is opened again. */
  failure: Error | null = null;

  constructor(log: CommitLog, stage: Snapshotted, policy: SnapshotPolicy, turns = new SnapshotTurns()) {
    this.#log = log;
    this.#stage = stage;
    this.#policy = policy;
    this.#turns = turns;
  }

  /** Whether a commit has something to add, changes or none. */
  get writing(): boolean {
    return this.#state === 'writing';
  }

  /** Adds slices to the commit about to be taken; others run between two. */
  async beforeCommit(pause: () => Promise<void>): Promise<void> {
    for (let left = this.#slices; left > 0 && this.#state === 'writing'; left--) {
      if (this.#stage.snapshotSlice(SLICE)) this.#state = 'written';
      else if (left > 1) await pause();
    }
  }

  /** The commit is durable. */
  async afterCommit(): Promise<void> {
    if (this.#state === 'written') {
      this.#state = 'ending';
      this.#log
        .endSnapshot()
        .then(
          () => {
            this.#state = 'none';
          },
          (error: unknown) => {
            this.failure = asError(error);
          },
        )
        .finally(this.#giveBack);
    } else if (this.#state === 'none' && this.#stage.canSnapshot !== false && this.#log.sizeBytes() > this.#threshold()) {
      this.#giveBack = this.#turns.take();
      if (this.#giveBack === null) return;
      await this.#log.beginSnapshot();
      this.#stage.beginSnapshot();
      const slices = this.#stage.byteLength / SLOT_BYTES / SLICE / COMMITS;
      this.#slices = Math.min(MOST_SLICES, Math.max(SLICES, Math.ceil(slices)));
      this.#state = 'writing';
    }
  }

  /** Nothing more is committed through this one. What is being read back keeps its turn until it is. */
  over(): void {
    if (this.#state !== 'ending') this.#giveBack?.();
  }

  #threshold(): number {
    const { minBytes, ratio } = this.#policy;
    return Math.max(minBytes, ratio * this.#stage.byteLength);
  }
}
