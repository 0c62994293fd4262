/** Record batches that are made already go through kafkajs 2.2.4's producer as they are: one message stands for each. */
import { createRequire } from 'node:module';
import { crc32c } from '@node-rs/crc32';
import type { Message } from 'kafkajs';
import { requestMemory, reuse } from './request-memory.ts';

interface Encoder {
  buf: Buffer;
  offset: number;
  writeEncoder(payload: Encoder): Encoder;
  writeString(text: string | null): Encoder;
  writeInt16(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeBuffer(bytes: Buffer): Encoder;
}

interface ProduceArguments {
  acks: number;
  timeout: number;
  transactionalId?: string | null;
  topicData: readonly { topic: string; partitions: readonly { partition: number; messages: readonly Message[] }[] }[];
}

type EncoderClass = { new (bytes: number): Encoder; prototype: Encoder };
type MakeRequest = (given: ProduceArguments) => { encode(): Promise<Encoder> };

const require = createRequire(import.meta.url);
const batches = new WeakMap<Message, Buffer>();

/** Of the request of the last attempt, by the first of its messages. */
const requests = new WeakMap<Message, Buffer>();

/** Of a payload, room before it in the same memory: kafkajs puts two headers in front, the client's name in one, and copies all at each. */
const HEADROOM_BYTES = 1024;
const rooms = new WeakMap<Encoder, { memory: Buffer; start: number }>();
/** What kafkajs writes around the batches: per partition 8 bytes, and a few for the rest. */
const FRAME_BYTES = 64;

/** Stands for a whole record batch: the only message of its partition in a request. */
export const messageOfBatch = (partition: number, batch: Buffer): Message => {
  const message = { partition, key: null, value: null };
  batches.set(message, batch);
  return message;
};

/** The batch that a message stands for; undefined for one that is only itself. */
export const batchBehind = (message: Message): Buffer | undefined => batches.get(message);

/** An attempt to send these failed: its requests may still lie in a socket's queue. */
export const lost = (messages: readonly Message[]): void => {
  for (const message of messages) requests.delete(message);
};

/** These were acknowledged: memory of their batches, and of the requests in which they went unless these were lost, is for others. */
export const acknowledged = (messages: readonly Message[]): void => {
  for (const message of messages) {
    for (const memories of [batches, requests]) {
      const memory = memories.get(message);
      if (memory !== undefined) reuse(memory);
      memories.delete(message);
    }
  }
};

/**
 * Before the first produce request of the process: later versions of the request are made of this one, when first asked for. What
 * kafkajs encodes itself gets its checksum from the processor's instruction; before anything of its record batches is loaded.
 */
export const replaceEncoding = (): void => {
  replaceChecksum();
  const path = require.resolve('kafkajs/src/protocol/requests/produce/v3/request.js');
  const stock = require(path) as MakeRequest;
  const module = require.cache[path];
  if (!module) throw new Error('kafkajs was not loaded as expected');
  const EncoderOf = require('kafkajs/src/protocol/encoder.js') as EncoderClass;
  replaceJoining(EncoderOf);
  module.exports = (given: ProduceArguments) => {
    const request = stock(given);
    const isOfBatches = given.topicData.every(({ partitions }) => partitions.every(({ messages: [first] }) => batches.has(first)));
    return isOfBatches ? { ...request, encode: async () => encoded(new EncoderOf(1), given) } : request;
  };
};

function replaceChecksum(): void {
  const path = require.resolve('kafkajs/src/protocol/recordBatch/crc32C/index.js');
  require(path);
  const module = require.cache[path];
  if (!module) throw new Error('kafkajs was not loaded as expected');
  module.exports = (bytes: Buffer) => crc32c(bytes);
}

/** What is to go in front of a payload that has room before it goes there. */
function replaceJoining({ prototype }: EncoderClass): void {
  const stock = prototype.writeEncoder;
  prototype.writeEncoder = function (payload) {
    const room = rooms.get(payload);
    // One that has outgrown its memory lies elsewhere.
    if (room === undefined || payload.buf.buffer !== room.memory.buffer || this.offset > room.start) return stock.call(this, payload);
    const { memory } = room;
    const start = room.start - this.offset;
    this.buf.copy(memory, start, 0, this.offset);
    rooms.delete(payload);
    rooms.set(this, { memory, start });
    this.offset += payload.offset;
    this.buf = memory.subarray(start, start + this.offset);
    return this;
  };
}

function encoded(to: Encoder, { acks, timeout, transactionalId = null, topicData }: ProduceArguments): Encoder {
  const found = topicData.flatMap(({ partitions }) => partitions.map(({ messages: [first] }) => batches.get(first) as Buffer));
  const bytes = found.reduce((sum, batch) => sum + batch.length + FRAME_BYTES, FRAME_BYTES);
  const memory = requestMemory(HEADROOM_BYTES + bytes);
  requests.set(topicData[0].partitions[0].messages[0], memory);
  to.buf = memory.subarray(HEADROOM_BYTES);
  rooms.set(to, { memory, start: HEADROOM_BYTES });
  to.writeString(transactionalId).writeInt16(acks).writeInt32(timeout).writeInt32(topicData.length);
  for (const { topic, partitions } of topicData) {
    to.writeString(topic).writeInt32(partitions.length);
    for (const { partition, messages } of partitions) {
      const batch = batches.get(messages[0]) as Buffer;
      to.writeInt32(partition).writeInt32(batch.length).writeBuffer(batch);
    }
  }
  return to;
}
