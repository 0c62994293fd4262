import { CompressionTypes, type Kafka } from 'kafkajs';
import type { Outgoing } from '../packed-records.ts';
import type { Clock, LogWriter } from '../types.ts';
import type { KafkaLogger } from './kafka-client.ts';
import { closedError, KafkaLane } from './kafka-lane.ts';
import { grouped } from './kafka-lane-items.ts';

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
  compression?: keyof typeof COMPRESSIONS;
  /** kafkajs makes one record batch per partition and request and never splits it; the broker's own limit is 1 MiB. */
  maxBatchBytes?: number;
  /** A topic that is missing for this long, at every attempt, is `topic_missing`. */
  absentAfterMs?: number;
}

/**
 * A lane for each topic, so that one that takes nothing holds up only what has a record for it. What is retried may be there twice;
 * everything written here is idempotent or told apart by its source.
 */
export class KafkaWriter implements LogWriter {
  readonly #kafka: Kafka;
  readonly #options: Required<KafkaWriterOptions>;
  readonly #lanes = new Map<string, KafkaLane>();
  #closed = false;

  constructor(kafka: Kafka, options: KafkaWriterOptions) {
    this.#kafka = kafka;
    this.#options = { compression: 'none', maxBatchBytes: 900_000, absentAfterMs: 30_000, ...options };
  }

  async send(records: readonly Outgoing[]): Promise<void> {
    if (records.length === 0) return;
    if (this.#closed) throw closedError();
    const sent = [...grouped(records, ({ topic }) => topic)].map(([topic, ofTopic]) => this.#laneOf(topic).send(ofTopic));
    // None is still under way when the caller hears of a failure.
    for (const outcome of await Promise.allSettled(sent)) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** Calls that have not ended by then reject. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#lanes.values()].map((lane) => lane.close()));
  }

  #laneOf(topic: string): KafkaLane {
    const known = this.#lanes.get(topic);
    if (known) return known;
    const { compression, ...options } = this.#options;
    const lane = new KafkaLane(this.#kafka, topic, { ...options, compression: COMPRESSIONS[compression] });
    this.#lanes.set(topic, lane);
    return lane;
  }
}
