/**
 * State in a compacted topic, so that it goes where its partition goes, with copies in a local folder so that it need not
 * come from there after a restart.
 */

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { StreamError } from '../errors.ts';
import type { CommitLog, StateStore, TaskId } from '../topology/types.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { KafkaCommitLog, type TopicPlace } from './commit-log-kafka.ts';
import { SEED_BYTES } from './hash.ts';
import { folderOf } from './state-folder.ts';
import type { StateLogger, StateTopic, StoredRecord } from './state-topic.ts';
import { TopicCopy } from './topic-copy.ts';
import { opened, RecordCodec, sealed } from './topic-records.ts';

/** Every one of these records has a key of its own: of equal ones compaction would keep the last, and the first counts. */
const SEED_KEY = new TextEncoder().encode('hash-seed/');
const SEED_PARTITION = 0;
const TOPIC_ID_BYTES = 16;

/** Where the copies lie in a state folder. */
export const copiesOf = (folder: string): string => join(folder, 'kafka');

export interface KafkaStateStoreOptions {
  topic: StateTopic;
  logger: StateLogger;
  /** Where copies lie, below `kafka/`; without it every restore reads the topic. */
  folder?: string;
  /** Bytes of a commit that go into one record, where not the usual ones. */
  chunkBytes?: number;
  /** Wins over the seed that the topic keeps (STATE_HASH_SEED): 8 bytes. */
  hashSeed?: Uint8Array;
}

/** What was drawn when the topic was first used. */
interface TopicIdentity {
  seed: Uint8Array;
  /** Hex. */
  topicId: string;
  partitions: number;
}

export class KafkaStateStore implements StateStore {
  readonly #options: KafkaStateStoreOptions;
  readonly #logs = new Set<KafkaCommitLog>();
  #identity: Promise<TopicIdentity> | null = null;

  constructor(options: KafkaStateStoreOptions) {
    this.#options = options;
  }

  open(task: TaskId): CommitLog {
    const name = `${task.stage}/${task.topic}/${task.partition}`;
    const codec = new RecordCodec(name, this.#options.chunkBytes);
    const log = new KafkaCommitLog(codec, () => this.#placeOf(task, name), this.#options.logger);
    this.#logs.add(log);
    return log;
  }

  async hashSeed(): Promise<Uint8Array> {
    return this.#options.hashSeed ?? (await this.#known()).seed;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#logs].map((log) => log.close()));
    this.#logs.clear();
    await this.#options.topic.close();
  }

  async #placeOf(task: TaskId, name: string): Promise<TopicPlace> {
    const { topic, folder, logger } = this.#options;
    const { topicId, partitions } = await this.#known();
    const partition = topic.partitionOf(name, partitions);
    const copy =
      folder === undefined ? null : new TopicCopy({ folder: join(copiesOf(folder), ...folderOf(task)), topicId, task: name, logger });
    return { topic, partition, copy };
  }

  #known(): Promise<TopicIdentity> {
    this.#identity ??= this.#identify().catch((error: unknown) => {
      this.#identity = null;
      throw error;
    });
    return this.#identity;
  }

  async #identify(): Promise<TopicIdentity> {
    const { topic } = this.#options;
    const count = await topic.partitionCount();
    const identity = (await this.#first(await topic.end(SEED_PARTITION))) ?? (await this.#draw(count));
    if (identity.partitions !== count) {
      throw new StreamError(
        'partition_count_changed',
        `The state topic has ${count} partitions and had ${identity.partitions} when it was first used, so tasks would look for their state in other partitions than it lies in. ` +
          'Begin with an empty state topic and another GROUP_ID, and never add partitions to it.',
      );
    }
    return identity;
  }

  /** Of several processes that draw at once, the one whose record comes first wins, and all read that one. */
  async #draw(partitions: number): Promise<TopicIdentity> {
    const payload = new ByteWriter(32);
    payload.bytes(randomBytes(SEED_BYTES));
    payload.bytes(randomBytes(TOPIC_ID_BYTES));
    payload.varint(partitions);
    const drawn = payload.take();
    const offset = await this.#options.topic.append(SEED_PARTITION, () => [sealed(Buffer.concat([SEED_KEY, randomBytes(8)]), [drawn])]);
    return (await this.#first(offset + 1)) ?? identityOf(drawn);
  }

  /** Null when there is none before that offset. */
  async #first(until: number): Promise<TopicIdentity | null> {
    for await (const records of this.#options.topic.read(SEED_PARTITION, 0, until)) {
      const found = records.find(isSeed);
      if (!found) continue;
      const payload = opened(found.key, found.value as Uint8Array);
      if (payload !== null) return identityOf(payload);
      throw new StreamError(
        'state_corrupt',
        `The state topic, partition ${SEED_PARTITION}, offset ${found.offset}: the hash seed does not match its checksum.`,
      );
    }
    return null;
  }
}

const isSeed = ({ key, value }: StoredRecord): boolean =>
  value !== null && Buffer.compare(key.subarray(0, SEED_KEY.length), SEED_KEY) === 0;

function identityOf(payload: Uint8Array): TopicIdentity {
  const reader = new ByteReader(payload);
  const seed = new Uint8Array(reader.bytes(SEED_BYTES));
  const topicId = Buffer.from(reader.bytes(TOPIC_ID_BYTES)).toString('hex');
  return { seed, topicId, partitions: reader.varint() };
}
