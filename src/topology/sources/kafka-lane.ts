import type { Kafka, Message, Producer } from 'kafkajs';
import { asError, StreamError } from '../../errors.ts';
import { type Outgoing, PackedRecords, PackedRun } from '../packed-records.ts';
import type { Clock, OutRecord } from '../types.ts';
import { Absence } from './kafka-absence.ts';
import { type KafkaLogger, rootOf } from './kafka-client.ts';
import { type Call, chunks, grouped, halvesOf, type Item, itemsOf, messageOf, sizeOf, UNSETTLED } from './kafka-lane-items.ts';
import { acknowledged, lost, messageOfBatch } from './kafkajs-encoding.ts';
import { partitionOf } from './murmur2.ts';
import { writeRecordBatch } from './record-batch-writer.ts';
import { requestMemory } from './request-memory.ts';

export interface LaneOptions {
  clock: Clock;
  logger: KafkaLogger;
  /** kafkajs's number of a codec. */
  compression: number;
  maxBatchBytes: number;
  absentAfterMs: number;
}

interface Held {
  behind: Item[];
  /** Of this partition: the others of its topic may be well. */
  absence: Absence;
  done: Promise<void>;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;
/** A partition that was added is heard of before its absence counts as final. */
const METADATA_MS = 10_000;

/**
 * Records for one topic, over a connection of its own: kafkajs knows the partitions of all topics of a producer or of none. One request
 * in flight; what is called for meanwhile goes together into the next, so order is kept and round trips are shared. When the broker
 * refuses a part, each partition is retried alone, with what comes for it queued behind; the others go on.
 */
export class KafkaLane {
  readonly #topic: string;
  readonly #options: LaneOptions;
  readonly #producer: Producer;
  readonly #absence: Absence;
  readonly #closing = new AbortController();
  readonly #held = new Map<number, Held>();
  #waiting: Item[] = [];
  #sending: Promise<void> | null = null;
  #connecting: Promise<void> | null = null;
  /** 0 before the first request. */
  #partitions = 0;
  #withoutKey = 0;
  /** Of a request whose records kafkajs is to place itself; for as long as there is one. */
  readonly #placing = new WeakMap<Message, Item>();

