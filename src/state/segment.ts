/** One segment of a state folder: its head, which says what counts of the segments before it, and its commits. */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { StreamError } from '../errors.ts';
import type { Commit, LogRead, StateHeader } from '../topology/types.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { FRAME_HEAD_BYTES, findFrame, frameHead, KIND, MAGIC, readFrames, writeDurably } from './segment-file.ts';

/** The bytes of a segment that count, commits only in whole frames. */
export interface Counted {
  claim: number;
  bytes: number;
}

export interface SegmentHead {
  /** Which task the segment belongs to. */
  task: string;
  header: StateHeader;
  /** The earlier segments with commits that count, oldest first. */
  counted: Counted[];
  /** The header of the newest of them; null when there is none. */
  countedHeader: StateHeader | null;
}

/** Where the head of a segment ends, and its last sound frame. */
export interface SegmentEnd {
  headEnd: number;
  end: number;
  /** Whether a mark in it says that nothing before this segment is needed. */
  complete: boolean;
}

/** What counts of the segments before a claim. */
export interface Earlier {
  counted: Counted[];
  /** The header under which the newest commit was written; null without commits. */
  header: StateHeader | null;
}

/** What counts of the segment of this claim and the ones before it. */
export const withEarlier = (claim: number, head: SegmentHead, { headEnd, end, complete }: SegmentEnd): Earlier =>
  end > headEnd
    ? { counted: [...(complete ? [] : head.counted), { claim, bytes: end }], header: head.header }
    : { counted: head.counted, header: head.countedHeader };

/** Returns where the next frame goes. */
export async function writeHead(file: FileHandle, head: SegmentHead): Promise<number> {
  const payload = Buffer.concat([Uint8Array.of(KIND.header), Buffer.from(JSON.stringify(head))]);
  await writeDurably(file, [MAGIC, frameHead([payload], MAGIC.length), payload], 0);
  return MAGIC.length + FRAME_HEAD_BYTES + payload.length;
}

/** The payload of a commit, in two parts so that the changes are not copied. */
export function commitParts({ from, to, changes }: Commit): Uint8Array[] {
  const out = new ByteWriter(32);
  out.u8(KIND.commit);
  out.varint(from);
  out.varint(to);
  return [out.take(), changes];
}

/** The payload that says: the commits of this segment so far are enough to restore from. */
export const COMPLETE_MARK = Uint8Array.of(KIND.complete);

/** The head of the newest segment and where its sound frames end; null for a claim that came to nothing. A torn tail is cut. */
export async function readEnd(
  path: string,
  task: string,
  told?: (read: LogRead) => void,
): Promise<({ head: SegmentHead } & SegmentEnd) | null> {
  const file = await open(path, constants.O_RDONLY);
  try {
    // What is about to count must survive a power cut, whoever wrote it.
    await file.datasync();
    const { size } = await file.stat();
    const head = await readHead(file, path, { task, limit: size });
    if (head === null) return null;
    let headEnd = 0;
    let end = MAGIC.length;
    let complete = false;
    for await (const frame of readFrames(file, MAGIC.length, size)) {
      end = frame.end;
      headEnd ||= end;
      complete ||= frame.payload[0] === KIND.complete;
      told?.({ bytes: end, share: end / size });
    }
    const sound = end < size ? await findFrame(file, end + 1, size) : null;
    if (sound !== null) throw corrupt(path, end, `a broken frame, and a sound one after it at ${sound}`);
    return { head, headEnd, end, complete };
  } finally {
    await file.close();
  }
}

/** Null for a claim that came to nothing. */
export async function readHead(
  file: FileHandle,
  path: string,
  { task, limit }: { task: string; limit: number },
): Promise<SegmentHead | null> {
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
  if (head.task !== task) throw corrupt(path, MAGIC.length, `it is the state of ${head.task}, not of ${task}`);
  return head;
}

/** The commits of a segment of which that many bytes count. Rejects with `state_corrupt` unless all of them are sound. */
export async function* readCommits(path: string, bytes: number, task: string): AsyncGenerator<Commit, void> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw corrupt(path, 0, 'the file is missing');
    throw cause;
  }
  try {
    if ((await readHead(file, path, { task, limit: bytes })) === null) throw corrupt(path, 0, 'its head is broken');
    let end = MAGIC.length;
    for await (const { payload, offset, end: frameEnd } of readFrames(file, MAGIC.length, bytes)) {
      end = frameEnd;
      if (payload[0] === KIND.header || payload[0] === KIND.complete) continue;
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

/** Copies: the payload's buffer is used again. */
function commitOf(payload: Uint8Array): Commit {
  const reader = new ByteReader(payload, 1);
  return { from: reader.varint(), to: reader.varint(), changes: new Uint8Array(reader.bytes(reader.remaining)) };
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

export const corrupt = (path: string, offset: number, why: string): StreamError =>
  new StreamError(
    'state_corrupt',
    `${path}, offset ${offset}: ${why}. Restore the file, or delete the folder of this partition: it is then counted again from the first retained record.`,
  );
