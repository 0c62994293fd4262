import { constants } from 'node:fs';
import { type FileHandle, mkdtemp, open, readdir, readFile, readlink, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DirStateStore } from '../../src/state/dir-store.ts';
import { FrameWriter, Staging } from '../../src/state/frame-writer.ts';
import { FRAME_HEAD_BYTES, findFrame, frameHead, readFrames } from '../../src/state/segment-file.ts';
import { folderOf } from '../../src/state/state-folder.ts';
import { HEADER, read, step, TASK } from '../conformance/commit-log.ts';

const KIB = 1024;
const LEAST = 256 * KIB;
const STEP = 1024 * KIB;
const BLOCK = 4 * KIB;

let folder: string;
let path: string;
let files: FileHandle[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'exposure-stream-frames-'));
  path = join(folder, 'segment');
});
afterEach(async () => {
  await Promise.all(files.map((file) => file.close()));
  files = [];
  await rm(folder, { recursive: true });
});

const bytes = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 0x9e37_79b1) >>> 21);

async function opened(flags: string | number): Promise<FileHandle> {
  const file = await open(path, flags);
  files.push(file);
  return file;
}

/** Memory that begins where no block may. */
class Askew extends Staging {
  override use<T>(action: (halves: readonly Uint8Array[]) => Promise<T>): Promise<T> {
    return action([1, 2].map((shift) => new Uint8Array(new ArrayBuffer(2 * STEP, { maxByteLength: 2 * STEP }), shift, STEP)));
  }
}

/** Writes each payload behind the one before, and expects of the file what frames next to one another are. */
async function expectFrames(staging: Staging, start: number, payloads: readonly Uint8Array[][]): Promise<void> {
  await writeFile(path, bytes(start, 7));
  const expected: Uint8Array[] = [bytes(start, 7)];
  const writer = new FrameWriter(await open(path, 'r+'), staging);
  let at = start;
  for (const parts of payloads) {
    await writer.write(parts, at);
    expected.push(frameHead(parts, at), ...parts);
    at += parts.reduce((sum, { length }) => sum + length, FRAME_HEAD_BYTES);
  }
  await writer.close();
  expect(Buffer.compare(await readFile(path), Buffer.concat(expected))).toBe(0);
  let frames = 0;
  for await (const { payload } of readFrames(await opened('r'), start, at)) {
    expect(Buffer.compare(payload, Buffer.concat(payloads[frames++]))).toBe(0);
  }
  expect(frames).toBe(payloads.length);
}

const around = (size: number): number[] => [size - 1, size, size + 1];

test('a frame is the same bytes, wherever it begins and ends and however it is cut into parts', async () => {
  const starts = [
    8,
    BLOCK - FRAME_HEAD_BYTES - 1,
    BLOCK - FRAME_HEAD_BYTES,
    BLOCK - FRAME_HEAD_BYTES + 1,
    BLOCK - 1,
    BLOCK,
    3 * BLOCK + 77,
  ];
  const staging = new Staging();
  for (const start of starts) {
    for (const size of [...around(LEAST), ...around(STEP), 2 * STEP + 3 * BLOCK - start, 3 * STEP + 12_345]) {
      await expectFrames(staging, start, [[bytes(9, 3), bytes(size), new Uint8Array(0), bytes(5, 4)]]);
    }
  }
});

test('large and small frames take turns', async () => {
  await expectFrames(new Staging(), 8, [
    [bytes(LEAST)],
    [bytes(3)],
    [bytes(5000)],
    [bytes(STEP, 2), bytes(STEP, 3)],
    [bytes(1)],
    [bytes(LEAST)],
  ]);
});

test('where blocks are refused, they go through the cache, and so do all after them', async () => {
  await expectFrames(new Askew(), 100, [[bytes(3 * STEP)], [bytes(10)], [bytes(LEAST)]]);
});

const hasDirect = async (): Promise<boolean> => {
  if (!constants.O_DIRECT) return false;
  const file = await open(path, constants.O_CREAT | constants.O_WRONLY | constants.O_DIRECT).catch(() => null);
  await file?.close();
  return file !== null;
};

