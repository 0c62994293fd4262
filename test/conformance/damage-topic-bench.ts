/** A state topic whose records can be changed: it is made anew with others, each at its offset. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KafkaStateStore } from '../../src/state/kafka-store.ts';
import { LogFold } from '../../src/state/log-fold.ts';
import type { StateRecord, StateTopic } from '../../src/state/state-topic.ts';
import { CHUNK_BYTES, type LogRecord, RecordCodec } from '../../src/state/topic-records.ts';
import { MemoryStateTopic } from '../../src/topology/sources/memory-state-topic.ts';
import type { Commit } from '../../src/topology/types.ts';
import { TASK } from './commit-log.ts';
import type { DamageBench } from './damage.ts';
import { memoryBroker, NAME, TOPIC } from './topic-bench.ts';

export type Slots = (StateRecord | null)[];

/** Topics of one partition, one after the other. */
export interface DamageableTopic {
  /** A connection to the one that there is now. */
  connect(): StateTopic;
  /** Null: nothing at that offset, or nothing of ours. */
  replace(slots: Slots): Promise<void>;
  close(): Promise<void>;
}

export function memoryTopic(): DamageableTopic {
  let broker = memoryBroker(1);
  return {
    connect: () => new MemoryStateTopic(broker, TOPIC, { fetchRecords: 4 }),
    replace: async (slots) => {
      broker = memoryBroker(1);
      for (const slot of slots) {
        if (slot === null) broker.appendControl(TOPIC, 0);
        else broker.append(TOPIC, 0, slot);
      }
    },
    close: async () => {},
  };
}

const silent = { info: () => undefined, warn: () => undefined };
/** The most that a test has. */
const PROCESSES = 4;
/** No commit is so small. */
const FEW_BYTES = 120;
export const CODEC = new RecordCodec(NAME);

/** Where the task's records are, and what they say. */
export interface Listed {
  offset: number;
  record: LogRecord;
}

export class TopicDamageBench implements DamageBench {
  readonly topic: DamageableTopic;
  /** In use, and not yet. */
  readonly #folders: string[] = [];
  readonly #spare: string[];
  readonly #stores: KafkaStateStore[] = [];

  readonly #chunkBytes: number;

  private constructor(topic: DamageableTopic, spare: string[], chunkBytes: number) {
    this.topic = topic;
    this.#spare = spare;
    this.#chunkBytes = chunkBytes;
  }

  /** `copies`: each process has a folder for its copy of what counts. */
  static async open(
    topic: DamageableTopic,
    { copies, chunked = false }: { copies: boolean; chunked?: boolean },
  ): Promise<TopicDamageBench> {
    const spare: string[] = [];
    while (copies && spare.length < PROCESSES) spare.push(await mkdtemp(join(tmpdir(), 'exposure-stream-damage-')));
    return new TopicDamageBench(topic, spare, chunked ? FEW_BYTES : CHUNK_BYTES);
  }

  /** A process on a machine of its own. */
  process(): KafkaStateStore {
    return this.#store();
  }

  /** A process where the last one was, whose folder is still there if folders are kept here. */
  async restarted(): Promise<KafkaStateStore> {
    await this.#closeStores();
    return this.#store(this.#folders.at(-1));
  }

  /** Of the last process. */
  get copyFolder(): string {
    return join(this.#folders.at(-1) as string, 'kafka', TASK.stage, TASK.topic, String(TASK.partition));
  }

  async copies(): Promise<string[]> {
    return (await readdir(this.copyFolder)).sort().map((name) => join(this.copyFolder, name));
  }

  async claims(): Promise<number[]> {
    return (await this.listed('claim')).map(({ offset }) => offset + 1);
  }

  /** The task's records of a kind. */
  async listed(kind: LogRecord['kind']): Promise<Listed[]> {
    const found: Listed[] = [];
    for (const [offset, slot] of (await this.slots()).entries()) {
      const record = slot && CODEC.read({ ...slot, offset });
      if (record?.kind === kind) found.push({ offset, record });
    }
    return found;
  }

  async slots(): Promise<Slots> {
    const topic = this.topic.connect();
    const slots: Slots = Array.from({ length: await topic.end(0) }, () => null);
    for await (const records of topic.read(0, 0, slots.length))
      for (const { offset, key, value } of records) slots[offset] = { key, value };
    await topic.close();
    return slots;
  }

  async edit(change: (slots: Slots) => Slots): Promise<void> {
    await this.#closeStores();
    await this.topic.replace(change(await this.slots()));
  }

  async land(_log: unknown, claim: number, commit: Commit): Promise<void> {
    const topic = this.topic.connect();
    const fold = new LogFold();
    for (const [offset, slot] of (await this.slots()).entries()) {
      const record = slot && CODEC.read({ ...slot, offset });
      if (record) fold.add(offset, record);
    }
    await topic.append(0, () => [CODEC.chunk({ claim: claim - 1, seq: fold.nextSeq, before: fold.chain ?? 0 }, commit, 0)]);
    await topic.close();
  }

  async close(): Promise<void> {
    await this.#closeStores();
    await this.topic.close();
    await Promise.all([...this.#folders, ...this.#spare].map((folder) => rm(folder, { recursive: true, force: true })));
  }

  #store(folder = this.#spare.pop()): KafkaStateStore {
    if (folder !== undefined && !this.#folders.includes(folder)) this.#folders.push(folder);
    const options = { topic: this.topic.connect(), logger: silent, chunkBytes: this.#chunkBytes };
    const store = new KafkaStateStore({ ...options, ...(folder === undefined ? {} : { folder }) });
    this.#stores.push(store);
    return store;
  }

  async #closeStores(): Promise<void> {
    await Promise.all(this.#stores.splice(0).map((store) => store.close()));
  }
}
