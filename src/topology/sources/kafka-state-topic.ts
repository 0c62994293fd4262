import type { Kafka, Message, Producer } from 'kafkajs';
import { asError, StreamError } from '../../errors.ts';
import type { StateRecord, StateTopic, StoredRecord } from '../../state/state-topic.ts';
import type { Clock } from '../types.ts';
import { Absence } from './kafka-absence.ts';
import { type KafkaLogger, rootOf } from './kafka-client.ts';
import { acknowledged, messageOfBatch } from './kafkajs-encoding.ts';
import { type Cluster, clusterOf, nextOffsetAfter, throwIfUnreadable } from './kafkajs-internals.ts';
import { partitionOf } from './murmur2.ts';
import { writeRecordBatch } from './record-batch-writer.ts';
import { requestMemory } from './request-memory.ts';

export interface KafkaStateTopicOptions {
  topic: string;
  clock: Clock;
  logger: KafkaLogger;
  /** One fetch: what is decoded and checked between two turns of the event loop. */
  fetchBytes?: number;
}

interface Fetched {
  records: StoredRecord[];
  nextOffset: number;
  highWatermark: number;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;
const MAX_WAIT_MS = 100;
/** Of our own writes nothing is in a transaction. */
const READ_UNCOMMITTED = 0;

/** The state topic over kafkajs: read without a group, by partition and offset. */
export class KafkaStateTopic implements StateTopic {
  readonly #kafka: Kafka;
  readonly #options: Required<KafkaStateTopicOptions>;
  readonly #closing = new AbortController();
  readonly #absence: Absence;
  #cluster: Promise<Cluster> | null = null;
  #producer: Promise<Producer> | null = null;

  constructor(kafka: Kafka, options: KafkaStateTopicOptions) {
    this.#kafka = kafka;
    this.#absence = new Absence(options.clock);
    this.#options = { fetchBytes: 1 << 20, ...options };
  }

  partitionCount(): Promise<number> {
    return this.#asked(async (cluster) => cluster.findTopicPartitionMetadata(this.#options.topic).length);
  }

  partitionOf(name: string, partitions: number): number {
    const key = new TextEncoder().encode(name);
    return partitionOf(key, 0, key.length, partitions);
  }

