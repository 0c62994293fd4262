/** Makes a stage again of the commits that count: in steps, told about, and broken off when it is no longer wanted. */
import { StreamError } from '../errors.ts';
import type { Stage } from './stage.ts';
import type { Claim, Clock, CommitLog, LogRead, StateHeader } from './types.ts';

const TELL_MS = 2000;

/** How far a restore has come. */
export interface RestoreProgress {
  /** First it is read what of the log counts, then that is applied. */
  phase: 'reading' | 'applying';
  /** Of this phase, from 0 to 1. */
  share: number;
  /** Applied so far, */
  commits: number;
  /** and read or applied in this phase. */
  bytes: number;
  /** Of the last commit applied. */
  position: number;
}

export interface RestoreParts {
  log: CommitLog;
  clock: Clock;
  stopping: AbortSignal;
  /** Whether the partition has gone elsewhere, or the process is on the way out: a long restore would only hold memory and time. */
  isOver: () => boolean;
  /** Called every few seconds. */
  tell: (progress: Readonly<RestoreProgress>) => void;
}

export class Restore {
  readonly #parts: RestoreParts;
  #progress: RestoreProgress | null = null;
  #toldMs: number;

  constructor(parts: RestoreParts) {
    this.#parts = parts;
    this.#toldMs = parts.clock.now().monotonicMs;
  }

  /** Null before anything was read. */
  get progress(): Readonly<RestoreProgress> | null {
    return this.#progress;
  }

  claim(header: StateHeader): Promise<Claim> {
    return this.#parts.log.claim(header, (read) => this.#reading(read));
  }

  /** Applies every commit that counts; reading them leaves the event loop to others between two. Returns how many there were. */
  async apply(claim: Claim, stage: Pick<Stage<unknown, unknown>, 'restore'>): Promise<number> {
    const { clock, log, stopping } = this.#parts;
    const progress: RestoreProgress = { phase: 'applying', share: 0, commits: 0, bytes: 0, position: 0 };
    this.#progress = progress;
    const allBytes = Math.max(1, log.sizeBytes());
    for await (const commit of claim.commits()) {
      this.#refuseIfOver();
      for (const _ of stage.restore(commit)) await clock.sleep(0, stopping);
      progress.commits++;
      progress.bytes += commit.changes.length;
      progress.share = Math.min(1, progress.bytes / allBytes);
      progress.position = commit.to;
      this.#tell(progress);
    }
    return progress.commits;
  }

  #reading({ bytes, share }: LogRead): void {
    this.#refuseIfOver();
    this.#progress = { phase: 'reading', share, commits: 0, bytes, position: 0 };
    this.#tell(this.#progress);
  }

  #tell(progress: RestoreProgress): void {
    const nowMs = this.#parts.clock.now().monotonicMs;
    if (nowMs - this.#toldMs < TELL_MS) return;
    this.#toldMs = nowMs;
    this.#parts.tell(progress);
  }

  #refuseIfOver(): void {
    if (this.#parts.isOver()) throw new StreamError('partition_lost', 'the restore was broken off');
  }
}
