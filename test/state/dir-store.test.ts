import { chmod, copyFile, mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DirStateStore } from '../../src/state/dir-store.ts';
import { unwritable } from '../../src/state/state-folder.ts';
import type { CommitLog } from '../../src/topology/types.ts';
import { HEADER, read, step, TASK } from '../conformance/commit-log.ts';

let folder: string;
let stores: DirStateStore[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'exposure-stream-dir-'));
});
afterEach(async () => {
  await Promise.all(stores.map((store) => store.close()));
  stores = [];
  await rm(folder, { recursive: true });
});

const opened = (): CommitLog => {
  const store = new DirStateStore(folder);
  stores.push(store);
  return store.open(TASK);
};
const restored = async (): Promise<string[]> => read(await opened().claim(HEADER));
const segment = (claim: number): string => join(folder, 'ingest', 'impressions', '3', `${String(claim).padStart(10, '0')}.log`);

/** Owners one after the other, each with three commits: offsets 0 to 3, 3 to 6, … */
async function owners(count: number): Promise<void> {
  for (let owner = 0; owner < count; owner++) {
    const log = opened();
    await log.claim(HEADER);
    for (let i = owner * 3; i < owner * 3 + 3; i++) await log.append(step(i, i + 1));
  }
}

async function flip(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[offset] ^= 0x10;
  await writeFile(path, bytes);
}

test('a tail torn at any byte loses the last commit and nothing else, and the next owner goes on from there', async () => {
  await owners(1);
  const whole = await readFile(segment(1));
  const { length: lastFrame } = whole.subarray(whole.lastIndexOf('2-3') - 15);
  for (let cut = 1; cut < lastFrame; cut++) {
    await rm(join(folder, 'ingest'), { recursive: true });
    await mkdir(join(segment(1), '..'), { recursive: true });
    await writeFile(segment(1), whole.subarray(0, whole.length - cut));
    const log = opened();
    expect(await read(await log.claim(HEADER))).toEqual(['0→1 0-1', '1→2 1-2']);
    await log.append(step(2, 7));
    expect(await restored()).toEqual(['0→1 0-1', '1→2 1-2', '2→7 2-7']);
  }
});

test('a tail of zeros or of garbage, as a power cut leaves it, is cut too', async () => {
  await owners(1);
  for (const tail of [Buffer.alloc(5000), Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 167) & 0xff))]) {
    const file = await open(segment(1), 'a');
    await file.write(tail);
    await file.close();
    expect(await restored()).toHaveLength(3);
    await rm(segment(2));
  }
});

test('a copy of a frame at the end is no frame', async () => {
  await owners(1);
  const bytes = await readFile(segment(1));
  await writeFile(segment(1), Buffer.concat([bytes, bytes.subarray(bytes.lastIndexOf('2-3') - 15)]));
  expect(await restored()).toEqual(['0→1 0-1', '1→2 1-2', '2→3 2-3']);
});

test('every flipped bit in what counts of an earlier segment is noticed, with file and offset', async () => {
  await owners(2);
  await restored();
  const { size } = await stat(segment(1));
  await copyFile(segment(1), join(folder, 'kept'));
  for (let offset = 0; offset < size; offset++) {
    await flip(segment(1), offset);
    const expected = expect.objectContaining({ message: expect.stringContaining(segment(1)) });
    await expect(restored()).rejects.toEqual(expected);
    await expect(restored()).rejects.toMatchObject({ code: expect.stringMatching(/^state_(corrupt|newer_format)$/) });
    await copyFile(join(folder, 'kept'), segment(1));
  }
  expect(await restored()).toHaveLength(6);
});

test('a flipped bit in the newest segment is noticed, unless it is in the last commit: that is cut like a torn one', async () => {
  await owners(1);
  const bytes = await readFile(segment(1));
  const last = bytes.lastIndexOf('2-3') - 15;
  for (const offset of [10, 30, bytes.indexOf('0-1'), bytes.indexOf('1-2') - 10]) {
    await flip(segment(1), offset);
    await expect(restored()).rejects.toMatchObject({ code: 'state_corrupt' });
    await rm(segment(2));
    await flip(segment(1), offset);
  }
  await flip(segment(1), last + 4);
  expect(await restored()).toEqual(['0→1 0-1', '1→2 1-2']);
});