  constructor(kafka: Kafka, topic: string, options: LaneOptions) {
    this.#topic = topic;
    this.#options = options;
    this.#absence = new Absence(options.clock, options.absentAfterMs);
    const createPartitioner =
      () =>
      ({ message, partitionMetadata }: { message: Message; partitionMetadata: readonly unknown[] }): number => {
        this.#partitions = partitionMetadata.length;
        const item = this.#placing.get(message);
        return item === undefined ? (message.partition ?? 0) : this.#place(item);
      };
    // Without retries of its own: kafkajs would append again what was acknowledged.
    this.#producer = kafka.producer({
      allowAutoTopicCreation: false,
      createPartitioner,
      metadataMaxAge: METADATA_MS,
      retry: { retries: 0 },
    });
  }

  /** Resolves when all are acknowledged. When it rejects (`message_too_large`, what cannot mend itself, closed) any part may be written. */
  send(records: readonly Outgoing[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const call: Call = { left: 0, failure: null, resolve, reject };
      for (const record of records) {
        const items = this.#itemsOf(record, call);
        call.left += items.length;
        for (const item of items) this.#waiting.push(item);
      }
      if (call.left === 0) return resolve();
      this.#sending ??= this.#sendAll();
    });
  }

  /** Calls that have not ended by then reject. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#sending;
    await Promise.all([...this.#held.values()].map(({ done }) => done));
    await this.#producer.disconnect();
  }

  #itemsOf(record: Outgoing, call: Call): Item[] {
    const itemOf = (one: OutRecord): Item => ({ record: one, partition: one.partition ?? UNSETTLED, bytes: sizeOf(one), call });
    if (!(record instanceof PackedRecords)) return [itemOf(record)];
    // How many partitions there are is heard with the first request, which kafkajs makes of single records.
    if (this.#partitions === 0) return record.unpack().map(itemOf);
    const { maxBatchBytes } = this.#options;
    return itemsOf(record, call, { partitions: this.#partitions, maxBatchBytes, placeLoose: () => this.#placeLoose() });
  }

  async #sendAll(): Promise<void> {
    // Never to its end before it returns: its promise is stored as #sending after that, and would stay there for ever.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const items = this.#free(this.#waiting);
      this.#waiting = [];
      if (this.#partitions > 0) for (const item of items) this.#place(item);
      for (const chunk of chunks(items, this.#options.maxBatchBytes)) {
        // A partition may have been held up by the chunk before.
        const free = this.#free(chunk);
        if (free.length > 0) await this.#sendChunk(free, null);
      }
    }
    this.#sending = null;
  }

  /** Those of a partition that is held up are queued behind it, the others returned. */
  #free(items: readonly Item[]): readonly Item[] {
    return this.#held.size === 0 ? items : items.filter((item) => !this.#queuedBehind(item));
  }

  #queuedBehind(item: Item): boolean {
    const held = this.#held.get(this.#place(item));
    held?.behind.push(item);
    return held !== undefined;
  }

  /** @param held given when nothing else waits for it: it is tried again for as long as it takes */
  async #sendChunk(chunk: readonly Item[], held: Held | null): Promise<void> {
    const absence = held?.absence ?? this.#absence;
    let left = chunk;
    let packed: Message[] | null = null;
    let retryMs = FIRST_RETRY_MS;
    while (!this.#closing.signal.aborted) {
      try {
        packed ??= await this.#messages(left);
        const missing = await this.#request(left, packed);
        if (missing.length > 0) {
          const sent = left.filter((item) => !missing.includes(item.partition));
          left = left.filter((item) => missing.includes(item.partition));
          packed = null;
          ended(sent, null);
          throw noPartition(this.#topic, missing);
        }
        absence.over();
        acknowledged(packed);
        return ended(left, null);
      } catch (error) {
        if (packed !== null) lost(packed);
        if (isTooLarge(error)) return this.#sendHalves(left, held, error);
        const fatal = absence.fatal(error);
        if (fatal) return ended(left, fatal);
        const { clock, logger } = this.#options;
        logger.warn(
          { err: asError(error), code: 'kafka_unreachable', topic: this.#topic, retryMs },
          'records were not acknowledged, sending again',
        );
        if (held === null && this.#placed(left) && isRefusal(error)) return this.#hold(left);
        await clock.sleep(retryMs, this.#closing.signal);
        retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
      }
    }
    ended(left, closedError());
  }

  /** A topic may accept less than our batches hold. */
  async #sendHalves(chunk: readonly Item[], held: Held | null, cause: unknown): Promise<void> {
    const parts = chunk.length > 1 ? chunk : halvesOf(chunk[0]);
    if (parts === null) {
      const says = `A record of ${chunk[0].bytes} bytes for ${this.#topic} was refused: raise max.message.bytes of that topic.`;
      return ended(chunk, new StreamError('message_too_large', says, { cause }));
    }
    const middle = parts.length >> 1;
    await this.#sendChunk(parts.slice(0, middle), held);
    // The first half may have been held up.
    const rest = held ? parts.slice(middle) : this.#free(parts.slice(middle));
    if (rest.length > 0) await this.#sendChunk(rest, held);
  }

  /** Every partition is settled, also of what comes. */
  #placed(chunk: readonly Item[]): boolean {
    return this.#partitions > 0 && chunk.every(({ partition }) => partition !== UNSETTLED);
  }

  #hold(chunk: readonly Item[]): void {
    for (const [partition, items] of grouped(chunk, ({ partition }) => partition)) {
      const { clock, absentAfterMs } = this.#options;
      const held: Held = { behind: items, absence: new Absence(clock, absentAfterMs), done: Promise.resolve() };
      this.#held.set(partition, held);
      held.done = this.#sendHeld(partition, held);
    }
  }

  async #sendHeld(partition: number, held: Held): Promise<void> {
    await this.#options.clock.sleep(FIRST_RETRY_MS, this.#closing.signal);
    while (held.behind.length > 0) {
      const items = held.behind;
      held.behind = [];
      for (const chunk of chunks(items, this.#options.maxBatchBytes)) await this.#sendChunk(chunk, held);
    }
    this.#held.delete(partition);
  }

  /** Kafka's own: murmur2 of the key over all partitions; without a key one after the other. */
  #place(item: Item): number {
    const { partition, record } = item;
    if (partition !== UNSETTLED || record instanceof PackedRun) return partition;
    const { key } = record;
    item.partition = key === null ? this.#placeLoose() : partitionOf(key, 0, key.length, this.#partitions);
    return item.partition;
  }

  #placeLoose(): number {
    return this.#withoutKey++ % this.#partitions;
  }

  /** What kafkajs is given for these records, at every attempt the same: one message a partition, which stands for all that goes there. */
  #messages(chunk: readonly Item[]): Promise<Message[]> {
    if (this.#partitions === 0) {
      const messages: Message[] = [];
      for (const item of chunk) {
        if (item.record instanceof PackedRun) continue;
        const message = messageOf(item.record, item.partition);
        this.#placing.set(message, item);
        messages.push(message);
      }
      return Promise.resolve(messages);
    }
    const { compression: codec, clock } = this.#options;
    const form = { timestampMs: clock.now().wallMs, codec };
    const batches = [...grouped(chunk, (item) => this.#place(item))].map(async ([partition, items]) => {
      const records = items.map(({ record }) => record);
      return messageOfBatch(partition, await writeRecordBatch(records, form, requestMemory));
    });
    return Promise.all(batches);
  }

  /** Returns the partitions that were not sent: kafkajs leaves out, without a word, what its metadata does not have. */
  async #request(chunk: readonly Item[], messages: Message[]): Promise<number[]> {
    this.#connecting ??= this.#producer.connect();
    await this.#connecting.catch((error: unknown) => {
      this.#connecting = null;
      throw error;
    });
    const { compression } = this.#options;
    const answers = await this.#producer.sendBatch({ acks: -1, compression, topicMessages: [{ topic: this.#topic, messages }] });
    const answered = new Set(answers.map(({ partition }) => partition));
    return [...new Set(chunk.map(({ partition }) => partition))].filter((partition) => !answered.has(partition));
  }
}

export const closedError = (): Error => new StreamError('kafka_unreachable', 'The writer was closed before all records were acknowledged.');

const noPartition = (topic: string, missing: readonly number[]): Error =>
  Object.assign(new Error(`there is no ${missing.map((partition) => `${topic}/${partition}`).join(', ')}`), {
    type: 'UNKNOWN_TOPIC_OR_PARTITION',
  });

const ended = (chunk: readonly Item[], failure: Error | null): void => {
  for (const { call } of chunk) {
    call.failure ??= failure;
    if (--call.left > 0) continue;
    if (call.failure === null) call.resolve();
    else call.reject(call.failure);
  }
};

const isTooLarge = (error: unknown): boolean => ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'].includes(rootOf(error).type ?? '');

/** A broker has answered: it may concern one partition and not the others. */
const isRefusal = (error: unknown): boolean => rootOf(error).type !== undefined;
