/** Appends record batches as they are: one Produce request each, over a connection of its own. For a broker that stands alone. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { int16, int32 } from './wire-numbers.ts';

const PRODUCE = 0;
/** The oldest that takes every codec. */
const VERSION = 7;
const ACKS_ALL = -1;
const TIMEOUT_MS = 30_000;
/** Unknown topic, no leader, leader elsewhere. */
const PASSING = new Set([3, 5, 6]);
const RETRY_MS = 100;
const PATIENCE = 100;

export class RawProducer {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #correlation = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async open(broker: string): Promise<RawProducer> {
    const [host, port] = broker.split(':');
    const socket = connect({ host, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return new RawProducer(socket);
  }

  /** Resolves when it is acknowledged; rejects with Kafka's number of an error. A topic that was just made is waited for. */
  async append(topic: string, partition: number, batch: Buffer): Promise<void> {
    for (let left = PATIENCE; ; left--) {
      const error = await this.#appendOnce(topic, partition, batch);
      if (error === 0) return;
      if (!PASSING.has(error) || left === 0) throw new Error(`${topic}/${partition}: Kafka answers ${error}`);
      await sleep(RETRY_MS);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  async #appendOnce(topic: string, partition: number, batch: Buffer): Promise<number> {
    const header = Buffer.concat([int16(PRODUCE), int16(VERSION), int32(++this.#correlation), string('raw')]);
    const place = Buffer.concat([int16(-1), int16(ACKS_ALL), int32(TIMEOUT_MS), int32(1), string(topic), int32(1), int32(partition)]);
    const size = header.length + place.length + 4 + batch.length;
    this.#socket.write(Buffer.concat([int32(size), header, place, int32(batch.length), batch]));
    const answer = await this.#answer();
    // Correlation, topics, topic, partitions, partition, then the error.
    return answer.readInt16BE(4 + 4 + 2 + Buffer.byteLength(topic) + 4 + 4);
  }

  async #answer(): Promise<Buffer> {
    for (;;) {
      const size = this.#received.length < 4 ? Number.POSITIVE_INFINITY : this.#received.readInt32BE(0);
      if (this.#received.length >= 4 + size) {
        const answer = this.#received.subarray(4, 4 + size);
        this.#received = this.#received.subarray(4 + size);
        return answer;
      }
      const [chunk] = (await once(this.#socket, 'data')) as [Buffer];
      this.#received = Buffer.concat([this.#received, chunk]);
    }
  }
}

const string = (text: string): Buffer => Buffer.concat([int16(Buffer.byteLength(text)), Buffer.from(text)]);