  /** Rejects with `message_too_large` and errors that trying again does not mend. */
  append(partition: number, make: () => readonly StateRecord[]): Promise<number> {
    return this.#retrying(async () => {
      const { topic } = this.#options;
      this.#producer ??= this.#connectedProducer();
      const producer = await this.#producer.catch((error: unknown) => {
        this.#producer = null;
        throw error;
      });
      const form = { timestampMs: this.#options.clock.now().wallMs, codec: 0 };
      const messages = [messageOfBatch(partition, await writeRecordBatch(make(), form, requestMemory))];
      const [{ baseOffset }] = await producer.send({ topic, acks: -1, messages });
      acknowledged(messages);
      return Number(baseOffset);
    });
  }

  async *read(partition: number, from: number, to: number): AsyncGenerator<readonly StoredRecord[], void> {
    let emptyMs = FIRST_RETRY_MS;
    for (let at = from; at < to; ) {
      const { records, nextOffset, highWatermark } = await this.#asked((cluster) => this.#fetch(cluster, partition, at));
      if (nextOffset > at) {
        const wanted = nextOffset <= to ? records : records.filter(({ offset }) => offset < to);
        at = nextOffset;
        emptyMs = FIRST_RETRY_MS;
        if (wanted.length > 0) yield wanted;
        continue;
      }
      // Compaction may have left nothing here at all.
      if (highWatermark >= to) return;
      if (emptyMs > LAST_RETRY_MS) throw new StreamError('kafka_unreachable', this.#shorter(partition, to, highWatermark));
      await this.#sleep(emptyMs);
      emptyMs *= 2;
    }
  }

  end(partition: number): Promise<number> {
    return this.#asked((cluster) => this.#bound(cluster, partition, false));
  }

  /** Calls that have not ended by then reject. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#dropCluster(), this.#producer?.then((producer) => producer.disconnect()).catch(() => undefined)]);
  }

  #shorter(partition: number, to: number, end: number): string {
    return `${this.#options.topic}/${partition} ends at offset ${end}, though ${to} was there: its leader has changed, or the topic was recreated.`;
  }

  async #fetch(cluster: Cluster, partition: number, at: number): Promise<Fetched> {
    const { topic, fetchBytes } = this.#options;
    const leader = cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition)?.leader;
    if (leader === undefined) throw new StreamError('topic_missing', `There is no partition ${topic}/${partition}.`);
    const broker = await cluster.findBroker({ nodeId: leader });
    const partitions = [{ partition, fetchOffset: at, maxBytes: fetchBytes }];
    const request = { isolationLevel: READ_UNCOMMITTED, maxWaitTime: MAX_WAIT_MS, maxBytes: fetchBytes, topics: [{ topic, partitions }] };
    try {
      const { responses } = await broker.fetch(request);
      const { messages, highWatermark } = responses[0].partitions[0];
      const records: StoredRecord[] = [];
      for (const { offset, key, value, isControlRecord } of messages) {
        // A batch that was cut by compaction begins before the offset asked for.
        if (Number(offset) >= at && key !== null && !isControlRecord) records.push({ offset: Number(offset), key, value });
      }
      if (records.length === 0) throwIfUnreadable(messages, topic, partition);
      return { records, nextOffset: nextOffsetAfter(messages), highWatermark: Number(highWatermark) };
    } catch (error) {
      if (rootOf(error).type !== 'OFFSET_OUT_OF_RANGE') throw error;
      const first = await this.#bound(cluster, partition, true);
      return { records: [], nextOffset: first, highWatermark: await this.#bound(cluster, partition, false) };
    }
  }

  async #bound(cluster: Cluster, partition: number, fromBeginning: boolean): Promise<number> {
    const [{ partitions }] = await cluster.fetchTopicsOffset([{ topic: this.#options.topic, partitions: [{ partition }], fromBeginning }]);
    return Number(partitions[0].offset);
  }

  /** Asks over a connection that is made anew after a failure: kafkajs does not always mend one. */
  #asked<T>(question: (cluster: Cluster) => Promise<T>): Promise<T> {
    return this.#retrying(async () => {
      this.#cluster ??= this.#connectedCluster();
      const asked = this.#cluster;
      try {
        return await question(await asked);
      } catch (error) {
        if (this.#cluster === asked) await this.#dropCluster();
        throw error;
      }
    });
  }

  /** For as long as the fault may pass. */
  async #retrying<T>(action: () => Promise<T>): Promise<T> {
    const { topic, logger } = this.#options;
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(2 * retryMs, LAST_RETRY_MS)) {
      if (this.#closing.signal.aborted) throw new StreamError('kafka_unreachable', `${topic} was closed before it was read or written.`);
      try {
        const result = await action();
        this.#absence.over();
        return result;
      } catch (error) {
        const { type, message } = rootOf(error);
        if (type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE') {
          throw new StreamError('message_too_large', `${topic}: ${message}: raise max.message.bytes there to 1048588 or more.`, {
            cause: error,
          });
        }
        const fatal = this.#absence.fatal(error);
        if (fatal) throw fatal;
        logger.warn({ err: asError(error), code: 'kafka_unreachable', topic, retryMs }, 'the state topic was not reached, trying again');
        await this.#sleep(retryMs);
      }
    }
  }

  #sleep(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms, this.#closing.signal);
  }

  async #connectedCluster(): Promise<Cluster> {
    const cluster = clusterOf(this.#kafka);
    await cluster.connect();
    await cluster.addTargetTopic(this.#options.topic);
    return cluster;
  }

  async #dropCluster(): Promise<void> {
    const cluster = this.#cluster;
    this.#cluster = null;
    await cluster?.then((connected) => connected.disconnect()).catch(() => undefined);
  }

  /** Without retries of its own: each attempt must bring keys of its own. */
  async #connectedProducer(): Promise<Producer> {
    const createPartitioner = () => asTold;
    const producer = this.#kafka.producer({ allowAutoTopicCreation: false, createPartitioner, retry: { retries: 0 } });
    await producer.connect();
    return producer;
  }
}

const asTold = ({ message }: { message: Message }): number => message.partition ?? 0;
