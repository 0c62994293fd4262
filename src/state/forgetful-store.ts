/** State that nobody will ask for again: a replay or a demo that is started anew counts anew. */
import type { Claim, Commit, CommitLog, StateStore } from '../topology/types.ts';

const SEED_BYTES = 8;

class ForgetfulLog implements CommitLog {
  #claims = 0;

  claim(): Promise<Claim> {
    const id = ++this.#claims;
    return Promise.resolve({ id, current: id > 1, previous: null, commits: () => nothing() });
  }

  append(_commit: Commit): Promise<void> {
    return Promise.resolve();
  }

  beginSnapshot(): Promise<void> {
    return Promise.resolve();
  }

  endSnapshot(): Promise<void> {
    return Promise.resolve();
  }

  sizeBytes(): number {
    return 0;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function* nothing(): AsyncGenerator<Commit> {}

/** One process, one run. The seed is fixed, so that two runs are the same in every bit. */
export class ForgetfulStateStore implements StateStore {
  open(): CommitLog {
    return new ForgetfulLog();
  }

  hashSeed(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(SEED_BYTES).fill(0x5e));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