test('an earlier segment cut short or missing stops by name', async () => {
  await owners(3);
  const bytes = await readFile(segment(2));
  await truncate(segment(2), bytes.length - 1);
  await expect(restored()).rejects.toMatchObject({ code: 'state_corrupt', message: expect.stringContaining('0000000002.log, offset') });
  await truncate(segment(2), 0);
  await expect(restored()).rejects.toMatchObject({ code: 'state_corrupt' });
  await rm(segment(2));
  await expect(restored()).rejects.toMatchObject({
    code: 'state_corrupt',
    message: expect.stringContaining('0000000002.log, offset 0: the file is missing'),
  });
  await writeFile(segment(2), bytes);
  expect(await restored()).toHaveLength(9);
});

test('a claim that came to nothing (killed before its first write, or in the middle of it) counts for nothing', async () => {
  await owners(1);
  await writeFile(segment(2), '');
  expect(await restored()).toHaveLength(3);
  const { length } = await readFile(segment(3));
  for (const [claim, cut] of [
    [4, 5],
    [5, 15],
    [6, length - 1],
  ]) {
    await writeFile(segment(claim), (await readFile(segment(3))).subarray(0, cut));
  }
  const log = opened();
  expect(await read(await log.claim(HEADER))).toHaveLength(3);
  await log.append(step(3, 4));
  expect(await restored()).toHaveLength(4);
});

test('an owner whose claim file appeared while it was appending is told that the commit is not promised', async () => {
  const log = opened();
  await log.claim(HEADER);
  await log.append(step(0, 1));
  const appending = log.append({ from: 1, to: 2, changes: new Uint8Array(20_000_000) });
  await writeFile(segment(2), '');
  await expect(appending).rejects.toMatchObject({ code: 'claim_lost' });
  await expect(log.append(step(2, 3))).rejects.toMatchObject({ code: 'claim_lost' });
  expect((await log.claim(HEADER)).current).toBe(false);
});

test('a segment of a newer format is refused by name', async () => {
  await owners(1);
  const bytes = await readFile(segment(1));
  bytes.write('EXSLOG02');
  await writeFile(segment(1), bytes);
  await expect(restored()).rejects.toMatchObject({ code: 'state_newer_format' });
});

test('the segments of another partition are not taken for this one’s', async () => {
  await owners(1);
  const other = join(folder, 'ingest', 'impressions', '4');
  await mkdir(other);
  await copyFile(segment(1), join(other, '0000000001.log'));
  const store = new DirStateStore(folder);
  stores.push(store);
  const moved = store.open({ ...TASK, partition: 4 }).claim(HEADER);
  await expect(moved).rejects.toMatchObject({ code: 'state_corrupt', message: expect.stringContaining('ingest/impressions/3') });
});

test('a folder that cannot be made or written is named, with what to do', async () => {
  await writeFile(join(folder, 'file'), '');
  const below = new DirStateStore(join(folder, 'file', 'state'));
  await expect(below.open(TASK).claim(HEADER)).rejects.toMatchObject({
    code: 'state_unwritable',
    message: expect.stringContaining('STATE_DIR'),
  });
  await expect(below.hashSeed()).rejects.toMatchObject({ code: 'state_unwritable' });
  const full = await open('/dev/full', 'w');
  const error = await full.writeFile('x').catch((fault) => unwritable(fault, folder));
  await full.close();
  expect(error).toMatchObject({
    code: 'state_unwritable',
    message: `The state folder ${folder} cannot be written (ENOSPC): the disk is full: free space there, or set STATE_DIR to a larger disk.`,
  });
});

test.skipIf(process.getuid?.() === 0)('a read-only folder is named (root may write anywhere)', async () => {
  await chmod(folder, 0o500);
  await expect(opened().claim(HEADER)).rejects.toMatchObject({ code: 'state_unwritable' });
  await chmod(folder, 0o700);
});

