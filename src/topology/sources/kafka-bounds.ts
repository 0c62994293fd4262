import type { Admin, Kafka } from 'kafkajs';
import { asError, StreamError } from '../../errors.ts';
import type { Clock, PartitionBounds } from '../types.ts';
import { Absence } from './kafka-absence.ts';
import { KafkaAdmin } from './kafka-admin.ts';

/** First, last and committed offsets of a group's partitions, over a connection of its own. */
export class GroupBounds {
  readonly #admin: KafkaAdmin;
  readonly #absence: Absence;
  readonly #groupId: string;
  readonly #asking = new Map<string, Promise<Map<number, PartitionBounds>>>();

  constructor(kafka: Kafka, groupId: string, clock: Clock) {
    this.#admin = new KafkaAdmin(kafka);
    this.#absence = new Absence(clock);
    this.#groupId = groupId;
  }

  /** Calls for one topic at the same time share one question. Rejects with `kafka_unreachable`, or `topic_missing` when it stays away. */
  async of(topic: string, partition: number): Promise<PartitionBounds> {
    let asking = this.#asking.get(topic);
    if (!asking) {
      asking = this.#ask(topic).finally(() => this.#asking.delete(topic));
      this.#asking.set(topic, asking);
    }
    const bounds = (await asking).get(partition);
    if (!bounds) throw new StreamError('topic_missing', `There is no partition ${topic}/${partition}.`);
    return bounds;
  }

  /** Rejects with `topic_missing` or `kafka_unreachable`. */
  async partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const metadata = await this.#admin.ask((admin) => admin.fetchTopicMetadata({ topics: [...topics] }));
    return new Map(metadata.topics.map(({ name, partitions }) => [name, partitions.length]));
  }

  close(): Promise<void> {
    return this.#admin.close();
  }

  async #ask(topic: string): Promise<Map<number, PartitionBounds>> {
    try {
      const bounds = await this.#admin.ask((admin) => this.#boundsOf(admin, topic));
      this.#absence.over();
      return bounds;
    } catch (error) {
      const says = `The bounds of ${topic} are not known: ${asError(error).message}`;
      throw this.#absence.fatal(error) ?? new StreamError('kafka_unreachable', says, { cause: error });
    }
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
}
