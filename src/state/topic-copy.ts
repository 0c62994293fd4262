/**
 * A copy on this machine of what counts in a task's log on the state topic: one file a claim, so that a restore reads only the
 * topic's tail. Frames as in a state folder's segments: the head, one a commit, one when a snapshot is complete. Never
 * flushed to disk and never believed over the topic: whatever is odd about it, it is thrown away.
 */

import { type FileHandle, mkdir, open, readdir, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Commit, StateHeader } from '../topology/types.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { type CountedCommit, type FoldedSegment, LogFold } from './log-fold.ts';
import { type Frame, frameHead, KIND, readFrames } from './segment-file.ts';
import type { StateLogger } from './state-topic.ts';

const MAGIC = new TextEncoder().encode('EXSCPY02');
const NAME = /^(\d{16})\.copy$/;
const NAME_DIGITS = 16;

interface CopyHead {
  topicId: string;
  task: string;
  claim: number;
  header: StateHeader;
}

interface CopiedCommit {
  seq: number;
  before: number | null;
  offset: number;
  commit: Commit;
}

/** What a copy holds, as if the topic had been read up to its last commit. */
export interface CopyEnd {
  fold: LogFold;
  /** Of the last commit in the topic. */
  offset: number;
  last: Commit;
  /** The chain of the commits before it. */
  before: number | null;
}

export interface CopyPlace {
  folder: string;
  /** Of this topic alone: another one by the same name has another. */
  topicId: string;
  task: string;
  logger: StateLogger;
}

export class TopicCopy {
  readonly #place: CopyPlace;
  #file: FileHandle | null = null;
  #claim = -1;
  #end = 0;
  /** After a failure nothing is copied any more until the copy is read anew. */
  #off = false;

  constructor(place: CopyPlace) {
    this.#place = place;
  }

  /** What there is; null when that is nothing, or of no use: then it was deleted. */
  async load(): Promise<CopyEnd | null> {
    this.#off = false;
    await this.#closeFile();
    try {
      const found = await this.#load();
      if (found !== null) return found;
    } catch (error) {
      this.#place.logger.warn({ err: error, folder: this.#place.folder }, 'the local copy of the state is not used, the topic is read');
    }
    await this.discard();
    return null;
  }