test('the hash seed is drawn once, kept for its owner’s eyes, and gives way to a given one', async () => {
  const store = new DirStateStore(folder);
  const seed = Buffer.from(await store.hashSeed()).toString('hex');
  expect(await readFile(join(folder, 'hash-seed'), 'utf8')).toBe(`${seed}\n`);
  expect((await stat(join(folder, 'hash-seed'))).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(['hash-seed']);
  expect(Buffer.from(await new DirStateStore(folder).hashSeed()).toString('hex')).toBe(seed);
  const given = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  expect(await new DirStateStore(folder, { hashSeed: given }).hashSeed()).toEqual(given);
  await writeFile(join(folder, 'hash-seed'), 'abc');
  await expect(new DirStateStore(folder).hashSeed()).rejects.toMatchObject({ code: 'state_corrupt' });
});

/** One owner: two commits, then a snapshot of one commit (0→5 in one), marked complete, then one commit more. */
async function snapshotted(): Promise<CommitLog> {
  const log = opened();
  await log.claim(HEADER);
  await log.append(step(0, 3));
  await log.append(step(3, 5));
  await log.beginSnapshot();
  await log.append(step(5, 5, 's'));
  await log.endSnapshot();
  return log;
}

test('a crash between the mark and the deletion leaves segments that are not read, and that the next snapshot deletes', async () => {
  await owners(1);
  const old = await readFile(segment(1));
  await rm(join(folder, 'ingest'), { recursive: true });
  await (await snapshotted()).close();
  expect(await readdir(join(segment(1), '..'))).toEqual(['0000000002.log']);
  await writeFile(segment(1), old.subarray(0, 50));
  expect(await restored()).toEqual(['5→5 s5-5']);
  const log = opened();
  await log.claim(HEADER);
  await log.beginSnapshot();
  await log.append(step(5, 6));
  await log.endSnapshot();
  expect(await readdir(join(segment(1), '..'))).toEqual(['0000000005.log']);
  expect(await restored()).toEqual(['5→6 5-6']);
});

test('a mark that was torn is none: with the earlier segments nothing is lost, without them the log stops by name', async () => {
  const log = opened();
  await log.claim(HEADER);
  await log.append(step(0, 3));
  const kept = await readFile(segment(1));
  await log.beginSnapshot();
  await log.append(step(3, 5));
  const { size } = await stat(segment(2));
  await log.endSnapshot();
  await truncate(segment(2), size + 4);
  await expect(restored()).rejects.toMatchObject({ code: 'state_corrupt', message: expect.stringContaining('the file is missing') });
  await rm(segment(3));
  await writeFile(segment(1), kept);
  expect(await restored()).toEqual(['0→3 0-3', '3→5 3-5']);
});

test('a snapshot that does not read back as it was written is not marked, and nothing is deleted', async () => {
  const log = opened();
  await log.claim(HEADER);
  await log.append(step(0, 1));
  await log.beginSnapshot();
  await log.append(step(1, 2));
  const { size } = await stat(segment(2));
  await log.append(step(2, 3));
  await flip(segment(2), size - 1);
  await expect(log.endSnapshot()).rejects.toMatchObject({ code: 'state_corrupt' });
  expect(await readdir(join(segment(1), '..'))).toEqual(['0000000001.log', '0000000002.log']);
});

test('every flipped bit of a complete snapshot is noticed, but in what comes last: that is cut, and then the log stops by name', async () => {
  await snapshotted();
  const { size } = await stat(segment(2));
  await copyFile(segment(2), join(folder, 'kept'));
  for (let offset = 0; offset < size; offset++) {
    await flip(segment(2), offset);
    await expect(restored()).rejects.toMatchObject({ code: expect.stringMatching(/^state_(corrupt|newer_format)$/) });
    await copyFile(join(folder, 'kept'), segment(2));
    await rm(segment(3));
  }
  expect(await restored()).toEqual(['5→5 s5-5']);
});

test('how far a segment is read is told, and a claim that is broken off there can be made again', async () => {
  await owners(1);
  const shares: number[] = [];
  const log = opened();
  const broken = log.claim(HEADER, ({ share }) => {
    shares.push(share);
    if (shares.length === 2) throw new Error('no longer wanted');
  });
  await expect(broken).rejects.toThrow('no longer wanted');
  const claim = await log.claim(HEADER, ({ share }) => shares.push(share));
  // Its head and three commits, twice as far as the second frame.
  expect(shares).toHaveLength(6);
  expect(shares.at(-1)).toBe(1);
  expect(await read(claim)).toHaveLength(3);
  await log.append(step(3, 4));
  expect(await restored()).toHaveLength(4);
});
