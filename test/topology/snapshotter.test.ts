import { describe, expect, test } from 'vitest';
import { MemoryStateStore } from '../../src/state/memory-store.ts';
import { SnapshotTurns, type Snapshotted, Snapshotter } from '../../src/topology/snapshotter.ts';
import type { CommitLog } from '../../src/topology/types.ts';
import { HEADER } from '../conformance/commit-log.ts';

const CHANGES = new Uint8Array(1000);
const SLICES = 12;
/** A log of six commits is more than a state may have. */
const POLICY = { minBytes: 5000, ratio: 1 };
const pause = (): Promise<void> => Promise.resolve();

/** A task's commits, without what it counts. */
class Committing implements Snapshotted {
  readonly byteLength = 1000;
  readonly log: CommitLog;
  readonly snapshotter: Snapshotter;
  canSnapshot = true;
  begun = 0;
  ended = 0;
  #slicesLeft = 0;
  #position = 0;

  private constructor(log: CommitLog, turns: SnapshotTurns) {
    this.log = log;
    this.snapshotter = new Snapshotter(log, this, POLICY, turns);
  }

  static async open(partition: number, turns: SnapshotTurns): Promise<Committing> {
    const log = new MemoryStateStore().open({ stage: 'ingest', topic: 'impressions', partition });
    await log.claim(HEADER);
    return new Committing(log, turns);
  }

  beginSnapshot(): void {
    this.begun++;
    this.#slicesLeft = SLICES;
  }

  snapshotSlice(): boolean {
    if (--this.#slicesLeft > 0) return false;
    this.ended++;
    return true;
  }

  async commit(): Promise<void> {
    await this.snapshotter.beforeCommit(pause);
    await this.log.append({ from: this.#position, to: ++this.#position, changes: CHANGES });
    await this.snapshotter.afterCommit();
    await pause();
  }
}

describe('snapshots of the tasks of a process', () => {
  test('are written one at a time, and each task gets its turn', async () => {
    const turns = new SnapshotTurns();
    const tasks = await Promise.all([0, 1, 2, 3].map((partition) => Committing.open(partition, turns)));
    let most = 0;
    for (let round = 0; round < 60; round++) {
      for (const task of tasks) {
        await task.commit();
        most = Math.max(most, tasks.filter(({ snapshotter }) => snapshotter.writing).length);
      }
    }
    expect(most).toBe(1);
    for (const { ended, log } of tasks) {
      expect(ended).toBeGreaterThan(1);
      expect(log.sizeBytes()).toBeLessThan(30_000);
    }
  });

  test('that could not go on are not begun, and leave the turn to others', async () => {
    const turns = new SnapshotTurns();
    const [first, second] = await Promise.all([0, 1].map((partition) => Committing.open(partition, turns)));
    first.canSnapshot = false;
    for (let i = 0; i < 20; i++) for (const task of [first, second]) await task.commit();
    expect(first.begun).toBe(0);
    expect(second.ended).toBeGreaterThan(0);
    first.canSnapshot = true;
    for (let i = 0; i < 40; i++) for (const task of [first, second]) await task.commit();
    expect(first.ended).toBeGreaterThan(0);
  });

  test('that are broken off, or fail when they are read back, give their turn to the next', async () => {
    const turns = new SnapshotTurns();
    const [first, second, third] = await Promise.all([0, 1, 2].map((partition) => Committing.open(partition, turns)));
    while (first.begun === 0) await first.commit();
    for (let i = 0; i < 20; i++) await second.commit();
    expect(second.begun).toBe(0);
    first.snapshotter.over();
    first.snapshotter.over();
    await second.commit();
    expect(second.begun).toBe(1);
    for (let i = 0; i < 7; i++) await third.commit();
    // Claims anew, as another owner would: the snapshot cannot be ended.
    await second.log.claim(HEADER);
    for (let i = 0; i < SLICES && second.snapshotter.failure === null; i++) await second.commit();
    expect(second.snapshotter.failure).toMatchObject({ code: 'claim_lost' });
    await third.commit();
    expect([first.begun, second.begun, third.begun]).toEqual([1, 1, 1]);
  });
});
