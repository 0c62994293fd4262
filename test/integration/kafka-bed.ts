import { setTimeout as sleep } from 'node:timers/promises';
import { type Admin, CompressionTypes, type Kafka, type Message, type Producer, type Transaction } from 'kafkajs';
import { SystemClock } from '../../src/topology/clock.ts';
import { type KafkaLogger, kafkaClient } from '../../src/topology/sources/kafka-client.ts';
import { KafkaSource, type KafkaSourceOptions } from '../../src/topology/sources/kafka-source.ts';
import { createTopics } from '../../src/topology/sources/kafka-topics.ts';
import type { PartitionFeed } from '../../src/topology/types.ts';
import { AssignmentRecorder, type GivenRecord } from '../conformance/source.ts';
import { uniqueName } from '../services/integration.ts';

export const clock = new SystemClock();

const nothing = (): void => undefined;
export const silent: KafkaLogger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** Times of a test are its own. */
const FOR_EVER = { 'retention.ms': '-1' };

/** A fresh topic and group on a real broker, and members that end with the test. */
export class KafkaBed {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly group = uniqueName('group');
  readonly producer: Producer;
  readonly #members: KafkaSource[] = [];

  private constructor(kafka: Kafka, topic: string) {
    this.kafka = kafka;
    this.topic = topic;
    this.producer = kafka.producer({ createPartitioner: () => asTold });
  }

  static async open(brokers: string, partitions = 2, settings: Record<string, string> = {}): Promise<KafkaBed> {
    const kafka = kafkaClient({ brokers: brokers.split(','), clientId: 'test' }, silent);
    const bed = new KafkaBed(kafka, uniqueName('events'));
    await createTopics(kafka, [{ name: bed.topic, partitions, settings: { ...FOR_EVER, ...settings } }]);
    await bed.producer.connect();
    return bed;
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.stop()));
    await this.producer.disconnect();
    await this.withAdmin((admin) => admin.deleteTopics({ topics: [this.topic] }));
  }

  async withAdmin<T>(ask: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.kafka.admin();
    await admin.connect();
    return ask(admin).finally(() => admin.disconnect());
  }

  async append(partition: number, records: readonly GivenRecord[], compression = CompressionTypes.None): Promise<void> {
    await this.producer.send({ topic: this.topic, compression, messages: records.map((record) => messageOf(partition, record)) });
  }

  member(options: Partial<KafkaSourceOptions> = {}): KafkaSource {
    const member = new KafkaSource(this.kafka, { groupId: this.group, topics: [this.topic], clock, logger: silent, ...options });
    this.#members.push(member);
    return member;
  }

  /** A member that has joined, and its feed of partition 0. */
  async joined(
    options: Partial<KafkaSourceOptions> = {},
  ): Promise<{ source: KafkaSource; recorder: AssignmentRecorder; feed: PartitionFeed }> {
    const source = this.member(options);
    const recorder = new AssignmentRecorder();
    const assigned = recorder.nextFeeds();
    await source.start(recorder);
    const feed = (await assigned).find(({ partition }) => partition === 0);
    if (!feed) throw new Error('partition 0 was not assigned');
    return { source, recorder, feed };
  }

  async transactional(): Promise<{ begin(): Promise<Transaction>; end(): Promise<void> }> {
    const producer = this.kafka.producer({
      transactionalId: uniqueName('tx'),
      maxInFlightRequests: 1,
      idempotent: true,
      createPartitioner: () => asTold,
    });
    await producer.connect();
    return { begin: () => producer.transaction(), end: () => producer.disconnect() };
  }

  /** Asked again while the broker is still ending the transaction before, which kafkajs takes for an error. */
  sendIn(transaction: Transaction, values: readonly string[]): Promise<unknown> {
    const messages = values.map((value) => ({ partition: 0, key: 'k', value }));
    const send = (left: number): Promise<unknown> =>
      transaction.send({ topic: this.topic, messages }).catch(async (error: unknown) => {
        if (left === 0 || (error as { type?: string }).type !== 'CONCURRENT_TRANSACTIONS') throw error;
        await sleep(50);
        return send(left - 1);
      });
    return send(100);
  }
}

const asTold = ({ message }: { message: Message }): number => message.partition ?? 0;

export const messageOf = (partition: number, { key, value, timestampMs }: GivenRecord): Message => ({
  partition,
  key,
  value,
  timestamp: String(timestampMs),
});

/** Looks every 20 ms for at most `ms`: for what the broker does in its own time. */
export const eventually = async (holds: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> => {
  for (const deadline = clock.now().monotonicMs + ms; clock.now().monotonicMs < deadline; ) {
    if (await holds()) return;
    await clock.sleep(20);
  }
  throw new Error(`not within ${ms} ms`);
};
