/** Traffic to Kafka, fast and exact: each record at its partition with its own timestamp, none twice. */
import type { Kafka, Message, Producer } from 'kafkajs';
import type { SourceRecord } from '../generate/index.ts';
import { kafkaError } from '../topology/sources/kafka-client.ts';
import type { Stream } from '../topology/types.ts';

/** kafkajs sorts a request's records by partition in quadratic time: enough for speed, not too many for that. */
const REQUEST_RECORDS = 4000;
const PARTITION_BYTES = 800_000;
const REQUEST_BYTES = 8 << 20;

export class TrafficProducer {
  readonly #producer: Producer;
  readonly #topics: Readonly<Record<Stream, string>>;
  #messages = new Map<string, Message[]>();
  #partitionBytes = new Map<string, number>();
  #records = 0;
  #bytes = 0;
  #sending: Promise<unknown> = Promise.resolve();

  constructor(kafka: Kafka, topics: Readonly<Record<Stream, string>>) {
    // Idempotent: a request whose answer was lost must not make records that the truth does not know.
    this.#producer = kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: () => partitionNamed,
      retry: { retries: 8 },
    });
    this.#topics = topics;
  }

  async connect(): Promise<void> {
    await this.#producer.connect().catch(rethrow);
  }

  /** True when it must be flushed before the next record. */
  add({ topic: stream, partition, key, value, timestampMs }: SourceRecord): boolean {
    const topic = this.#topics[stream];
    const messages = this.#messages.get(topic) ?? [];
    this.#messages.set(topic, messages);
    messages.push({ partition, key: key && bufferOf(key), value: value && bufferOf(value), timestamp: String(timestampMs) });
    const bytes = (key?.length ?? 0) + (value?.length ?? 0) + 40;
    const place = `${topic} ${partition}`;
    const partitionBytes = (this.#partitionBytes.get(place) ?? 0) + bytes;
    this.#partitionBytes.set(place, partitionBytes);
    this.#bytes += bytes;
    this.#records++;
    return this.#records >= REQUEST_RECORDS || partitionBytes >= PARTITION_BYTES || this.#bytes >= REQUEST_BYTES;
  }

  /** Resolves when the request before this one is acknowledged: the next records are made while this one is under way. */
  async flush(): Promise<void> {
    if (this.#records === 0) return;
    const topicMessages = [...this.#messages].map(([topic, messages]) => ({ topic, messages }));
    this.#messages = new Map();
    this.#partitionBytes = new Map();
    this.#records = this.#bytes = 0;
    await this.#sending.catch(rethrow);
    this.#sending = this.#producer.sendBatch({ acks: -1, topicMessages });
    this.#sending.catch(() => undefined); // Told by the next flush, or by `finish`.
  }

  /** All acknowledged. */
  async finish(): Promise<void> {
    await this.flush();
    await this.#sending.catch(rethrow);
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }
}

const partitionNamed = ({ message }: { message: Message }): number => message.partition ?? 0;

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

const rethrow = (error: unknown): never => {
  throw kafkaError(error);
};
