import { expect, test } from 'vitest';
import { loadSettings } from '../../src/config.ts';
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import { EVALUATE_PARTS } from '../../src/topology/evaluate-parts.ts';
import { Task } from '../../src/topology/task.ts';
import type { Claim, Commit, CommitLog, PartitionFeed, StateHeader } from '../../src/topology/types.ts';
import { HandClock } from './hand-clock.ts';

const { pace, pacing, limits, srm } = loadSettings({}, () => '');
const header: StateHeader = { formatVersion: 1, hashSeedId: 'x', partitionCounts: {}, epoch: 1, configuration: '' };
const makeStage = () =>
  new EvaluateStage({
    topic: 'exposure-stream.partials',
    partition: 0,
    partialsPartitions: 1,
    pace,
    pacing,
    limits,
    srm,
    parts: EVALUATE_PARTS,
  });

test('a restore ends when its partition has gone elsewhere meanwhile', async () => {
  const written = makeStage();
  written.begin(0, false);
  const commit = written.takeCommit();
  const feed = {
    topic: 'partials',
    partition: 0,
    lost: false,
    bounds: () => Promise.resolve({ first: 0, end: 9, committed: null }),
  } as PartitionFeed & { lost: boolean };
  let read = 0;
  async function* commits(): AsyncGenerator<Commit> {
    for (; read < 1000; read++) {
      if (read === 3) feed.lost = true;
      yield commit;
    }
  }
  const claim: Claim = { id: 1, current: false, previous: header, commits };
  const log = { claim: () => Promise.resolve(claim), close: () => Promise.resolve() } as Partial<CommitLog> as CommitLog;
  const failures: Error[] = [];
  const task = new Task({
    id: { stage: 'evaluate', topic: 'partials', partition: 0 },
    log,
    clock: new HandClock(0),
    commitMs: 1000,
    snapshot: { minBytes: 1, ratio: 1 },
    header: () => header,
    stage: makeStage,
    sink: () => ({ deliver: () => Promise.reject(new Error('nothing is delivered')) }),
    acceptStateLoss: false,
    observer: { failed: (_task, error) => failures.push(error) },
  });

  await task.run(feed);

  expect(read).toBe(3);
  expect(task.state).toBe('idle');
  expect(task.restored).toBe(null);
  expect(failures).toEqual([]);
});
