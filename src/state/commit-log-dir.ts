/**
 * The commit log of one task in a folder: one segment file a claim, `<number>.log`. Creating the file is the claim (it fails
 * when another process was first). Its first frame then says which bytes of every earlier segment count; what an earlier owner
 * writes after that is as if never written. A file without that frame is a claim that came to nothing. A segment with a frame that
 * marks it complete needs none of the earlier ones; only the owner of the latest claim deletes those.
 */

import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StreamError } from '../errors.ts';
import type { Claim, Commit, CommitLog, LogRead, StateHeader } from '../topology/types.ts';
import { FrameWriter, type Staging } from './frame-writer.ts';
import {
  COMPLETE_MARK,
  type Counted,
  commitParts,
  corrupt,
  type Earlier,
  readCommits,
  readEnd,
  type SegmentHead,
  withEarlier,
  writeHead,
} from './segment.ts';
import { FRAME_HEAD_BYTES } from './segment-file.ts';
import { unwritable } from './state-folder.ts';

const NAME = /^(\d{10})\.log$/;
const nameOf = (claim: number): string => `${String(claim).padStart(10, '0')}.log`;

interface Claimant {
  header: StateHeader;
  told?: ((read: LogRead) => void) | undefined;
}

export class DirCommitLog implements CommitLog {
  readonly #folder: string;
  readonly #task: string;
  readonly #staging: Staging;
  #file: FrameWriter | null = null;
  #claim = 0;
  #head: SegmentHead | null = null;
  #headEnd = 0;
  /** Where the next frame goes in the segment of this claim. */
  #end = 0;
  /** Whether all that was ever appended here is known to count, or to be absent. */
  #certain = false;
  /** Null while unknown: before the commits were read. */
  #position: number | null = null;
  /** Of the segment of this claim: whether a snapshot was begun with it, and whether it is marked complete. */
  #snapshot: 'none' | 'begun' | 'complete' = 'none';
  /** What is being written: one thing at a time, also while a snapshot is read back. */
  #appending: Promise<unknown> = Promise.resolve();

  /** `task` is written into each segment, so that a folder put elsewhere is noticed. */
  constructor(folder: string, task: string, staging: Staging) {
    this.#folder = folder;
    this.#task = task;
    this.#staging = staging;
  }