  async add({ segment, seq, before, offset, commit }: CountedCommit): Promise<void> {
    const head = new ByteWriter(48);
    head.u8(KIND.commit);
    for (const part of [seq, before === null ? 0 : before + 1, offset, commit.from, commit.to]) head.varint(part);
    await this.#writing(async () => {
      if (segment.claim !== this.#claim) await this.#begin(segment);
      await this.#append([head.take(), commit.changes]);
    });
  }

  /** Nothing before this claim's commits is needed. */
  async completed(claim: number): Promise<void> {
    await this.#writing(async () => {
      if (claim !== this.#claim) return;
      await this.#append([Uint8Array.of(KIND.complete)]);
      for (const other of await this.#claims()) if (other < claim) await unlink(this.#path(other));
    });
  }

  /** The commits from number `first` on. Rejects when one cannot be had. */
  async *commits(segments: readonly FoldedSegment[], first: number): AsyncGenerator<CopiedCommit, void> {
    if (this.#off) throw new Error('there is no copy');
    let next = first;
    for (const { claim } of segments) {
      for await (const { payload } of this.#frames(claim)) {
        if (payload[0] !== KIND.commit) continue;
        const copied = commitOf(payload);
        if (copied.seq < next) continue;
        if (copied.seq > next) throw new Error(`commit ${next} is missing in ${this.#path(claim)}`);
        next++;
        yield copied;
      }
    }
  }

  async discard(): Promise<void> {
    try {
      await this.#closeFile();
      await rm(this.#place.folder, { recursive: true, force: true });
      this.#off = false;
    } catch (err) {
      this.#off = true;
      this.#place.logger.warn({ err, folder: this.#place.folder }, 'the local copy of the state cannot be deleted, it is not used');
    }
  }

  async close(): Promise<void> {
    this.#off = true;
    await this.#closeFile().catch(() => undefined);
  }

  async #load(): Promise<CopyEnd | null> {
    const claims = await this.#claims();
    const fold = new LogFold();
    let last: (CopiedCommit & { claim: number; end: number }) | null = null;
    for (const claim of claims) {
      for await (const { payload, end } of this.#frames(claim)) {
        if (payload[0] === KIND.header) {
          fold.claimed(claim, this.#headOf(payload, claim).header);
        } else if (payload[0] === KIND.complete) {
          fold.completed();
        } else {
          const copied = commitOf(payload);
          const { seq, before, offset, commit } = copied;
          // Files before a complete snapshot may be gone, so any number may be the first.
          if (fold.segments.length === 0) Object.assign(fold, { nextSeq: seq, chain: before });
          const isOther = before !== null && fold.chain !== null && before !== fold.chain;
          if (seq !== fold.nextSeq || isOther || (fold.position !== null && commit.from !== fold.position)) {
            throw new Error(`${this.#path(claim)}: commit ${seq} does not follow`);
          }
          fold.count(copied, offset, commit);
          last = { ...copied, claim, end };
        }
        if (last?.claim === claim) last.end = end;
      }
    }
    if (last === null) return null;
    const [{ firstSeq, claim: firstClaim }] = fold.segments;
    if (firstSeq > 0 && fold.complete !== firstClaim) throw new Error('its beginning is missing');
    for (const claim of claims) if (claim > last.claim) await unlink(this.#path(claim));
    this.#file = await open(this.#path(last.claim), 'r+');
    // Its time says that it is in use, however quiet the partition.
    await this.#file.write(MAGIC, 0, MAGIC.length, 0);
    await this.#file.truncate(last.end);
    this.#claim = last.claim;
    this.#end = last.end;
    return { fold, offset: last.offset, before: last.before, last: last.commit };
  }

  #headOf(payload: Uint8Array, claim: number): CopyHead {
    const head = JSON.parse(new TextDecoder().decode(payload.subarray(1))) as CopyHead;
    const { topicId, task } = this.#place;
    if (head.topicId !== topicId) throw new Error('it is of another topic');
    if (head.task !== task || head.claim !== claim) throw new Error(`it is of ${head.task}, claim ${head.claim}`);
    return head;
  }

  async *#frames(claim: number): AsyncGenerator<Frame, void> {
    const file = await open(this.#path(claim), 'r');
    try {
      const magic = new Uint8Array(MAGIC.length);
      await file.read(magic, 0, MAGIC.length, 0);
      if (Buffer.compare(magic, MAGIC) !== 0) throw new Error(`${this.#path(claim)} is no copy of this format`);
      const { size } = await file.stat();
      yield* readFrames(file, MAGIC.length, size);
    } finally {
      await file.close();
    }
  }

  async #begin({ claim, header }: FoldedSegment): Promise<void> {
    await this.#closeFile();
    await mkdir(this.#place.folder, { recursive: true });
    this.#file = await open(this.#path(claim), 'w', 0o600);
    this.#claim = claim;
    await this.#file.write(MAGIC, 0, MAGIC.length, 0);
    this.#end = MAGIC.length;
    const { topicId, task } = this.#place;
    const head: CopyHead = { topicId, task, claim, header };
    await this.#append([Uint8Array.of(KIND.header), Buffer.from(JSON.stringify(head))]);
  }

  async #append(parts: readonly Uint8Array[]): Promise<void> {
    const frame = [frameHead(parts, this.#end), ...parts];
    const length = frame.reduce((sum, part) => sum + part.length, 0);
    const { bytesWritten } = await (this.#file as FileHandle).writev(frame, this.#end);
    if (bytesWritten < length) throw new Error('the disk is full');
    this.#end += length;
  }

  /** The topic has everything: a copy that cannot be written is given up, and told about. */
  async #writing(action: () => Promise<void>): Promise<void> {
    if (this.#off) return;
    try {
      await action();
    } catch (err) {
      this.#off = true;
      this.#place.logger.warn({ err, folder: this.#place.folder }, 'the local copy of the state cannot be written, going on without it');
    }
  }

  async #claims(): Promise<number[]> {
    const names = await readdir(this.#place.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    return names
      .flatMap((name) => NAME.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  #path(claim: number): string {
    return join(this.#place.folder, `${String(claim).padStart(NAME_DIGITS, '0')}.copy`);
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    this.#claim = -1;
    await file?.close();
  }
}

/** Copies: the payload's buffer is used again. */
function commitOf(payload: Uint8Array): CopiedCommit {
  const reader = new ByteReader(payload, 1);
  const [seq, before, offset, from, to] = Array.from({ length: 5 }, () => reader.varint());
  return {
    seq,
    before: before === 0 ? null : before - 1,
    offset,
    commit: { from, to, changes: new Uint8Array(reader.bytes(reader.remaining)) },
  };
}
