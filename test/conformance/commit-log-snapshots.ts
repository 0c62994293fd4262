/** What every state store promises of snapshots. */

import { expect, test } from 'vitest';
import type { CommitLog } from '../../src/topology/types.ts';
import { HEADER, read, restored, type StateBench, step, TASK } from './commit-log.ts';

export function snapshotConformance(bench: () => StateBench): void {
  const opened = (): CommitLog => bench().process().open(TASK);

  /** An owner with three commits, then a snapshot of two. */
  async function snapshotted(): Promise<CommitLog> {
    const log = opened();
    await log.claim(HEADER);
    for (let i = 0; i < 3; i++) await log.append(step(i, i + 1));
    await log.beginSnapshot();
    await log.append(step(3, 4, 's'));
    await log.append(step(4, 4, 's'));
    await log.endSnapshot();
    return log;
  }

  test('a restore begins at the latest complete snapshot, and goes on with what was appended after it', async () => {
    const log = await snapshotted();
    expect(await restored(bench())).toEqual(['3→4 s3-4', '4→4 s4-4']);
    await log.claim(HEADER);
    await log.append(step(4, 5));
    await log.append(step(5, 6));
    expect(await restored(bench())).toEqual(['3→4 s3-4', '4→4 s4-4', '4→5 4-5', '5→6 5-6']);
  });

  test('one snapshot replaces another, over several owners', async () => {
    for (let owner = 0; owner < 4; owner++) {
      const log = opened();
      const claim = await log.claim(HEADER);
      expect((await read(claim)).length).toBe(owner === 0 ? 0 : 3);
      const from = owner * 4;
      await log.append(step(from, from + 1));
      for (const round of ['a', 'b']) {
        await log.beginSnapshot();
        await log.append(step(from + (round === 'a' ? 1 : 2), from + (round === 'a' ? 2 : 3), round));
        await log.append({ ...step(0, 0, round), from: from + (round === 'a' ? 2 : 3), to: from + (round === 'a' ? 2 : 3) });
        await log.endSnapshot();
      }
      await log.append(step(from + 3, from + 4));
    }
    expect((await restored(bench())).map((line) => line.split(' ')[0])).toEqual(['14→15', '15→15', '15→16']);
  });

  test('a snapshot that was not ended is just commits', async () => {
    const log = opened();
    await log.claim(HEADER);
    await log.append(step(0, 1));
    await log.beginSnapshot();
    await log.append(step(1, 2));
    expect(await restored(bench())).toEqual(['0→1 0-1', '1→2 1-2']);
    const next = opened();
    await next.claim(HEADER);
    await next.append(step(2, 3));
    await next.beginSnapshot();
    expect(await restored(bench())).toEqual(['0→1 0-1', '1→2 1-2', '2→3 2-3']);
  });

  test('an owner with a snapshot is current, under a number that has grown', async () => {
    const log = opened();
    const first = await log.claim(HEADER);
    await log.append(step(0, 1));
    await log.beginSnapshot();
    await log.append(step(1, 2));
    await log.endSnapshot();
    const again = await log.claim(HEADER);
    expect(again.current).toBe(true);
    expect(again.id).toBeGreaterThan(first.id + 1);
    expect(again.previous).toEqual(HEADER);
  });

  test('what a restore reads shrinks with a snapshot', async () => {
    const log = opened();
    await log.claim(HEADER);
    const changes = new Uint8Array(100_000);
    for (let i = 0; i < 5; i++) await log.append({ from: i, to: i + 1, changes });
    const before = log.sizeBytes();
    expect(before).toBeGreaterThanOrEqual(500_000);
    await log.beginSnapshot();
    await log.append({ from: 5, to: 6, changes });
    expect(log.sizeBytes()).toBeGreaterThan(before);
    await log.endSnapshot();
    expect(log.sizeBytes()).toBeGreaterThanOrEqual(100_000);
    expect(log.sizeBytes()).toBeLessThan(110_000);
    const other = opened();
    await other.claim(HEADER);
    expect(other.sizeBytes()).toBeGreaterThanOrEqual(100_000);
    expect(other.sizeBytes()).toBeLessThan(110_000);
  });

  test('commits may be appended while a snapshot is ended', async () => {
    const log = opened();
    await log.claim(HEADER);
    await log.append(step(0, 1));
    await log.beginSnapshot();
    for (let i = 1; i < 20; i++) await log.append(step(i, i + 1));
    const ending = log.endSnapshot();
    for (let i = 20; i < 40; i++) await log.append(step(i, i + 1));
    await ending;
    await log.append(step(40, 41));
    expect((await restored(bench())).map((line) => Number(line.split('→')[0]))).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  });

  test('who has lost the log can neither begin nor end a snapshot, and deletes nothing', async () => {
    const zombie = opened();
    await zombie.claim(HEADER);
    await zombie.append(step(0, 1, 'z'));
    await zombie.beginSnapshot();
    await zombie.append(step(1, 2, 'z'));
    const other = opened();
    await other.claim(HEADER);
    await other.append(step(0 + 2, 3, 'o'));
    await expect(zombie.endSnapshot()).rejects.toMatchObject({ code: 'claim_lost' });
    await expect(zombie.beginSnapshot()).rejects.toMatchObject({ code: 'claim_lost' });
    await other.append(step(3, 4, 'o'));
    expect(await restored(bench())).toEqual(['0→1 z0-1', '1→2 z1-2', '2→3 o2-3', '3→4 o3-4']);
  });

  test('a snapshot begun before the last claim, or not at all, cannot be ended', async () => {
    const log = opened();
    await log.claim(HEADER);
    await log.append(step(0, 1));
    await expect(log.endSnapshot()).rejects.toMatchObject({ code: 'claim_lost' });
    await log.beginSnapshot();
    await log.append(step(1, 2));
    await log.claim(HEADER);
    await log.append(step(2, 3));
    await expect(log.endSnapshot()).rejects.toMatchObject({ code: 'claim_lost' });
    expect(await restored(bench())).toHaveLength(3);
  });

  test('a snapshot without a commit is refused, and nothing is deleted', async () => {
    const log = opened();
    await log.claim(HEADER);
    await log.append(step(0, 1));
    await log.beginSnapshot();
    await expect(log.endSnapshot()).rejects.toThrow(/without commits/);
    await log.append(step(1, 2));
    expect(await restored(bench())).toEqual(['0→1 0-1', '1→2 1-2']);
  });

  test('owners that race for the log with snapshots leave one unbroken chain', async () => {
    let acknowledged = 0;
    const owner = async (name: string): Promise<void> => {
      const log = opened();
      for (let turn = 0; turn < 6; turn++) {
        const claim = await log.claim(HEADER);
        let position = 0;
        let first: number | null = null;
        for await (const { from, to } of claim.commits()) {
          first ??= from;
          if (from !== position && first !== from) throw new Error(`${from} after ${position}`);
          position = to;
        }
        try {
          await log.append(step(position, ++position, name));
          acknowledged = Math.max(acknowledged, position);
          await log.beginSnapshot();
          await log.append(step(position, ++position, name));
          acknowledged = Math.max(acknowledged, position);
          await log.endSnapshot();
          await log.append(step(position, ++position, name));
          acknowledged = Math.max(acknowledged, position);
        } catch (error) {
          expect(error).toMatchObject({ code: 'claim_lost' });
        }
      }
    };
    await Promise.all(['a', 'b', 'c'].map(owner));
    const found = (await restored(bench())).map((line) => Number(line.split('→')[0]));
    expect(found).toEqual(found.map((_, i) => found[0] + i));
    expect((found.at(-1) ?? 0) + 1).toBeGreaterThanOrEqual(acknowledged);
  });
}
