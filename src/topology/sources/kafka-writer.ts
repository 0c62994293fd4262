import { CompressionTypes, type Kafka, type Message, type Producer, type TopicMessages } from 'kafkajs';
import { asError, StreamError } from '../../errors.ts';
import type { Clock, LogWriter, OutRecord } from '../types.ts';
import { fatalKafkaError, type KafkaLogger, rootOf } from './kafka-client.ts';
import { partitionOf } from './murmur2.ts';

const COMPRESSIONS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const;

export interface KafkaWriterOptions {
  clock: Clock;
  logger: KafkaLogger;
  /** gzip is quadratic in the batch with kafkajs: not for much. */
  compression?: keyof typeof COMPRESSIONS;
  /** kafkajs makes one record batch per partition and request and never splits it; the broker's own limit is 1 MiB. */
  maxBatchBytes?: number;
}

interface Call {
  records: readonly OutRecord[];
  resolve(): void;
  reject(error: Error): void;
}

const MAX_REQUEST_BYTES = 8 << 20;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;
/** Framing, offset, timestamp and lengths of a record, generously. */
const RECORD_OVERHEAD_BYTES = 40;

/**
 * One request in flight: calls that come meanwhile go together into the next, so order is kept and round trips are shared. What is
 * retried may be there twice; everything written here is idempotent or told apart by its source.
 */
export class KafkaWriter implements LogWriter {
  readonly #producer: Producer;
  readonly #options: Required<KafkaWriterOptions>;
  readonly #closing = new AbortController();
  #calls: Call[] = [];
  #sending: Promise<void> | null = null;
  #connected = false;

  constructor(kafka: Kafka, options: KafkaWriterOptions) {
    this.#options = { compression: 'none', maxBatchBytes: 900_000, ...options };
    this.#producer = kafka.producer({ allowAutoTopicCreation: false, createPartitioner: keyPartitioner, retry: { retries: 5 } });
  }

  send(records: readonly OutRecord[]): Promise<void> {
    if (records.length === 0) return Promise.resolve();
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#calls.push({ records, resolve, reject });
      this.#sending ??= this.#sendAll();
    });
  }

  /** Calls that have not ended by then reject. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#sending;
    await this.#producer.disconnect();
  }

  async #sendAll(): Promise<void> {
    while (this.#calls.length > 0) {
      const calls = this.#calls;
      this.#calls = [];
      try {
        await this.#write(calls.flatMap(({ records }) => records));
        for (const { resolve } of calls) resolve();
      } catch {
        // Only the call whose record it was shall fail.
        for (const call of calls) await this.#write(call.records).then(call.resolve, (error: unknown) => call.reject(asError(error)));
      }
    }
    this.#sending = null;
  }

  async #write(records: readonly OutRecord[]): Promise<void> {
    for (const chunk of chunks(records, this.#options.maxBatchBytes)) await this.#writeChunk(chunk);
  }

  async #writeChunk(chunk: readonly OutRecord[]): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!this.#closing.signal.aborted) {
      try {
        return await this.#request(chunk);
      } catch (error) {
        if (isTooLarge(error)) return this.#writeHalves(chunk, error);
        const fatal = fatalKafkaError(error);
        if (fatal) throw fatal;
        this.#options.logger.warn(
          { err: asError(error), code: 'kafka_unreachable', retryMs },
          'records were not acknowledged, sending again',
        );
        await this.#options.clock.sleep(retryMs, this.#closing.signal);
        retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
      }
    }
    throw closedError();
  }

  /** A topic may accept less than our batches hold. */
  async #writeHalves(chunk: readonly OutRecord[], cause: unknown): Promise<void> {
    if (chunk.length === 1) {
      const says = `A record of ${sizeOf(chunk[0])} bytes for ${chunk[0].topic} was refused: raise max.message.bytes of that topic.`;
      throw new StreamError('message_too_large', says, { cause });
    }
    const middle = chunk.length >> 1;
    await this.#writeChunk(chunk.slice(0, middle));
    await this.#writeChunk(chunk.slice(middle));
  }

  async #request(chunk: readonly OutRecord[]): Promise<void> {
    if (!this.#connected) await this.#producer.connect();
    this.#connected = true;
    const byTopic = new Map<string, TopicMessages>();
    for (const record of chunk) {
      const topic = byTopic.get(record.topic) ?? { topic: record.topic, messages: [] };
      topic.messages.push(messageOf(record));
      byTopic.set(record.topic, topic);
    }
    await this.#producer.sendBatch({
      acks: -1,
      compression: COMPRESSIONS[this.#options.compression],
      topicMessages: [...byTopic.values()],
    });
  }
}

const closedError = (): Error => new StreamError('kafka_unreachable', 'The writer was closed before all records were acknowledged.');

const isTooLarge = (error: unknown): boolean => ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'].includes(rootOf(error).type ?? '');

const messageOf = ({ key, value, partition, headers }: OutRecord): Message => ({
  key: key && bufferOf(key),
  value: value && bufferOf(value),
  ...(partition === null ? {} : { partition }),
  ...(headers ? { headers } : {}),
});

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

const sizeOf = ({ key, value, headers }: OutRecord): number => {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  // At most 3 bytes of UTF-8 a unit.
  for (const name in headers) bytes += 10 + 3 * (name.length + headers[name].length);
  return bytes;
};

/** Cuts where a partition (records without one: a topic) would get a batch above the limit, or the request become too large. */
const chunks = (records: readonly OutRecord[], maxBatchBytes: number): OutRecord[][] => {
  const cut: OutRecord[][] = [];
  let chunk: OutRecord[] = [];
  let batches = new Map<string, number>();
  let chunkBytes = 0;
  for (const record of records) {
    const bytes = sizeOf(record);
    const batch = `${record.topic} ${record.partition}`;
    const batchBytes = bytes + (batches.get(batch) ?? 0);
    if (chunk.length > 0 && (batchBytes > maxBatchBytes || chunkBytes + bytes > MAX_REQUEST_BYTES)) {
      cut.push(chunk);
      chunk = [];
      batches = new Map();
      chunkBytes = 0;
    }
    chunk.push(record);
    batches.set(batch, chunkBytes === 0 ? bytes : batchBytes);
    chunkBytes += bytes;
  }
  if (chunk.length > 0) cut.push(chunk);
  return cut;
};

/** Kafka's own: murmur2 of the key over all partitions; without a key one after the other. */
const keyPartitioner = () => {
  let withoutKey = 0;
  return ({ message, partitionMetadata }: { message: Message; partitionMetadata: readonly unknown[] }): number => {
    if (message.partition !== undefined) return message.partition;
    if (message.key === null || message.key === undefined) return withoutKey++ % partitionMetadata.length;
    const key = Buffer.from(message.key as Buffer);
    return partitionOf(key, 0, key.length, partitionMetadata.length);
  };
};
