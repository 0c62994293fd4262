/**
 * The bytes of one segment of a state folder: 8 bytes that name the format, then frames, each
 * [u32 length][u32 CRC-32 of the payload][u32 check][payload]. The check binds length and CRC to their place in the file, so
 * that a frame can be recognised where the one before it is broken, and a copy of a frame elsewhere is none.
 */

import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

export const MAGIC = new TextEncoder().encode('EXSLOG01');
export const FRAME_HEAD_BYTES = 12;

const CHECK_SALT = 0x5e9f_10a3;
const CHUNK_BYTES = 1 << 20;

/** What the first byte of a payload says. A reader that meets another kind was written before it (`state_newer_format`). */
export const KIND = { header: 0, commit: 1, complete: 2 } as const;

export interface Frame {
  /** Where it begins in the file, and where the next one does. */
  offset: number;
  end: number;
  /** Valid until the next frame is read. */
  payload: Uint8Array;
}

const checkOf = (length: number, crc: number, offset: number): number => (length ^ crc ^ offset ^ CHECK_SALT) >>> 0;

/** The head of a frame whose payload is these parts one after the other, to be written at `offset`. */
export function frameHead(parts: readonly Uint8Array[], offset: number): Uint8Array {
  let length = 0;
  let crc = 0;
  for (const part of parts) {
    length += part.length;
    crc = crc32(part, crc);
  }
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  putHead(head, { length, crc, offset });
  return head;
}

/** The head of a frame into the first bytes of `to`: of a payload of that length and checksum, written at `offset`. */
export function putHead(to: Uint8Array, { length, crc, offset }: { length: number; crc: number; offset: number }): void {
  const view = new DataView(to.buffer, to.byteOffset, FRAME_HEAD_BYTES);
  view.setUint32(0, length, true);
  view.setUint32(4, crc, true);
  view.setUint32(8, checkOf(length, crc, offset), true);
}

/** Writes all of the parts at `offset`, however many calls that takes. */
export async function writeAll(file: FileHandle, parts: readonly Uint8Array[], offset: number): Promise<void> {
  let rest = [...parts];
  for (let at = offset; rest.length > 0; ) {
    const { bytesWritten } = await file.writev(rest, at);
    at += bytesWritten;
    let written = bytesWritten;
    while (rest.length > 0 && written >= rest[0].length) {
      written -= rest[0].length;
      rest = rest.slice(1);
    }
    if (rest.length > 0) rest[0] = rest[0].subarray(written);
  }
}

/** The same, and durable when it resolves. */
export async function writeDurably(file: FileHandle, parts: readonly Uint8Array[], offset: number): Promise<void> {
  await writeAll(file, parts, offset);
  await file.datasync();
}

/** Reads a file forwards through one buffer, which grows to the largest stretch asked for. */
class ChunkReader {
  readonly #file: FileHandle;
  readonly #limit: number;
  #buffer = new Uint8Array(0);
  #start = 0;
  #filled = 0;

  constructor(file: FileHandle, limit: number) {
    this.#file = file;
    this.#limit = limit;
  }

  /** A view of the bytes at `offset`, valid until the next call; null when fewer lie before the limit or in the file. */
  async read(offset: number, length: number): Promise<Uint8Array | null> {
    if (offset + length > this.#limit) return null;
    if (offset < this.#start || offset + length > this.#start + this.#filled) await this.#fill(offset, length);
    const from = offset - this.#start;
    return from + length > this.#filled ? null : this.#buffer.subarray(from, from + length);
  }

  async #fill(offset: number, length: number): Promise<void> {
    const wanted = Math.min(Math.max(length, CHUNK_BYTES), this.#limit - offset);
    if (this.#buffer.length < wanted) this.#buffer = new Uint8Array(Math.max(wanted, Math.min(CHUNK_BYTES, this.#limit)));
    this.#start = offset;
    this.#filled = 0;
    while (this.#filled < wanted) {
      const { bytesRead } = await this.#file.read(this.#buffer, this.#filled, wanted - this.#filled, offset + this.#filled);
      if (bytesRead === 0) return;
      this.#filled += bytesRead;
    }
  }
}

/** The frame at `offset`, or null when there is no whole and sound one. */
async function frameAt(chunks: ChunkReader, offset: number): Promise<Frame | null> {
  const head = await chunks.read(offset, FRAME_HEAD_BYTES);
  if (head === null) return null;
  const view = new DataView(head.buffer, head.byteOffset);
  const length = view.getUint32(0, true);
  const crc = view.getUint32(4, true);
  // No frame is empty; zeros look like one at a single place of a file.
  if (length === 0 || view.getUint32(8, true) !== checkOf(length, crc, offset)) return null;
  const payload = await chunks.read(offset + FRAME_HEAD_BYTES, length);
  if (payload === null || crc32(payload) !== crc) return null;
  return { offset, end: offset + FRAME_HEAD_BYTES + length, payload };
}

/** Yields the sound frames from `start` on; stops at the first that is not, or at `limit`. */
export async function* readFrames(file: FileHandle, start: number, limit: number): AsyncGenerator<Frame, void> {
  const chunks = new ChunkReader(file, limit);
  for (let offset = start; ; ) {
    const frame = await frameAt(chunks, offset);
    if (frame === null) return;
    yield frame;
    offset = frame.end;
  }
}

/** Where the first sound frame after `start` begins, null when there is none: then what lies there is a torn tail. */
export async function findFrame(file: FileHandle, start: number, limit: number): Promise<number | null> {
  const chunks = new ChunkReader(file, limit);
  for (let from = start; from + FRAME_HEAD_BYTES <= limit; ) {
    const bytes = await chunks.read(from, Math.min(CHUNK_BYTES, limit - from));
    if (bytes === null) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const last = bytes.length - FRAME_HEAD_BYTES;
    const candidates: number[] = [];
    for (let i = 0; i <= last; i++) {
      const check = checkOf(view.getUint32(i, true), view.getUint32(i + 4, true), from + i);
      if (view.getUint32(i + 8, true) === check) candidates.push(from + i);
    }
    for (const offset of candidates) if ((await frameAt(chunks, offset)) !== null) return offset;
    from += last + 1;
  }
  return null;
}
