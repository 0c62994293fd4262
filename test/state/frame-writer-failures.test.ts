import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { type FileHandle, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DirStateStore } from '../../src/state/dir-store.ts';
import { FrameWriter, Staging } from '../../src/state/frame-writer.ts';
import { frameHead } from '../../src/state/segment-file.ts';
import { HEADER, read, step, TASK } from '../conformance/commit-log.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;

let folder: string;
let path: string;
/** Of all file handles: where their methods are. */
let handle: FileHandle;
/** As it is when nothing is made to fail. */
let writev: FileHandle['writev'];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'exposure-stream-frames-'));
  path = join(folder, 'segment');
  const file = await open(path, 'w');
  handle = Object.getPrototypeOf(file);
  writev = handle.writev;
  await file.close();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e37_79b1) >>> 21);
const LARGE = bytes(2 * MIB + 12_345);

const failure = (code: string): Error => Object.assign(new Error(code), { code });

/** Writes and tells of so many bytes, or all when there are fewer. Blocks are written whole, whatever is told. */
function short(length: number): FileHandle['writev'] {
  return async function (this: FileHandle, parts: Uint8Array[], position?: number) {
    let left = BLOCK * Math.ceil(length / BLOCK);
    const front = parts.map((part) => {
      const taken = part.subarray(0, left);
      left -= taken.length;
      return taken;
    });
    const { bytesWritten } = await writev.call(this, front, position);
    return { bytesWritten: Math.min(length, bytesWritten), buffers: parts };
  } as typeof writev;
}

async function expectFrame(payload: Uint8Array): Promise<void> {
  expect(Buffer.compare(await readFile(path), Buffer.concat([frameHead([payload], 0), payload]))).toBe(0);
}

/** Open files of this process in the folder; none where the system does not list them. */
function openFiles(): string[] {
  if (!existsSync('/proc/self/fd')) return [];
  return readdirSync('/proc/self/fd')
    .map(fileOf)
    .filter((file) => file.startsWith(folder));
}

function fileOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ''; // Of the reading of the list itself.
  }
}

test('a writer that is closed while a large frame is begun has left no file open when it is closed', async () => {
  for (let i = 0; i < 20; i++) {
    const writer = new FrameWriter(await open(path, 'w'), new Staging());
    const writing = writer.write([LARGE], 0).catch((error) => error);
    await writer.close();
    expect(openFiles()).toEqual([]);
    expect(await writing).toMatchObject({ code: 'EBADF' });
  }
});

test('a large frame that is begun once its writer is being closed opens nothing', async () => {
  for (let i = 0; i < 20; i++) {
    const writer = new FrameWriter(await open(path, 'w'), new Staging());
    const closing = writer.close();
    await expect(writer.write([LARGE], 0)).rejects.toMatchObject({ code: 'EBADF' });
    await closing;
    expect(openFiles()).toEqual([]);
  }
});

test('a log that is closed beside a large commit and a claim ends both, and leaves no file open', async () => {
  const store = new DirStateStore(folder);
  const log = store.open(TASK);
  await log.claim(HEADER);
  const under = [log.append({ from: 0, to: 1, changes: LARGE }), log.append(step(1, 2)), log.claim(HEADER)];
  await Promise.all([...under, store.close()]);
  expect(openFiles()).toEqual([]);
  const next = new DirStateStore(folder);
  expect(await read(await next.open(TASK).claim(HEADER))).toEqual([`0→1 ${Buffer.from(LARGE).toString()}`, '1→2 1-2']);
  await next.close();
});

test('a file whose number is another’s, or nobody’s, is not passed by the cache, and the other is left alone', async () => {
  const otherPath = join(folder, 'other');
  const other = await open(otherPath, 'w');
  for (const fd of [other.fd, -1]) {
    const file = await open(path, 'w');
    const renumbered = new Proxy(file, {
      get: (_, key) => {
        const value = Reflect.get(file, key);
        return key === 'fd' ? fd : typeof value === 'function' ? value.bind(file) : value;
      },
    });
    const writer = new FrameWriter(renumbered, new Staging());
    await writer.write([LARGE], 0);
    await expectFrame(LARGE);
    await writer.close();
    expect(await readFile(otherPath)).toHaveLength(0);
  }
  await other.close();
  expect(openFiles()).toEqual([]);
});

