/** What `migrate --topics` and `doctor` need to know of topics. */
import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { kafkaError } from './kafka-client.ts';

export interface TopicDescription {
  name: string;
  partitions: number;
  /** `message.timestamp.type` */
  timestampType: 'CreateTime' | 'LogAppendTime';
  /** -1: for ever. */
  retentionMs: number;
  /** `delete`, `compact` or `compact,delete` */
  cleanupPolicy: string;
  maxMessageBytes: number;
}

export interface TopicSpec {
  name: string;
  partitions: number;
  /** Kafka's own names, e.g. `cleanup.policy`. */
  settings?: Record<string, string>;
}

const SETTINGS = ['message.timestamp.type', 'retention.ms', 'cleanup.policy', 'max.message.bytes'];

/** By name; what does not exist (or may not be seen) is left out. Rejects with `kafka_unreachable` or `kafka_refused`. */
export const describeTopics = (kafka: Kafka, names: readonly string[]): Promise<Map<string, TopicDescription>> =>
  withAdmin(kafka, async (admin) => {
    const existing = await existingOf(admin, names);
    if (existing.length === 0) return new Map();
    const [metadata, settings] = await Promise.all([admin.fetchTopicMetadata({ topics: existing }), settingsOf(admin, existing)]);
    return new Map(
      metadata.topics.map(({ name, partitions }) => {
        const setting = (key: string): string => settings.get(name)?.get(key) ?? '';
        const timestampType = setting('message.timestamp.type') === 'LogAppendTime' ? 'LogAppendTime' : 'CreateTime';
        const description: TopicDescription = {
          name,
          partitions: partitions.length,
          timestampType,
          retentionMs: Number(setting('retention.ms')),
          cleanupPolicy: setting('cleanup.policy'),
          maxMessageBytes: Number(setting('max.message.bytes')),
        };
        return [name, description];
      }),
    );
  });

/** Creates what is missing with the broker's default replication and changes nothing that exists. Returns the names created. */
export const createTopics = (kafka: Kafka, specs: readonly TopicSpec[]): Promise<string[]> =>
  withAdmin(kafka, async (admin) => {
    const names = specs.map(({ name }) => name);
    const existing = new Set(await existingOf(admin, names));
    const missing = specs.filter(({ name }) => !existing.has(name));
    if (missing.length === 0) return [];
    const topics = missing.map(({ name, partitions, settings = {} }) => ({
      topic: name,
      numPartitions: partitions,
      replicationFactor: -1,
      configEntries: Object.entries(settings).map(([key, value]) => ({ name: key, value })),
    }));
    await admin.createTopics({ topics, waitForLeaders: true });
    return missing.map(({ name }) => name);
  });

const existingOf = async (admin: Admin, names: readonly string[]): Promise<string[]> => {
  const all = new Set(await admin.listTopics());
  return names.filter((name) => all.has(name));
};

const settingsOf = async (admin: Admin, names: readonly string[]): Promise<Map<string, Map<string, string>>> => {
  const described = await admin.describeConfigs({
    includeSynonyms: false,
    resources: names.map((name) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name, configNames: SETTINGS })),
  });
  return new Map(
    described.resources.map(({ resourceName, configEntries }) => [
      resourceName,
      new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  );
};

const withAdmin = async <T>(kafka: Kafka, ask: (admin: Admin) => Promise<T>): Promise<T> => {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await ask(admin);
  } catch (error) {
    throw kafkaError(error);
  } finally {
    await admin.disconnect();
  }
};
