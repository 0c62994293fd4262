/**
 * The last records of a topic, read without a consumer group: no join to wait for, no offsets or group left behind.
 * kafkajs has this only inside (2.2.4, pinned): its cluster and the fetch of its broker.
 */
import type { Kafka } from 'kafkajs';
import { kafkaError } from '../topology/sources/kafka-client.ts';

export interface TailRecord {
  partition: number;
  offset: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
}

interface Message {
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  isControlRecord: boolean;
}

interface FetchRequest {
  isolationLevel: number;
  maxWaitTime: number;
  maxBytes: number;
  topics: { topic: string; partitions: { partition: number; fetchOffset: string; maxBytes: number }[] }[];
}

interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addMultipleTargetTopics(topics: string[]): Promise<void>;
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>;
  findBroker(node: { nodeId: string }): Promise<{
    fetch(request: FetchRequest): Promise<{ responses: { partitions: { partition: number; messages: Message[] }[] }[] }>;
  }>;
}

const READ_COMMITTED = 1;
const PARTITION_BYTES = 256 << 10;

/** At most `count` records, the last of each partition. Rejects as all of Kafka does. */
export async function tailOf(kafka: Kafka, topic: string, count: number): Promise<TailRecord[]> {
  const starts = await startsOf(kafka, topic, count);
  if (starts.size === 0) return [];
  const cluster = clusterOf(kafka);
  try {
    await cluster.connect();
    await cluster.addMultipleTargetTopics([topic]);
    const leaders = Object.entries(cluster.findLeaderForPartitions(topic, [...starts.keys()]));
    const fetched = await Promise.all(leaders.map(([nodeId, partitions]) => fetchFrom(cluster, { nodeId, topic, partitions, starts })));
    return fetched.flat();
  } catch (error) {
    throw kafkaError(error);
  } finally {
    await cluster.disconnect();
  }
}

/** Where to begin in each partition that holds records. */
async function startsOf(kafka: Kafka, topic: string, count: number): Promise<Map<number, number>> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const offsets = await admin.fetchTopicOffsets(topic);
    const filled = offsets.filter(({ low, high }) => Number(high) > Number(low));
    const each = Math.ceil(count / Math.max(1, filled.length));
    return new Map(filled.map(({ partition, low, high }) => [partition, Math.max(Number(low), Number(high) - each)]));
  } catch (error) {
    throw kafkaError(error);
  } finally {
    await admin.disconnect();
  }
}

interface Ask {
  nodeId: string;
  topic: string;
  partitions: number[];
  starts: ReadonlyMap<number, number>;
}

async function fetchFrom(cluster: Cluster, { nodeId, topic, partitions, starts }: Ask): Promise<TailRecord[]> {
  const broker = await cluster.findBroker({ nodeId });
  const asked = partitions.map((partition) => ({
    partition,
    fetchOffset: String(starts.get(partition)),
    maxBytes: PARTITION_BYTES,
  }));
  const request = { isolationLevel: READ_COMMITTED, maxWaitTime: 500, maxBytes: PARTITION_BYTES * partitions.length };
  const { responses } = await broker.fetch({ ...request, topics: [{ topic, partitions: asked }] });
  return responses.flatMap((response) =>
    response.partitions.flatMap(({ partition, messages }) =>
      messages
        .filter(({ offset, isControlRecord }) => !isControlRecord && Number(offset) >= (starts.get(partition) ?? 0))
        .map(({ offset, key, value }) => ({ partition, offset: Number(offset), key, value })),
    ),
  );
}

function clusterOf(kafka: Kafka): Cluster {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === 'private:Kafka:createCluster');
  if (symbol === undefined) throw new Error('This kafkajs is another than 2.2.4.');
  const create = (kafka as unknown as Record<symbol, (options: object) => Cluster>)[symbol];
  return create({ allowAutoTopicCreation: false, metadataMaxAge: 300_000, isolationLevel: READ_COMMITTED });
}
