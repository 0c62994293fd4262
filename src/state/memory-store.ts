/** State in memory, on a "disk" that several processes of a simulation may share and that outlives each of them. */

import { StreamError } from '../errors.ts';
import type { Claim, Commit, CommitLog, StateHeader, StateStore, TaskId } from '../topology/types.ts';
import type { StateStoreOptions } from './dir-store.ts';

interface ClaimEntry {
  claim: number;
  header: StateHeader;
}

interface CommitEntry {
  claim: number;
  commit: Commit;
}

/** The commits under this claim are enough to restore from. */
interface CompleteEntry {
  claim: number;
  complete: true;
}

type Entry = ClaimEntry | CommitEntry | CompleteEntry;

/** What is left when all processes are gone. */
export class MemoryDisk {
  readonly logs = new Map<string, Entry[]>();
  /**
   * Asked when the owner of an overtaken claim appends. Its bytes land either way and never count; `false` lets the append
   * resolve, as if the later claim had been made right after the owner looked.
   */
  noticesLaterClaim: () => boolean = () => true;

  logOf(name: string): Entry[] {
    const known = this.logs.get(name);
    if (known) return known;
    const fresh: Entry[] = [];
    this.logs.set(name, fresh);
    return fresh;
  }
}

/** The commits that count, by the one rule: under the latest claim before them, and from the position then. */
function countedCommits(entries: readonly Entry[]): CommitEntry[] {
  let counted: CommitEntry[] = [];
  let claim = 0;
  for (const entry of entries) {
    if ('header' in entry) claim = entry.claim;
    else if (entry.claim !== claim) continue;
    else if ('complete' in entry) counted = counted.filter((other) => other.claim === claim);
    else if (entry.commit.from === (counted.at(-1)?.commit.to ?? entry.commit.from)) counted.push(entry);
  }
  return counted;
}

class MemoryCommitLog implements CommitLog {
  readonly #disk: MemoryDisk;
  readonly #name: string;
  #claim = 0;
  #position: number | null = null;
  #sizeBytes = 0;
  /** The claim under which a snapshot is under way; 0 for none. */
  #snapshot = 0;

  constructor(disk: MemoryDisk, name: string) {
    this.#disk = disk;
    this.#name = name;
  }

  async claim(header: StateHeader): Promise<Claim> {
    const entries = this.#disk.logOf(this.#name);
    const latest = latestClaim(entries);
    const current = this.#claim > 0 && latest === this.#claim;
    const counted = countedCommits(entries);
    const writer = counted.at(-1)?.claim;
    const written = entries.find((entry): entry is ClaimEntry => 'header' in entry && entry.claim === writer);
    this.#claim = latest + 1;
    this.#position = counted.at(-1)?.commit.to ?? null;
    this.#sizeBytes = sizeOf(counted);
    entries.push({ claim: this.#claim, header: structuredClone(header) });
    return { id: this.#claim, current, previous: written ? structuredClone(written.header) : null, commits: () => copies(counted) };
  }

  async append(commit: Commit): Promise<void> {
    const entries = this.#disk.logOf(this.#name);
    if (this.#claim === 0) throw new StreamError('claim_lost', `${this.#name}: no claim was made.`);
    if (this.#position !== null && commit.from !== this.#position) {
      throw new StreamError('unexpected', `${this.#name}: a commit from ${commit.from}, but the position is ${this.#position}.`);
    }
    entries.push({ claim: this.#claim, commit: { ...commit, changes: new Uint8Array(commit.changes) } });
    const latest = latestClaim(entries);
    if (latest > this.#claim && this.#disk.noticesLaterClaim()) {
      throw new StreamError('claim_lost', `${this.#name}: claim ${latest} came after ours, ${this.#claim}.`);
    }
    this.#position = commit.to;
    this.#sizeBytes += commit.changes.length;
  }

  async beginSnapshot(): Promise<void> {
    const entries = this.#disk.logOf(this.#name);
    this.#refuseIfLost(entries);
    const header = entries.findLast((entry) => 'header' in entry)?.header as StateHeader;
    this.#claim += 1;
    this.#snapshot = this.#claim;
    entries.push({ claim: this.#claim, header });
  }

  async endSnapshot(): Promise<void> {
    const entries = this.#disk.logOf(this.#name);
    this.#refuseIfLost(entries);
    if (this.#snapshot !== this.#claim) throw new StreamError('claim_lost', `${this.#name}: no snapshot was begun under this claim.`);
    const counted = countedCommits([...entries, { claim: this.#claim, complete: true }]);
    if (counted.length === 0) throw new StreamError('unexpected', `${this.#name}: a snapshot without commits.`);
    entries.push({ claim: this.#claim, complete: true });
    entries.splice(
      0,
      entries.findIndex(({ claim }) => claim === this.#claim),
    );
    this.#snapshot = 0;
    this.#sizeBytes = sizeOf(counted);
  }

  sizeBytes(): number {
    return this.#sizeBytes;
  }

  async close(): Promise<void> {}

  #refuseIfLost(entries: readonly Entry[]): void {
    const latest = latestClaim(entries);
    if (this.#claim === 0) throw new StreamError('claim_lost', `${this.#name}: no claim was made.`);
    if (latest > this.#claim) throw new StreamError('claim_lost', `${this.#name}: claim ${latest} came after ours, ${this.#claim}.`);
  }
}

const sizeOf = (entries: readonly CommitEntry[]): number => entries.reduce((sum, { commit }) => sum + commit.changes.length, 0);

const latestClaim = (entries: readonly Entry[]): number => entries.findLast((entry) => 'header' in entry)?.claim ?? 0;

async function* copies(entries: readonly CommitEntry[]): AsyncGenerator<Commit, void> {
  for (const { commit } of entries) yield { ...commit, changes: new Uint8Array(commit.changes) };
}

const FIXED_SEED = new TextEncoder().encode('exposure');

export interface MemoryStateStoreOptions extends StateStoreOptions {
  /** A disk of its own when not given. */
  disk?: MemoryDisk;
}

export class MemoryStateStore implements StateStore {
  readonly #disk: MemoryDisk;
  readonly #hashSeed: Uint8Array;

  constructor({ disk = new MemoryDisk(), hashSeed = FIXED_SEED }: MemoryStateStoreOptions = {}) {
    this.#disk = disk;
    this.#hashSeed = hashSeed;
  }

  open({ stage, topic, partition }: TaskId): CommitLog {
    return new MemoryCommitLog(this.#disk, `${stage}/${topic}/${partition}`);
  }

  async hashSeed(): Promise<Uint8Array> {
    return this.#hashSeed;
  }

  async close(): Promise<void> {}
}
