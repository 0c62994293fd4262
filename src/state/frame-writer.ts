/**
 * Writes frames to a segment file. Of a large one the whole blocks go past the page cache: a busy partition commits some 16 MB a
 * second that only a restore reads again, and to take so much memory anew, fill it and have it flushed costs several times what
 * the disk needs, and far more where a hypervisor lends memory page by page. A frame's two ends go through the cache, and so does
 * all of a smaller one. What is in the file is the same either way.
 */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { FRAME_HEAD_BYTES, frameHead, putHead, writeAll } from './segment-file.ts';

/** Memory, offset and length of a write past the cache are multiples of it: no device asks for more. */
const BLOCK_BYTES = 4096;
/** Summed and copied at once: a fraction of a ms, and still in the processor's cache when it is written. */
const STEP_BYTES = 1 << 20;
/** A shorter payload is not worth the steps. */
const LEAST_BYTES = 1 << 18;
/** Of a file system that cannot write past the cache, or wants larger blocks. */
const REFUSALS = new Set(['EINVAL', 'EOPNOTSUPP', 'ENOTSUP']);

/** Memory that blocks can be written from, lent to one frame at a time: one half is filled while the other is written. */
export class Staging {
  #halves: Uint8Array[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  use<T>(action: (halves: readonly Uint8Array[]) => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => action(this.#made()));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** A resizable buffer has pages of its own. */
  #made(): readonly Uint8Array[] {
    if (this.#halves.length === 0) {
      const memory = new ArrayBuffer(2 * STEP_BYTES, { maxByteLength: 2 * STEP_BYTES });
      this.#halves = [new Uint8Array(memory, 0, STEP_BYTES), new Uint8Array(memory, STEP_BYTES, STEP_BYTES)];
    }
    return this.#halves;
  }
}

export class FrameWriter {
  readonly file: FileHandle;
  readonly #staging: Staging;
  /** The same file, past the cache; undefined before it is wanted, null where it cannot be had. */
  #direct: Promise<FileHandle | null> | undefined;

  /** `file` is closed with the writer. */
  constructor(file: FileHandle, staging: Staging) {
    this.file = file;
    this.#staging = staging;
  }

  /** A frame whose payload is these parts one after the other, at `offset`. Durable when it resolves. */
  async write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (length >= LEAST_BYTES && (await this.#opened()) !== null) {
      await this.#staging.use((halves) => this.#writeLarge(parts, offset, halves));
    } else {
      await writeAll(this.file, [frameHead(parts, offset), ...parts], offset);
    }
    await this.file.datasync();
  }

  /** The file keeps its number while another handle is opened by that. */
  async close(): Promise<void> {
    const direct = await this.#direct;
    await Promise.all([direct?.close(), this.file.close()]);
  }

  /** Its blocks first: their checksum is known only then, and it stands in front of them. */
  async #writeLarge(parts: readonly Uint8Array[], offset: number, halves: readonly Uint8Array[]): Promise<void> {
    const payload = new Payload(parts);
    const end = offset + FRAME_HEAD_BYTES + payload.length;
    const firstBlock = Math.ceil((offset + FRAME_HEAD_BYTES) / BLOCK_BYTES) * BLOCK_BYTES;
    const lastBlock = Math.floor(end / BLOCK_BYTES) * BLOCK_BYTES;
    const front = new Uint8Array(firstBlock - offset);
    payload.take(front.subarray(FRAME_HEAD_BYTES));
    let writing = Promise.resolve();
    for (let at = firstBlock, half = 0; at < lastBlock; at += STEP_BYTES, half ^= 1) {
      const step = halves[half].subarray(0, Math.min(STEP_BYTES, lastBlock - at));
      payload.take(step);
      await writing;
      writing = this.#writeBlocks(step, at);
    }
    const back = new Uint8Array(end - lastBlock);
    payload.take(back);
    putHead(front, { length: payload.length, crc: payload.crc, offset });
    await writing;
    await writeAll(this.file, [back], lastBlock);
    await writeAll(this.file, [front], offset);
  }

  async #writeBlocks(blocks: Uint8Array, offset: number): Promise<void> {
    const direct = await this.#opened();
    try {
      if (direct) return await writeAll(direct, [blocks], offset);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      await direct?.close();
      this.#direct = Promise.resolve(null);
    }
    await writeAll(this.file, [blocks], offset);
  }

  #opened(): Promise<FileHandle | null> {
    this.#direct ??= openDirect(this.file);
    return this.#direct;
  }
}

/** By its number, not its name: it is this file whatever has become of that. Null where that cannot be had. */
async function openDirect(file: FileHandle): Promise<FileHandle | null> {
  const { O_DIRECT, O_WRONLY } = constants;
  if (!O_DIRECT) return null;
  const direct = await open(`/proc/self/fd/${file.fd}`, O_WRONLY | O_DIRECT).catch(() => null);
  if (direct === null || (await areSame(direct, file))) return direct;
  await direct.close();
  return null;
}

/** A number may be another file's as soon as its own is closed; a closed one is no file's. */
const areSame = (one: FileHandle, other: FileHandle): Promise<boolean> =>
  Promise.all([one.stat({ bigint: true }), other.stat({ bigint: true })]).then(
    ([a, b]) => a.dev === b.dev && a.ino === b.ino,
    () => false,
  );

const isRefusal = (error: unknown): boolean => REFUSALS.has((error as NodeJS.ErrnoException).code ?? '');

/** Parts one after the other, taken from the front. */
class Payload {
  readonly length: number;
  readonly #parts: readonly Uint8Array[];
  #part = 0;
  #at = 0;
  /** Of what was taken. */
  crc = 0;

  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
    this.length = parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** Fills all of it. */
  take(into: Uint8Array): void {
    for (let filled = 0; filled < into.length; ) {
      const part = this.#parts[this.#part];
      const taken = part.subarray(this.#at, this.#at + into.length - filled);
      into.set(taken, filled);
      filled += taken.length;
      this.#at += taken.length;
      if (this.#at === part.length) {
        this.#part++;
        this.#at = 0;
      }
    }
    this.crc = crc32(into, this.crc);
  }
}
