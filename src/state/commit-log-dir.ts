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
import { ByteReader, ByteWriter } from './bytes.ts';
import { FRAME_HEAD_BYTES, findFrame, frameHead, KIND, MAGIC, readFrames, writeDurably } from './segment-file.ts';
import { unwritable } from './state-folder.ts';

const NAME = /^(\d{10})\.log$/;
const nameOf = (claim: number): string => `${String(claim).padStart(10, '0')}.log`;

/** The bytes of a segment that count, commits only in whole frames. */
interface Counted {
  claim: number;
  bytes: number;
}

interface SegmentHead {
  /** Which task the segment belongs to. */
  task: string;
  header: StateHeader;
  /** The earlier segments with commits that count, oldest first. */
  counted: Counted[];
  /** The header of the newest of them; null when there is none. */
  countedHeader: StateHeader | null;
}

export class DirCommitLog implements CommitLog {
  readonly #folder: string;
  readonly #task: string;
  #file: FileHandle | null = null;
  #claim = 0;
  #head: SegmentHead | null = null;
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
    const parts = [commitPrefix(commit), commit.changes];
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
    this.#end = await this.#writing(() => writeHead(file, this.#head as SegmentHead));
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
  #asEarlier(): { counted: Counted[]; header: StateHeader | null } {
    const head = this.#head as SegmentHead;
    return endedAt(head, this.#claim, this.#end);
  }

  /** What counts of the segments up to `latest`, by the newest one whose owner came to write its head. */
  async #earlier(latest: number): Promise<{ counted: Counted[]; header: StateHeader | null }> {
    for (const claim of (await this.#claims()).filter((other) => other <= latest).reverse()) {
      const path = join(this.#folder, nameOf(claim));
      const file = await open(path, constants.O_RDONLY);
      try {
        // What is about to count must survive a power cut, whoever wrote it.
        await file.datasync();
        const { size } = await file.stat();
        const head = await this.#readHead(file, path, size);
        if (head === null) continue;
        let end = MAGIC.length;
        for await (const frame of readFrames(file, MAGIC.length, size)) end = frame.end;
        const sound = end < size ? await findFrame(file, end + 1, size) : null;
        if (sound !== null) throw corrupt(path, end, `a broken frame, and a sound one after it at ${sound}`);
        return endedAt(head, claim, end);
      } finally {
        await file.close();
      }
    }
    return { counted: [], header: null };
  }

  /** Null for a claim that came to nothing. */
  async #readHead(file: FileHandle, path: string, limit: number): Promise<SegmentHead | null> {
    const magic = new Uint8Array(MAGIC.length);
    const { bytesRead } = await file.read(magic, 0, MAGIC.length, 0);
    if (bytesRead === MAGIC.length && !equal(magic, MAGIC) && equal(magic.subarray(0, 6), MAGIC.subarray(0, 6))) {
      throw new StreamError('state_newer_format', `${path} was written by a newer version of this program.`);
    }
    const frame = (await readFrames(file, MAGIC.length, limit).next()).value;
    if (!frame || frame.payload[0] !== KIND.header || !equal(magic, MAGIC)) {
      const sound = frame ? frame.offset : await findFrame(file, 0, limit);
      if (sound !== null) throw corrupt(path, 0, `a broken head, and a sound frame at ${sound}`);
      return null;
    }
    const head = JSON.parse(new TextDecoder().decode(frame.payload.subarray(1))) as SegmentHead;
    if (head.task !== this.#task) throw corrupt(path, MAGIC.length, `it is the state of ${head.task}, not of ${this.#task}`);
    return head;
  }

  async *#commits(counted: readonly Counted[]): AsyncGenerator<Commit, void> {
    let position: number | null = null;
    for (const { claim, bytes } of counted) {
      for await (const commit of this.#commitsOf(join(this.#folder, nameOf(claim)), bytes)) {
        if (position !== null && commit.from !== position) continue;
        position = commit.to;
        yield commit;
      }
    }
    this.#position ??= position;
  }

  async *#commitsOf(path: string, bytes: number): AsyncGenerator<Commit, void> {
    let file: FileHandle;
    try {
      file = await open(path, constants.O_RDONLY);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw corrupt(path, 0, 'the file is missing');
      throw cause;
    }
    try {
      if ((await this.#readHead(file, path, bytes)) === null) throw corrupt(path, 0, 'its head is broken');
      let end = MAGIC.length;
      for await (const { payload, offset, end: frameEnd } of readFrames(file, MAGIC.length, bytes)) {
        end = frameEnd;
        if (payload[0] === KIND.header) continue;
        if (payload[0] !== KIND.commit) {
          throw new StreamError(
            'state_newer_format',
            `${path}, offset ${offset}: a frame of kind ${payload[0]}, which this version does not know.`,
          );
        }
        yield commitOf(payload);
      }
      if (end < bytes) throw corrupt(path, end, `${bytes} bytes of it count`);
    } finally {
      await file.close();
    }
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

/** What counts once the segment of `claim`, with this head, ends at `end`. */
function endedAt(head: SegmentHead, claim: number, end: number): { counted: Counted[]; header: StateHeader | null } {
  const hasCommits = end > headEnd(head);
  if (!hasCommits) return { counted: head.counted, header: head.countedHeader };
  return { counted: [...head.counted, { claim, bytes: end }], header: head.header };
}

const headPayload = (head: SegmentHead): Uint8Array => Buffer.concat([Uint8Array.of(KIND.header), Buffer.from(JSON.stringify(head))]);

const headEnd = (head: SegmentHead): number => MAGIC.length + FRAME_HEAD_BYTES + headPayload(head).length;

/** Returns where the next frame goes. */
async function writeHead(file: FileHandle, head: SegmentHead): Promise<number> {
  const payload = headPayload(head);
  await writeDurably(file, [MAGIC, frameHead([payload], MAGIC.length), payload], 0);
  return headEnd(head);
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

function commitPrefix({ from, to }: Commit): Uint8Array {
  const out = new ByteWriter(32);
  out.u8(KIND.commit);
  out.varint(from);
  out.varint(to);
  return out.take();
}

/** Copies: the payload's buffer is used again. */
function commitOf(payload: Uint8Array): Commit {
  const reader = new ByteReader(payload, 1);
  return { from: reader.varint(), to: reader.varint(), changes: new Uint8Array(reader.bytes(reader.remaining)) };
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const corrupt = (path: string, offset: number, why: string): StreamError =>
  new StreamError(
    'state_corrupt',
    `${path}, offset ${offset}: ${why}. Restore the file, or delete the folder of this partition: it is then counted again from the first retained record.`,
  );