test('a large frame that cannot be written does not keep others from it', async () => {
  const staging = new Staging();
  const readOnly = new FrameWriter(await open(path, 'r'), staging);
  const good = new FrameWriter(await open(path, 'w'), staging);
  await expect(readOnly.write([LARGE], 0)).rejects.toMatchObject({ code: 'EBADF' });
  await good.write([LARGE], 0);
  await expectFrame(LARGE);
  await Promise.all([readOnly.close(), good.close()]);
});

test('memory that failed its borrower is lent again', async () => {
  const staging = new Staging();
  await expect(staging.use(() => Promise.reject(failure('EIO')))).rejects.toMatchObject({ code: 'EIO' });
  expect(await staging.use(async (halves) => halves.length)).toBe(2);
});

test.each(['EIO', 'ENOSPC', 'EDQUOT'])('%s of a large frame is told, not tried again through the cache', async (code) => {
  const writing = vi.spyOn(handle, 'writev').mockRejectedValueOnce(failure(code));
  const writer = new FrameWriter(await open(path, 'w'), new Staging());
  await expect(writer.write([bytes(MIB)], 0)).rejects.toMatchObject({ code });
  expect(writing).toHaveBeenCalledOnce();
  await writer.write([LARGE], 0);
  await expectFrame(LARGE);
  await writer.close();
});

test('a large commit that the disk has no room for is told by name, and after a new claim it is as if never written', async () => {
  const store = new DirStateStore(folder);
  const log = store.open(TASK);
  await log.claim(HEADER);
  await log.append(step(0, 1));
  for (const from of [1, 2]) {
    // As a disk does that fills up in the middle: some of it is written.
    const writing = vi.spyOn(handle, 'writev').mockImplementationOnce(short(BLOCK)).mockRejectedValueOnce(failure('ENOSPC'));
    await expect(log.append({ from, to: from + 1, changes: LARGE })).rejects.toMatchObject({ code: 'state_unwritable' });
    writing.mockRestore();
    await expect(log.append(step(from, from + 1))).rejects.toMatchObject({ code: 'claim_lost' });
    expect(await read(await log.claim(HEADER))).toHaveLength(from);
    await log.append(step(from, from + 1));
  }
  await store.close();
  const next = new DirStateStore(folder);
  expect(await read(await next.open(TASK).claim(HEADER))).toEqual(['0→1 0-1', '1→2 1-2', '2→3 2-3']);
  await next.close();
});

test.each([BLOCK, BLOCK + 1000, 1])('a write that ends after %i bytes is gone on with where it ended', async (ended) => {
  vi.spyOn(handle, 'writev').mockImplementationOnce(short(ended)).mockImplementationOnce(writev).mockImplementationOnce(short(ended));
  const writer = new FrameWriter(await open(path, 'w'), new Staging());
  await writer.write([LARGE], 0);
  await expectFrame(LARGE);
  await writer.close();
});

test.each([LARGE.length, 100])('a frame of %i bytes is on the disk when it is said to be written', async (length) => {
  const events: string[] = [];
  const { datasync } = handle;
  vi.spyOn(handle, 'writev').mockImplementation(async function (this: FileHandle, parts, position) {
    events.push('begun');
    const result = await writev.call(this, parts, position);
    events.push('written');
    return result;
  } as typeof writev);
  vi.spyOn(handle, 'datasync').mockImplementation(async function (this: FileHandle) {
    events.push('syncing');
    await datasync.call(this);
    events.push('synced');
  });
  const writer = new FrameWriter(await open(path, 'w'), new Staging());
  await writer.write([LARGE.subarray(0, length)], 0);
  events.push('told');
  await writer.close();
  const begun = events.filter((event) => event === 'begun').length;
  expect(begun).toBeGreaterThan(0);
  expect(events.slice(0, 2 * begun).filter((event) => event === 'written')).toHaveLength(begun);
  expect(events.slice(2 * begun)).toEqual(['syncing', 'synced', 'told']);
});