  claim(header: StateHeader, told?: (read: LogRead) => void): Promise<Claim> {
    return this.#inTurn(async () => {
      await this.#writing(() => makeFolder(this.#folder));
      const [claim, file] = await this.#createSegment();
      return this.#take(claim, file, { header, told });
    });
  }

  append(commit: Commit): Promise<void> {
    return this.#inTurn(async () => {
      this.#owned();
      await this.#refuseIfLost();
      if (this.#position !== null && commit.from !== this.#position) {
        throw new StreamError('unexpected', `${this.#folder}: a commit from ${commit.from}, but the position is ${this.#position}.`);
      }
      await this.#write(commitParts(commit));
      this.#position = commit.to;
    });
  }

  beginSnapshot(): Promise<void> {
    return this.#inTurn(async () => {
      this.#owned();
      await this.#refuseIfLost();
      const file = await this.#createNext();
      await this.#take(this.#claim + 1, file, { header: (this.#head as SegmentHead).header });
      this.#snapshot = 'begun';
    });
  }

  /** Commits may be appended meanwhile: only the mark waits for its turn. */
  async endSnapshot(): Promise<void> {
    const claim = this.#claim;
    this.#refuseUnlessBegun(claim);
    await this.#appending;
    await this.#checkSnapshot(this.#path(claim), this.#end, this.#position);
    await this.#inTurn(async () => {
      this.#refuseUnlessBegun(claim);
      await this.#refuseIfLost();
      await this.#write([COMPLETE_MARK]);
      this.#snapshot = 'complete';
    });
    // No later claim was there after the mark: whoever claims now finds it.
    await this.#writing(() => this.#deleteBefore(claim));
  }

  sizeBytes(): number {
    const earlier = this.#snapshot === 'complete' ? [] : (this.#head?.counted ?? []);
    return earlier.reduce((sum, { bytes }) => sum + bytes, this.#end);
  }

  /** After what is under way. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      const file = this.#file;
      this.#file = null;
      await file?.close();
    });
  }

  /** One after the other, whatever became of the one before. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#appending.then(action);
    this.#appending = turn.catch(() => undefined);
    return turn;
  }

  #owned(): FrameWriter {
    if (this.#file !== null && this.#certain) return this.#file;
    throw new StreamError('claim_lost', `${this.#folder}: the last append failed, or there was no claim; claim again.`);
  }

  /** Adds a frame. When it resolves, the frame counts: no claim was there after its bytes were. */
  async #write(parts: readonly Uint8Array[]): Promise<void> {
    const file = this.#owned();
    this.#certain = false;
    await this.#writing(() => file.write(parts, this.#end));
    // A claim made meanwhile may not have seen these bytes: then they are not promised to anyone.
    await this.#refuseIfLost();
    this.#certain = true;
    this.#end += parts.reduce((sum, { length }) => sum + length, FRAME_HEAD_BYTES);
  }

  #refuseUnlessBegun(claim: number): void {
    this.#owned();
    if (this.#snapshot === 'begun' && this.#claim === claim) return;
    throw new StreamError('claim_lost', `${this.#folder}: no snapshot was begun under this claim.`);
  }

  /** Reads back what a restore would read: every frame sound, every commit beginning where the one before ended. */
  async #checkSnapshot(path: string, bytes: number, end: number | null): Promise<void> {
    let position: number | null = null;
    for await (const { from, to } of readCommits(path, bytes, this.#task)) {
      if (position !== null && from !== position) throw corrupt(path, 0, `a commit of the snapshot is from ${from}, not ${position}`);
      position = to;
    }
    if (position === null) throw new StreamError('unexpected', `${path}: a snapshot without commits.`);
    if (position !== end) throw corrupt(path, 0, `the snapshot ends at ${position}, not ${end}`);
  }

  /** Oldest first, so that what a crash leaves is the newest. */
  async #deleteBefore(claim: number): Promise<void> {
    for (const earlier of await this.#claims()) if (earlier < claim) await unlink(this.#path(earlier));
    await syncFolder(this.#folder);
  }

  /** Finds out what counts before our claim, and writes it down. The file is ours to close, whatever happens. */
  async #take(claim: number, file: FileHandle, as: Claimant): Promise<Claim> {
    const writer = new FrameWriter(file, this.#staging);
    try {
      return await this.#takeOver(claim, writer, as);
    } catch (error) {
      if (this.#file !== writer) await writer.close();
      throw error;
    }
  }

  async #takeOver(claim: number, writer: FrameWriter, { header, told }: Claimant): Promise<Claim> {
    const latest = Math.max(0, ...(await this.#claims()).filter((other) => other < claim));
    const current = this.#certain && latest === this.#claim;
    const known = current ? this.#asEarlier() : await this.#earlier(latest, told);
    await this.#file?.close();
    this.#file = writer;
    this.#claim = claim;
    this.#snapshot = 'none';
    this.#head = { task: this.#task, header, counted: known.counted, countedHeader: known.header };
    if (!current) this.#position = null;
    this.#certain = false;
    this.#headEnd = await this.#writing(() => writeHead(writer.file, this.#head as SegmentHead));
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
        return [claim, await this.#writing(() => open(this.#path(claim), 'wx', 0o600))];
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }

  /** The segment of the next claim; another claim made meanwhile keeps the number. */
  async #createNext(): Promise<FileHandle> {
    try {
      return await this.#writing(() => open(this.#path(this.#claim + 1), 'wx', 0o600));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') await this.#refuseIfLost();
      throw error;
    }
  }

  #path(claim: number): string {
    return join(this.#folder, nameOf(claim));
  }

  async #refuseIfLost(): Promise<void> {
    const latest = (await this.#claims()).at(-1) ?? 0;
    if (latest > this.#claim) throw new StreamError('claim_lost', `${this.#folder}: claim ${latest} came after ours, ${this.#claim}.`);
  }

  /** What counts after this object's own last claim, from memory. */
  #asEarlier(): Earlier {
    const complete = this.#snapshot === 'complete';
    return withEarlier(this.#claim, this.#head as SegmentHead, { headEnd: this.#headEnd, end: this.#end, complete });
  }

  /** What counts of the segments up to `latest`, by the newest one whose owner came to write its head. */
  async #earlier(latest: number, told?: (read: LogRead) => void): Promise<Earlier> {
    for (const claim of (await this.#claims()).filter((other) => other <= latest).reverse()) {
      const found = await readEnd(this.#path(claim), this.#task, told);
      if (found !== null) return withEarlier(claim, found.head, found);
    }
    return { counted: [], header: null };
  }

  async *#commits(counted: readonly Counted[]): AsyncGenerator<Commit, void> {
    let position: number | null = null;
    for (const { claim, bytes } of counted) {
      for await (const commit of readCommits(this.#path(claim), bytes, this.#task)) {
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
