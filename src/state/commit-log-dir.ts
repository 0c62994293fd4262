/**
 * The commit log of one task in a folder: one segment file a claim, `<number>.log`. Creating the file is the claim (it fails
 * when another process was first). Its first frame then says which bytes of every earlier segment count; what an earlier owner
 * writes after that is as if never written. A file without that frame is a claim that came to nothing.
 */

import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StreamError } from '../errors.ts';
import type { Claim, Commit, CommitLog, StateHeader } from '../topology/types.ts';
import { type Counted, commitParts, type Earlier, readCommits, readEnd, type SegmentHead, withEarlier, writeHead } from './segment.ts';
import { frameHead, writeDurably } from './segment-file.ts';
import { unwritable } from './state-folder.ts';

const NAME = /^(\d{10})\.log$/;
const nameOf = (claim: number): string => `${String(claim).padStart(10, '0')}.log`;

export class DirCommitLog implements CommitLog {
  readonly #folder: string;
  readonly #task: string;
  #file: FileHandle | null = null;
  #claim = 0;
  #head: SegmentHead | null = null;
  #headEnd = 0;
  /** Where the next frame goes in the segment of this claim. */
  #end = 0;
  /** Whether all that was ever appended here is known to count, or to be absent. */
  #certain = false;
  /** Null while unknown: before the commits were read. */
  #position: number | null = null;

  /** `task` is written into each segment, so that a folder put elsewhere is noticed. */
  constructor(folder: string, task: string) {
    this.#folder = folder;
    this.#task = task;
  }

  async claim(header: StateHeader): Promise<Claim> {
    await this.#writing(() => makeFolder(this.#folder));
    const [claim, file] = await this.#createSegment();
    try {
      return await this.#take(claim, file, header);
    } catch (error) {
      if (this.#file !== file) await file.close();
      throw error;
    }
  }

  async append(commit: Commit): Promise<void> {
    const file = this.#file;
    if (file === null || !this.#certain) throw new StreamError('claim_lost', `${this.#folder}: the last append failed; claim again.`);
    if (this.#position !== null && commit.from !== this.#position) {
      throw new StreamError('unexpected', `${this.#folder}: a commit from ${commit.from}, but the position is ${this.#position}.`);
    }
    await this.#refuseIfLost();
    const parts = commitParts(commit);
    const head = frameHead(parts, this.#end);
    this.#certain = false;
    await this.#writing(() => writeDurably(file, [head, ...parts], this.#end));
    // A claim made meanwhile may not have seen these bytes: then the commit is not promised to anyone.
    await this.#refuseIfLost();
    this.#certain = true;
    this.#end += head.length + parts[0].length + parts[1].length;
    this.#position = commit.to;
  }

  sizeBytes(): number {
    return (this.#head?.counted ?? []).reduce((sum, { bytes }) => sum + bytes, this.#end);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  /** Finds out what counts before our claim, and writes it down. */
  async #take(claim: number, file: FileHandle, header: StateHeader): Promise<Claim> {
    const latest = Math.max(0, ...(await this.#claims()).filter((other) => other < claim));
    const current = this.#certain && latest === this.#claim;
    const known = current ? this.#asEarlier() : await this.#earlier(latest);
    await this.#file?.close();
    this.#file = file;
    this.#claim = claim;
    this.#head = { task: this.#task, header, counted: known.counted, countedHeader: known.header };
    if (!current) this.#position = null;
    this.#certain = false;
    this.#headEnd = await this.#writing(() => writeHead(file, this.#head as SegmentHead));
    this.#end = this.#headEnd;
    await this.#writing(() => syncFolder(this.#folder));
    this.#certain = true;
    return { id: claim, current, previous: known.header, commits: () => this.#commits(known.counted) };
  }

  /** Numbers of all claims, rising. */
  async #claims(): Promise<number[]> {
    const names = await readdir(this.#folder);
    return names
      .flatMap((name) => NAME.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  async #createSegment(): Promise<[number, FileHandle]> {
    for (;;) {
      const claim = ((await this.#claims()).at(-1) ?? 0) + 1;
      try {
        return [claim, await this.#writing(() => open(join(this.#folder, nameOf(claim)), 'wx', 0o600))];
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }

  async #refuseIfLost(): Promise<void> {
    const latest = (await this.#claims()).at(-1) ?? 0;
    if (latest > this.#claim) throw new StreamError('claim_lost', `${this.#folder}: claim ${latest} came after ours, ${this.#claim}.`);
  }

  /** What counts after this object's own last claim, from memory. */
  #asEarlier(): Earlier {
    return withEarlier(this.#head as SegmentHead, { claim: this.#claim, headEnd: this.#headEnd, end: this.#end });
  }

  /** What counts of the segments up to `latest`, by the newest one whose owner came to write its head. */
  async #earlier(latest: number): Promise<Earlier> {
    for (const claim of (await this.#claims()).filter((other) => other <= latest).reverse()) {
      const path = join(this.#folder, nameOf(claim));
      const found = await readEnd(path, this.#task);
      if (found !== null) return withEarlier(found.head, { claim, ...found });
    }
    return { counted: [], header: null };
  }

  async *#commits(counted: readonly Counted[]): AsyncGenerator<Commit, void> {
    let position: number | null = null;
    for (const { claim, bytes } of counted) {
      for await (const commit of readCommits(join(this.#folder, nameOf(claim)), bytes, this.#task)) {
        if (position !== null && commit.from !== position) continue;
        position = commit.to;
        yield commit;
      }
    }
    this.#position ??= position;
  }

  /** Gives an error of the file system its name. */
  async #writing<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw unwritable(error, this.#folder);
    }
  }
}

/** Creates the folder, and those above it, so that they survive a power cut. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let above = dirname(folder); above.length >= dirname(first).length; above = dirname(above)) {
    await syncFolder(above);
    if (above === dirname(above)) return;
  }
}

/** So that the file's name survives a power cut as its bytes do. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
