/** kafkajs as it comes, for what stands outside: producing exact records and reading side outputs. Shares nothing with src. */
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs, { type Kafka, type Message, type Producer } from 'kafkajs';
import snappy from 'kafkajs-snappy';
import { compressFrame, decompressFrame } from 'lz4-napi';
import type { Stream } from '../../src/topology/types.ts';

const { CompressionCodecs, CompressionTypes, logLevel } = kafkajs;
const compressZstd = promisify(zstdCompress);
const decompressZstd = promisify(zstdDecompress);

CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder: { buffer: Buffer }) => compressFrame(encoder.buffer),
  decompress: (bytes: Buffer) => decompressFrame(bytes),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: (encoder: { buffer: Buffer }) => compressZstd(encoder.buffer),
  decompress: (bytes: Buffer) => decompressZstd(bytes),
});

export const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const;
export type Codec = keyof typeof CODECS;

export const openKafka = (brokers: string): Kafka =>
  new kafkajs.Kafka({ brokers: brokers.split(','), clientId: 'judge', logLevel: logLevel.NOTHING });

/** A record to its place: streams become topics. */
export interface PlacedRecord {
  topic: Stream;
  partition: number;
  key: Uint8Array | null;
  value: Uint8Array | null;
  timestampMs: number;
}

/** Appends records to their partitions in the order given, each once. */
export class ExactProducer {
  readonly #producer: Producer;
  readonly #topicOf: (stream: Stream) => string;

  private constructor(producer: Producer, topicOf: (stream: Stream) => string) {
    this.#producer = producer;
    this.#topicOf = topicOf;
  }

  static async open(kafka: Kafka, topicOf: (stream: Stream) => string): Promise<ExactProducer> {
    const createPartitioner = () => asTold;
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner, allowAutoTopicCreation: false });
    await producer.connect();
    return new ExactProducer(producer, topicOf);
  }

  async send(records: readonly PlacedRecord[], codec: Codec = 'none'): Promise<void> {
    const byTopic = new Map<Stream, Message[]>();
    for (const record of records) {
      const messages = byTopic.get(record.topic) ?? [];
      byTopic.set(record.topic, messages);
      messages.push(messageOf(record));
    }
    const topicMessages = [...byTopic].map(([stream, messages]) => ({ topic: this.#topicOf(stream), messages }));
    if (topicMessages.length > 0) await this.#producer.sendBatch({ topicMessages, compression: CODECS[codec], acks: -1 });
  }

  close(): Promise<void> {
    return this.#producer.disconnect();
  }
}

const asTold = ({ message }: { message: Message }): number => message.partition ?? 0;
const bufferOf = (bytes: Uint8Array | null): Buffer | null =>
  bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const messageOf = ({ partition, key, value, timestampMs }: PlacedRecord): Message => ({
  partition,
  key: bufferOf(key),
  value: bufferOf(value),
  timestamp: String(timestampMs),
});
