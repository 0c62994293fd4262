/** Stores to measure: a folder, and the topic of a real broker with and without a warm folder. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirStateStore } from '../src/state/dir-store.ts';
import { KafkaStateStore } from '../src/state/kafka-store.ts';
import { SystemClock } from '../src/topology/clock.ts';
import { type KafkaLogger, kafkaClient } from '../src/topology/sources/kafka-client.ts';
import { KafkaStateTopic } from '../src/topology/sources/kafka-state-topic.ts';
import { createTopics } from '../src/topology/sources/kafka-topics.ts';
import { ServiceMissing, startServices, type TestServices } from '../test/services/index.ts';
import { type Restored, restoreDay, type WritePlan, type Written, writeDay } from './recovery.ts';

const TOPIC = 'bench.state';
const nothing = (): void => undefined;
const SILENT: KafkaLogger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'exposure-stream-bench-'));
  return work(folder).finally(() => rm(folder, { recursive: true }));
}

async function using<T>(store: DirStateStore | KafkaStateStore, work: (store: DirStateStore | KafkaStateStore) => Promise<T>): Promise<T> {
  return work(store).finally(() => store.close());
}

export interface FolderFigures {
  written: Written;
  restored: Restored;
}

export const measureFolder = (plan: WritePlan): Promise<FolderFigures> =>
  inFolder(async (folder) => {
    const written = await using(new DirStateStore(folder), (store) => writeDay(store, plan));
    const restored = await using(new DirStateStore(folder), (store) => restoreDay(store, written.keys));
    return { written, restored };
  });

export interface TopicFigures {
  written: Written;
  /** A process on another machine. */
  cold: Restored;
  /** A process that finds the folder of the one that wrote. */
  warm: Restored;
}

/** Null with the reason when there is no broker to be had. */
export async function measureTopic(plan: WritePlan): Promise<TopicFigures | string> {
  let services: TestServices;
  try {
    services = await startServices({ kafka: true });
  } catch (error) {
    if (error instanceof ServiceMissing) return error.message;
    throw error;
  }
  try {
    return await inFolder((folder) => onBroker(services.kafkaBrokers, folder, plan));
  } finally {
    await services.stop();
  }
}

async function onBroker(brokers: string, folder: string, plan: WritePlan): Promise<TopicFigures> {
  const kafka = kafkaClient({ brokers: brokers.split(','), clientId: 'bench' }, SILENT);
  await createTopics(kafka, [{ name: TOPIC, partitions: 1, settings: { 'cleanup.policy': 'compact' } }]);
  const storeOn = (copies?: string): KafkaStateStore => {
    const topic = new KafkaStateTopic(kafka, { topic: TOPIC, clock: new SystemClock(), logger: SILENT });
    return new KafkaStateStore({ topic, logger: SILENT, ...(copies === undefined ? {} : { folder: copies }) });
  };
  const written = await using(storeOn(folder), (store) => writeDay(store, plan));
  const cold = await using(storeOn(), (store) => restoreDay(store, written.keys));
  const warm = await using(storeOn(folder), (store) => restoreDay(store, written.keys));
  return { written, cold, warm };
}
