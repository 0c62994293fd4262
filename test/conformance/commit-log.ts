/** What every state store promises (design §3 must 2), run on memory, on a folder and on a topic. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Commit, CommitLog, StateHeader, StateStore, TaskId } from '../../src/topology/types.ts';
import { snapshotConformance } from './commit-log-snapshots.ts';

/** One "disk" that several processes share. */
export interface StateBench {
  /** A further process: a store on the same disk. */
  process(): StateStore;
  /** Lets a commit land under a claim as a zombie's does that looked for later claims just before there was one. */
  land(log: CommitLog, claim: number, commit: Commit): Promise<void>;
  close(): Promise<void>;
}

export const TASK: TaskId = { stage: 'ingest', topic: 'impressions', partition: 3 };

export const HEADER: StateHeader = {
  formatVersion: 1,
  hashSeedId: 'a1b2c3d4e5f60718',
  partitionCounts: { impressions: 8, 'exposure-stream.partials': 4 },
  epoch: 1,
  configuration: 'abc',
};

/** A commit whose changes tell who wrote it. */
export const step = (from: number, to: number, writer = ''): Commit => ({ from, to, changes: Buffer.from(`${writer}${from}-${to}`) });

export async function read(claim: { commits(): AsyncIterable<Commit> }): Promise<string[]> {
  const found: string[] = [];
  for await (const { from, to, changes } of claim.commits()) found.push(`${from}→${to} ${Buffer.from(changes).toString()}`);
  return found;
}

/** What a fresh process finds. */
export async function restored(bench: StateBench, task = TASK): Promise<string[]> {
  return read(await bench.process().open(task).claim(HEADER));
}

