import type { Admin, Kafka } from 'kafkajs';
import { StreamError } from '../../errors.ts';
import type { PartitionBounds } from '../types.ts';
import { kafkaError } from './kafka-client.ts';

/** First, last and committed offsets of a group's partitions, over a connection of its own. */
export class GroupBounds {
  readonly #kafka: Kafka;
  readonly #groupId: string;
  readonly #asking = new Map<string, Promise<Map<number, PartitionBounds>>>();
  #admin: Promise<Admin> | null = null;

  constructor(kafka: Kafka, groupId: string) {
    this.#kafka = kafka;
    this.#groupId = groupId;
  }

  /** Calls for one topic at the same time share one question. Rejects with `kafka_unreachable` or `topic_missing`. */
  async of(topic: string, partition: number): Promise<PartitionBounds> {
    let asking = this.#asking.get(topic);
    if (!asking) {
      asking = this.#ask((admin) => this.#boundsOf(admin, topic)).finally(() => this.#asking.delete(topic));
      this.#asking.set(topic, asking);
    }
    const bounds = (await asking).get(partition);
    if (!bounds) throw new StreamError('topic_missing', `There is no partition ${topic}/${partition}.`);
    return bounds;
  }

  async partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const metadata = await this.#ask((admin) => admin.fetchTopicMetadata({ topics: [...topics] }));
    return new Map(metadata.topics.map(({ name, partitions }) => [name, partitions.length]));
  }

  async close(): Promise<void> {
    const admin = this.#admin;
    this.#admin = null;
    await admin?.then((connected) => connected.disconnect()).catch(() => undefined);
  }

  /** `end` is the last stable offset: kafkajs lists offsets with read_committed where nothing else is said. */
  async #boundsOf(admin: Admin, topic: string): Promise<Map<number, PartitionBounds>> {
    const [offsets, committed] = await Promise.all([
      admin.fetchTopicOffsets(topic),
      admin.fetchOffsets({ groupId: this.#groupId, topics: [topic] }),
    ]);
    const committedOf = new Map(
      committed.flatMap(({ partitions }) => partitions.map(({ partition, offset }) => [partition, Number(offset)])),
    );
    return new Map(
      offsets.map(({ partition, low, high }) => {
        const offset = committedOf.get(partition) ?? -1;
        return [partition, { first: Number(low), end: Number(high), committed: offset < 0 ? null : offset }];
      }),
    );
  }

  /** After a failure the next question begins with a fresh connection: kafkajs's admin does not mend a broken one. */
  async #ask<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    this.#admin ??= this.#connected();
    try {
      return await question(await this.#admin);
    } catch (error) {
      await this.close();
      throw kafkaError(error);
    }
  }

  async #connected(): Promise<Admin> {
    const admin = this.#kafka.admin();
    await admin.connect();
    return admin;
  }
}
