import type { Admin, Kafka } from 'kafkajs';
import { StreamError } from '../../errors.ts';
import { kafkaError, rootOf } from './kafka-client.ts';

/** Questions to the cluster over one connection that is kept. */
export class KafkaAdmin {
  readonly #kafka: Kafka;
  #admin: Promise<Admin> | null = null;

  constructor(kafka: Kafka) {
    this.#kafka = kafka;
  }

  /** After a failure the next question begins with a fresh connection: kafkajs's admin does not mend a broken one. Rejects as `kafkaError`. */
  async ask<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    this.#admin ??= this.#connected();
    const asked = this.#admin;
    try {
      return await question(await asked);
    } catch (error) {
      if (this.#admin === asked) await this.close();
      throw kafkaError(error);
    }
  }

  /** By topic; null where there is none. Needs Describe and nothing else. */
  partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number | null>> {
    return this.ask(
      async (admin) => new Map(await Promise.all(topics.map(async (topic) => [topic, await countOf(admin, topic)] as const))),
    );
  }

  async #connected(): Promise<Admin> {
    const admin = this.#kafka.admin();
    await admin.connect();
    return admin;
  }

  async close(): Promise<void> {
    const admin = this.#admin;
    this.#admin = null;
    await admin?.then((connected) => connected.disconnect()).catch(() => undefined);
  }
}

/** One topic a question: kafkajs answers for all or none. */
const countOf = async (admin: Admin, topic: string): Promise<number | null> => {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0].partitions.length;
  } catch (error) {
    const { type } = rootOf(error);
    if (type === 'UNKNOWN_TOPIC_OR_PARTITION') return null;
    if (type === 'TOPIC_AUTHORIZATION_FAILED') {
      throw new StreamError('kafka_refused', `Kafka refuses this client the topic ${topic}: it needs Describe on it.`, { cause: error });
    }
    throw error;
  }
};
