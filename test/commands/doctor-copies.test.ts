import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkState } from '../../src/commands/doctor-state.ts';
import { loadSettings } from '../../src/config.ts';
import { KafkaStateStore } from '../../src/state/kafka-store.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import type { TopicDescription } from '../../src/topology/sources/kafka-topics.ts';
import { MemoryBroker } from '../../src/topology/sources/memory-log.ts';
import { MemoryStateTopic } from '../../src/topology/sources/memory-state-topic.ts';

const topic = (name: string, partitions: number): [string, TopicDescription] => [
  name,
  { name, partitions, timestampType: 'LogAppendTime', retentionMs: -1, cleanupPolicy: 'delete', maxMessageBytes: 1_048_588 },
];

test('a topic that has other partitions than when the copies of its state began is named by doctor', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'exposure-stream-copies-'));
  const broker = new MemoryBroker(new SystemClock(), { 'exposure-stream.state': 1 });
  const silent = { info: () => {}, warn: () => {} };
  const store = new KafkaStateStore({
    topic: new MemoryStateTopic(broker, 'exposure-stream.state'),
    logger: silent,
    folder,
  });
  const log = store.open({ stage: 'ingest', topic: 'exposures', partition: 0 });
  await log.claim({ formatVersion: 1, hashSeedId: 'x', partitionCounts: { exposures: 8 }, epoch: 1, configuration: '{}' });
  await log.append({ from: 0, to: 5, changes: Uint8Array.of(1) });
  await store.close();

  const settings = loadSettings({ STATE_DIR: folder }, () => '');
  const check = (partitions: number) =>
    checkState(settings, Promise.resolve(new Map([topic('exposures', partitions), topic('exposure-stream.state', 1)])));
  expect((await check(8)).map(({ status }) => status)).toEqual(['ok']);
  expect(await check(9)).toContainEqual(
    expect.objectContaining({
      status: 'error',
      code: 'partition_count_changed',
      says: expect.stringContaining('exposures has 9 partitions and had 8'),
    }),
  );
  rmSync(folder, { recursive: true });
});
