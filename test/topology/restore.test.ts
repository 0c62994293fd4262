import { expect, test } from 'vitest';
import { loadSettings } from '../../src/config.ts';
import { Metrics } from '../../src/metrics.ts';
import { EvaluateStage } from '../../src/topology/evaluate.ts';
import { EVALUATE_PARTS } from '../../src/topology/evaluate-parts.ts';
import type { Pipeline } from '../../src/topology/pipeline.ts';
import type { RestoreProgress } from '../../src/topology/restore.ts';
import { Task, type TaskObserver } from '../../src/topology/task.ts';
import type { Claim, Commit, CommitLog, PartitionFeed, StateHeader } from '../../src/topology/types.ts';
import { collect } from '../../src/web/collect.ts';
import { statusOf } from '../../src/web/status.ts';
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

function aCommit(): Commit {
  const written = makeStage();
  written.begin(0, false);
  return written.takeCommit();
}

const makeFeed = (): PartitionFeed & { lost: boolean } =>
  ({
    topic: 'partials',
    partition: 0,
    lost: false,
    bounds: () => Promise.resolve({ first: 0, end: 9, committed: null }),
  }) as PartitionFeed & { lost: boolean };

const taskOver = (log: Partial<CommitLog>, { clock = new HandClock(0), observer = {} as TaskObserver } = {}) =>
  new Task({
    id: { stage: 'evaluate', topic: 'partials', partition: 0 },
    log: { close: () => Promise.resolve(), sizeBytes: () => 0, ...log } as CommitLog,
    clock,
    commitMs: 1000,
    snapshot: { minBytes: 1, ratio: 1 },
    header: () => header,
    stage: makeStage,
    sink: () => ({ deliver: () => Promise.reject(new Error('nothing is delivered')) }),
    acceptStateLoss: false,
    observer,
  });

test('a restore ends when its partition has gone elsewhere meanwhile', async () => {
  const commit = aCommit();
  const feed = makeFeed();
  let read = 0;
  async function* commits(): AsyncGenerator<Commit> {
    for (; read < 1000; read++) {
      if (read === 3) feed.lost = true;
      yield commit;
    }
  }
  const claim: Claim = { id: 1, current: false, previous: header, commits };
  const failures: Error[] = [];
  const task = taskOver({ claim: () => Promise.resolve(claim) }, { observer: { failed: (_task, error) => failures.push(error) } });

  await task.run(feed);

  expect(read).toBe(3);
  expect(task.state).toBe('idle');
  expect(task.restored).toBe(null);
  expect(failures).toEqual([]);
});

test('the reading of a log is told about like what is applied of it, in the log, in metrics and in the status', async () => {
  const clock = new HandClock(0);
  const commit = aCommit();
  const feed = makeFeed();
  const told: RestoreProgress[] = [];
  const shown: unknown[] = [];
  const look = async (): Promise<void> => {
    const metrics = new Metrics();
    const pipeline = {
      ingestTasks: [],
      evaluateTasks: [task],
      joined: true,
      registry: null,
      registryError: null,
      lagOf: () => null,
      budget: { limitBytes: 1 },
    } as unknown as Pipeline;
    collect(metrics, pipeline, { wallMs: 0, monotonicMs: 0 });
    const [{ labels, value }] = (await metrics.gauge('restore_ratio').get()).values;
    shown.push([labels['phase'], value, ...statusOf(pipeline, 0, []).waiting_for]);
  };
  async function* commits(): AsyncGenerator<Commit> {
    for (let i = 0; i < 4; i++) {
      yield commit;
      clock.leap(1500);
    }
    await look();
    feed.lost = true;
    yield commit;
  }
  const log: Partial<CommitLog> = {
    sizeBytes: () => 8 * commit.changes.length,
    claim: async (_header, tell) => {
      for (let part = 1; part <= 5; part++) {
        clock.leap(1500);
        tell?.({ bytes: part * 1e6, share: part / 5 });
        if (part === 3) await look();
      }
      return { id: 1, current: false, previous: header, commits };
    },
  };
  const task = taskOver(log, { clock, observer: { restoring: (_task, progress) => told.push({ ...progress }) } });

  await task.run(feed);

  expect(told.map(({ phase, share }) => [phase, share])).toEqual([
    ['reading', 0.4],
    ['reading', 0.8],
    ['applying', 0.25],
    ['applying', 0.5],
  ]);
  expect(shown).toEqual([
    ['reading', 0.6, 'evaluate partials/0: claiming, reading its state, 60 %'],
    ['applying', 0.5, 'evaluate partials/0: restoring, applying its state, 50 %'],
  ]);
  expect(task.restored).toBe(null);
});

test('the reading of a log ends when its partition has gone elsewhere meanwhile', async () => {
  const feed = makeFeed();
  let parts = 0;
  const claim: CommitLog['claim'] = async (_header, tell) => {
    for (; parts < 100; parts++) {
      if (parts === 3) feed.lost = true;
      tell?.({ bytes: parts, share: parts / 100 });
    }
    throw new Error('it was read to the end');
  };
  const task = taskOver({ claim });
  await task.run(feed);
  expect([parts, task.state, task.restored, task.error]).toEqual([3, 'idle', null, null]);
});
