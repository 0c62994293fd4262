/** State stores on one topic, each with a folder of its own as if on a machine of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KafkaStateStore } from '../../src/state/kafka-store.ts';
import { LogFold } from '../../src/state/log-fold.ts';
import type { StateLogger, StateTopic } from '../../src/state/state-topic.ts';
import { RecordCodec } from '../../src/state/topic-records.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { MemoryBroker } from '../../src/topology/sources/memory-log.ts';
import { MemoryStateTopic } from '../../src/topology/sources/memory-state-topic.ts';
import type { Commit, StateStore } from '../../src/topology/types.ts';
import { type StateBench, TASK } from './commit-log.ts';

export const TOPIC = 'exposure-stream.state';
export const NAME = `${TASK.stage}/${TASK.topic}/${TASK.partition}`;

export interface TopicBenchOptions {
  copies: boolean;
  topic: () => StateTopic;
  logger: StateLogger;
}

const silent: StateLogger = { info: () => undefined, warn: () => undefined };

export class TopicBench implements StateBench {
  readonly #options: TopicBenchOptions;
  readonly #stores: KafkaStateStore[] = [];
  readonly #folders: string[];
  readonly #shared: StateTopic;

  private constructor(options: TopicBenchOptions, folders: string[]) {
    this.#options = options;
    this.#folders = folders;
    this.#shared = options.topic();
  }

  static async open(options: TopicBenchOptions): Promise<TopicBench> {
    // Enough for any test; a process takes the next one.
    const folders = options.copies
      ? await Promise.all(Array.from({ length: 60 }, () => mkdtemp(join(tmpdir(), 'exposure-stream-copy-'))))
      : [];
    return new TopicBench(options, folders);
  }

  process(): StateStore {
    const folder = this.#folders[this.#stores.length % Math.max(1, this.#folders.length)];
    return this.on(folder);
  }

  /** A process with that folder for its copies. */
  on(folder: string | undefined): StateStore {
    const { logger } = this.#options;
    const store = new KafkaStateStore({ topic: this.#options.topic(), logger, ...(folder === undefined ? {} : { folder }) });
    this.#stores.push(store);
    return store;
  }

  async land(_log: unknown, claim: number, commit: Commit): Promise<void> {
    const topic = this.#shared;
    const partition = topic.partitionOf(NAME, await topic.partitionCount());
    const codec = new RecordCodec(NAME);
    const fold = new LogFold();
    for await (const records of topic.read(partition, 0, await topic.end(partition))) {
      for (const record of records) {
        const known = codec.read(record);
        if (known) fold.add(record.offset, known);
      }
    }
    await topic.append(partition, () => [codec.chunk({ claim: claim - 1, seq: fold.nextSeq, before: fold.chain ?? 0 }, commit, 0)]);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#stores.map((store) => store.close()), this.#shared.close()]);
    await Promise.all(this.#folders.map((folder) => rm(folder, { recursive: true, force: true })));
  }
}

export const memoryBroker = (partitions = 3): MemoryBroker => new MemoryBroker(new SystemClock(), { [TOPIC]: partitions });

export const memoryTopicBench = ({ copies }: { copies: boolean }): Promise<TopicBench> => {
  const broker = memoryBroker();
  return TopicBench.open({ copies, logger: silent, topic: () => new MemoryStateTopic(broker, TOPIC, { fetchRecords: 3 }) });
};