/** Of the open files of this process those that are this one, and pass the cache by. */
async function directHandles(): Promise<number> {
  let count = 0;
  for (const fd of await readdir('/proc/self/fd')) {
    if ((await readlink(`/proc/self/fd/${fd}`).catch(() => '')) !== path) continue;
    const flags = /^flags:\s*(\d+)/m.exec(await readFile(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
    if ((Number.parseInt(flags, 8) & constants.O_DIRECT) !== 0) count++;
  }
  return count;
}

test('the cache is passed by for large frames only, and no longer once a file system has refused', async () => {
  if (!(await hasDirect())) return;
  const writer = new FrameWriter(await open(path, 'w'), new Staging());
  await writer.write([bytes(LEAST - 1)], 0);
  expect(await directHandles()).toBe(0);
  await writer.write([bytes(LEAST)], 2 * LEAST);
  await writer.write([bytes(LEAST)], 4 * LEAST);
  expect(await directHandles()).toBe(1);
  await writer.close();
  expect(await directHandles()).toBe(0);
  const file = await open(path, 'w');
  // Some file systems take blocks from anywhere.
  const refusal = Object.assign(new Error(), { code: 'EINVAL' });
  const refusing = vi.spyOn(Object.getPrototypeOf(file), 'writev').mockRejectedValueOnce(refusal);
  const refused = new FrameWriter(file, new Staging());
  await refused.write([bytes(LEAST)], 0);
  expect(await directHandles()).toBe(0);
  await refused.write([bytes(LEAST)], 2 * LEAST);
  expect(await directHandles()).toBe(0);
  await refused.close();
  refusing.mockRestore();
});

const segment = (claim: number): string => join(folder, ...folderOf(TASK), `${String(claim).padStart(10, '0')}.log`);

test('a large commit of which a power cut has left any pieces, and not all, is a torn tail', async () => {
  const store = new DirStateStore(folder);
  const log = store.open(TASK);
  await log.claim(HEADER);
  await log.append(step(0, 1));
  const { length: start } = await readFile(segment(1));
  await log.append({ from: 1, to: 2, changes: bytes(2 * STEP + 12_345) });
  await store.close();
  const whole = await readFile(segment(1));
  const firstBlock = Math.ceil((start + FRAME_HEAD_BYTES) / BLOCK) * BLOCK;
  const lastBlock = Math.floor(whole.length / BLOCK) * BLOCK;
  const missing = [
    [start, firstBlock],
    [start, lastBlock],
    [firstBlock, whole.length],
    [firstBlock + STEP, firstBlock + 2 * STEP],
    [lastBlock - BLOCK, lastBlock],
    [lastBlock, whole.length],
  ];
  for (const [from, to] of missing) {
    const left = Buffer.from(whole).fill(0, from, to);
    for (const written of [left, left.subarray(0, lastBlock)]) {
      await writeFile(segment(1), written);
      const next = new DirStateStore(folder);
      const claim = await next.open(TASK).claim(HEADER);
      expect(await read(claim)).toEqual(['0→1 0-1']);
      await next.close();
      await rm(segment(2));
    }
  }
  await writeFile(segment(1), whole);
  const next = new DirStateStore(folder);
  expect(await read(await next.open(TASK).claim(HEADER))).toHaveLength(2);
  await next.close();
});

test('logs that write large commits at once do not get into one another’s memory', async () => {
  const store = new DirStateStore(folder);
  const logs = [0, 1, 2, 3].map((partition) => store.open({ ...TASK, partition }));
  await Promise.all(logs.map((log) => log.claim(HEADER)));
  const changes = (partition: number, commit: number): Uint8Array => bytes(2 * STEP + 1000 * partition + commit, 10 * partition + commit);
  await Promise.all(
    logs.map(async (log, partition) => {
      for (let i = 0; i < 3; i++) await log.append({ from: i, to: i + 1, changes: changes(partition, i) });
    }),
  );
  await store.close();
  const next = new DirStateStore(folder);
  for (const partition of logs.keys()) {
    const claim = await next.open({ ...TASK, partition }).claim(HEADER);
    let i = 0;
    for await (const commit of claim.commits()) expect(Buffer.compare(commit.changes, changes(partition, i++))).toBe(0);
    expect(i).toBe(3);
  }
  await next.close();
});

test('zeros are no frame, not even where their check would hold', async () => {
  const whereZerosCheck = 0x5e9f_10a3;
  await writeFile(path, '');
  await truncate(path, whereZerosCheck + 2 * BLOCK);
  const file = await opened('r');
  for await (const frame of readFrames(file, whereZerosCheck, whereZerosCheck + BLOCK)) expect(frame).toBeUndefined();
  expect(await findFrame(file, whereZerosCheck - BLOCK, whereZerosCheck + BLOCK)).toBeNull();
});