export function commitLogConformance(name: string, makeBench: () => Promise<StateBench>): void {
  describe(`commit log: ${name}`, () => {
    let bench: StateBench;
    beforeEach(async () => {
      bench = await makeBench();
    });
    afterEach(() => bench.close());

    const opened = (): CommitLog => bench.process().open(TASK);

    test('an empty log has no previous header and no commits, and the first position may be any', async () => {
      const log = opened();
      const claim = await log.claim(HEADER);
      expect(claim.previous).toBeNull();
      expect(claim.current).toBe(false);
      expect(await read(claim)).toEqual([]);
      await log.append(step(700, 705));
      expect(await restored(bench)).toEqual(['700→705 700-705']);
    });

    test('what was appended is restored by another process, in order, byte for byte, over several owners', async () => {
      for (let owner = 0; owner < 4; owner++) {
        const log = opened();
        const claim = await log.claim(HEADER);
        expect(await read(claim)).toHaveLength(owner * 3);
        for (let i = owner * 3; i < owner * 3 + 3; i++) await log.append(step(i, i + 1));
      }
      expect(await restored(bench)).toEqual(Array.from({ length: 12 }, (_, i) => `${i}→${i + 1} ${i}-${i + 1}`));
    });

    test('a commit may hold nothing, stand still, or lead back', async () => {
      const log = opened();
      await log.claim(HEADER);
      await log.append({ from: 5, to: 5, changes: new Uint8Array(0) });
      await log.append(step(5, 2 ** 52));
      await log.append(step(2 ** 52, 0));
      expect(await restored(bench)).toEqual(['5→5 ', `5→${2 ** 52} 5-${2 ** 52}`, `${2 ** 52}→0 ${2 ** 52}-0`]);
    });

    test('commits of five megabytes come back whole', async () => {
      const log = opened();
      await log.claim(HEADER);
      const changes = Uint8Array.from({ length: 5_000_000 }, (_, i) => (i * 31) ^ (i >> 8));
      await log.append({ from: 0, to: 1, changes });
      await log.append(step(1, 2));
      await log.append({ from: 2, to: 3, changes });
      const found: Commit[] = [];
      for await (const commit of (await opened().claim(HEADER)).commits()) found.push(commit);
      expect(found.map(({ to }) => to)).toEqual([1, 2, 3]);
      for (const i of [0, 2]) expect(Buffer.compare(found[i].changes, changes)).toBe(0);
      expect(log.sizeBytes()).toBeGreaterThanOrEqual(10_000_000);
    });

    test('the bytes are taken at once: the caller may use its buffer again', async () => {
      const log = opened();
      await log.claim(HEADER);
      const changes = Buffer.from('first');
      await log.append({ from: 0, to: 1, changes });
      changes.write('other');
      expect(await restored(bench)).toEqual(['0→1 first']);
    });

    test('an owner that claims again with nobody in between is current, and goes on where it was', async () => {
      const log = opened();
      const first = await log.claim(HEADER);
      await log.append(step(0, 1));
      const again = await log.claim(HEADER);
      expect(again.current).toBe(true);
      expect(again.id).toBeGreaterThan(first.id);
      await log.append(step(1, 2));
      expect(await restored(bench)).toEqual(['0→1 0-1', '1→2 1-2']);
    });

    test('an owner that comes back after another was there is not current, even if that one wrote nothing', async () => {
      const a = opened();
      await a.claim(HEADER);
      await a.append(step(0, 1, 'a'));
      const b = opened();
      const other = await b.claim(HEADER);
      expect(other.current).toBe(false);
      const back = await a.claim(HEADER);
      expect(back.current).toBe(false);
      expect(back.id).toBeGreaterThan(other.id);
      expect(await read(back)).toEqual(['0→1 a0-1']);
      await a.append(step(1, 2, 'a'));
      await expect(b.append(step(1, 2, 'b'))).rejects.toMatchObject({ code: 'claim_lost' });
    });

    test('a zombie that appends first does not count, and does not void what the owner appends after it', async () => {
      const zombie = opened();
      const claim = await zombie.claim(HEADER);
      await zombie.append(step(0, 1, 'z'));
      const owner = opened();
      expect(await read(await owner.claim(HEADER))).toEqual(['0→1 z0-1']);
      await bench.land(zombie, claim.id, step(1, 9, 'z'));
      await owner.append(step(1, 2, 'o'));
      await owner.append(step(2, 3, 'o'));
      expect(await restored(bench)).toEqual(['0→1 z0-1', '1→2 o1-2', '2→3 o2-3']);
    });

    test('a zombie that appends after the owner does not count either', async () => {
      const zombie = opened();
      const claim = await zombie.claim(HEADER);
      const owner = opened();
      await owner.claim(HEADER);
      await owner.append(step(0, 2, 'o'));
      await bench.land(zombie, claim.id, step(2, 5, 'z'));
      await expect(zombie.append(step(5, 6, 'z'))).rejects.toMatchObject({ code: 'claim_lost' });
      expect(await restored(bench)).toEqual(['0→2 o0-2']);
    });

    test('a zombie cannot come back to life when the owner that overtook it wrote nothing', async () => {
      const zombie = opened();
      const claim = await zombie.claim(HEADER);
      await zombie.append(step(0, 1, 'z'));
      const silent = opened();
      await silent.claim(HEADER);
      await bench.land(zombie, claim.id, step(1, 2, 'z'));
      expect(await restored(bench)).toEqual(['0→1 z0-1']);
      expect(await restored(bench)).toEqual(['0→1 z0-1']);
    });

    test('of many that claim at once each gets a number of its own, and only the highest can append', async () => {
      const logs = Array.from({ length: 6 }, opened);
      const claims = await Promise.all(logs.map((log) => log.claim(HEADER)));
      const ids = claims.map(({ id }) => id);
      expect(new Set(ids).size).toBe(logs.length);
      const winner = ids.indexOf(Math.max(...ids));
      for (const [i, log] of logs.entries()) {
        if (i !== winner) await expect(log.append(step(0, 1, `${i} `))).rejects.toMatchObject({ code: 'claim_lost' });
      }
      await logs[winner].append(step(0, 1, 'winner '));
      expect(await restored(bench)).toEqual(['0→1 winner 0-1']);
    });

    test('owners that race for the log, claiming and appending at once, leave one unbroken chain', async () => {
      const acknowledged: string[] = [];
      const owner = async (name: string): Promise<void> => {
        const log = opened();
        for (let turn = 0; turn < 8; turn++) {
          const claim = await log.claim(HEADER);
          let position = 0;
          for await (const { to } of claim.commits()) position = to;
          try {
            for (let i = 0; i < 3; i++, position++) {
              await log.append(step(position, position + 1, name));
              acknowledged.push(`${position}→${position + 1} ${name}${position}-${position + 1}`);
            }
          } catch (error) {
            expect(error).toMatchObject({ code: 'claim_lost' });
          }
        }
      };
      await Promise.all(['a', 'b', 'c'].map(owner));
      const found = await restored(bench);
      expect(found.map((line) => Number(line.split('→')[0]))).toEqual(found.map((_, i) => i));
      expect(found).toEqual(expect.arrayContaining(acknowledged));
    });

    test('a commit that does not begin at the position is refused and leaves no trace', async () => {
      const log = opened();
      await log.claim(HEADER);
      await log.append(step(0, 5));
      for (const from of [4, 6, 0]) await expect(log.append(step(from, 9))).rejects.toThrow(/position is 5/);
      await log.append(step(5, 6));
      expect(await restored(bench)).toEqual(['0→5 0-5', '5→6 5-6']);
    });

    test('a commit that lands though it does not begin at the position is void', async () => {
      const log = opened();
      const claim = await log.claim(HEADER);
      await log.append(step(0, 5));
      await bench.land(log, claim.id, step(0, 5, 'again '));
      await bench.land(log, claim.id, step(4, 9, 'wrong '));
      expect(await restored(bench)).toEqual(['0→5 0-5']);
    });

    test('an append without a claim is refused', async () => {
      await expect(opened().append(step(0, 1))).rejects.toMatchObject({ code: 'claim_lost' });
    });

    test('the previous header is that of the newest claim whose commits count', async () => {
      const log = opened();
      await log.claim(HEADER);
      await log.append(step(0, 1));
      const other = { ...HEADER, configuration: 'def', partitionCounts: { 'a "topic"': 2 } };
      expect((await opened().claim(other)).previous).toEqual(HEADER);
      const second = opened();
      expect((await second.claim(other)).previous).toEqual(HEADER);
      await second.append(step(1, 2));
      expect((await opened().claim(HEADER)).previous).toEqual(other);
    });

    test('a process that was refused for its header does not lock the others out', async () => {
      const log = opened();
      await log.claim(HEADER);
      await log.append(step(0, 1));
      await opened().claim({ ...HEADER, hashSeedId: 'another' });
      expect((await opened().claim(HEADER)).previous?.hashSeedId).toBe(HEADER.hashSeedId);
    });

    test('tasks do not see one another, whatever their topics are called', async () => {
      const store = bench.process();
      const topics = ['a', 'a/b', '..', '.', 'a%2Fb', 'ü', 'impressions'];
      const tasks: TaskId[] = topics.flatMap((topic) => [0, 1].map((partition) => ({ stage: 'ingest', topic, partition })));
      tasks.push({ stage: 'evaluate', topic: 'a', partition: 0 });
      for (const [i, task] of tasks.entries()) {
        const log = store.open(task);
        await log.claim(HEADER);
        await log.append(step(0, i));
      }
      for (const [i, task] of tasks.entries()) expect(await restored(bench, task)).toEqual([`0→${i} 0-${i}`]);
    });

    test('all processes share one hash seed of 8 bytes', async () => {
      const seeds = await Promise.all(Array.from({ length: 5 }, () => bench.process().hashSeed()));
      expect(new Set(seeds.map((seed) => Buffer.from(seed).toString('hex'))).size).toBe(1);
      expect(seeds[0]).toHaveLength(8);
      expect(Buffer.compare(await bench.process().hashSeed(), seeds[0])).toBe(0);
    });

    snapshotConformance(() => bench);
  });
}
