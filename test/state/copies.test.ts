import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dropStaleCopies, heldLately, keptIn } from '../../src/state/copies.ts';
import { folderOf } from '../../src/state/state-folder.ts';
import type { TaskId } from '../../src/topology/types.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'exposure-stream-copies-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function written(task: TaskId, hoursAgo: number): Promise<void> {
  const path = join(folder, ...folderOf(task));
  await mkdir(path, { recursive: true });
  for (const [name, age] of Object.entries({ old: hoursAgo + 500, new: hoursAgo })) {
    await writeFile(join(path, name), '');
    const seconds = 1_700_000_000 - age * 3600;
    await utimes(join(path, name), seconds, seconds);
  }
}

test('a restarted process asks for the partitions that it wrote to last, not for what had gone elsewhere before', async () => {
  for (const partition of [0, 5]) await written({ stage: 'ingest', topic: 'a/b.ü %', partition }, 2);
  await written({ stage: 'ingest', topic: 'impressions', partition: 7 }, 2.1);
  await written({ stage: 'ingest', topic: 'impressions', partition: 3 }, 4);
  await written({ stage: 'evaluate', topic: 'partials', partition: 1 }, 2);
  await mkdir(join(folder, 'ingest', 'impressions', '9'));
  await mkdir(join(folder, 'ingest', '%E0%A4%A', '1'), { recursive: true });
  await writeFile(join(folder, 'ingest', '%E0%A4%A', '1', 'foreign'), '');
  const kept = await keptIn(folder);
  const of = (stage: string): Record<string, number[]> => heldLately(kept.filter((each) => each.stage === stage));
  const held = of('ingest');
  expect({ ...held, 'a/b.ü %': held['a/b.ü %']?.sort() }).toEqual({ 'a/b.ü %': [0, 5], impressions: [7] });
  expect(of('evaluate')).toEqual({ partials: [1] });
});

test('copies a week older than the newest are deleted, and a machine that was off for a month keeps what it had', async () => {
  await written({ stage: 'ingest', topic: 'impressions', partition: 0 }, 0);
  await written({ stage: 'ingest', topic: 'impressions', partition: 1 }, 24 * 7 - 1);
  await written({ stage: 'ingest', topic: 'impressions', partition: 2 }, 24 * 7 + 1);
  expect(await dropStaleCopies(await keptIn(folder))).toMatchObject([{ partition: 2 }]);
  expect((await readdir(join(folder, 'ingest', 'impressions'))).sort()).toEqual(['0', '1']);
});

test('a folder that is not there holds nothing', async () => {
  const kept = await keptIn(join(folder, 'nowhere'));
  expect(kept).toEqual([]);
  expect(heldLately(kept)).toEqual({});
  expect(await dropStaleCopies(kept)).toEqual([]);
});
