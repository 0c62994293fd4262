/**
 * Record sets as they lie in a fetch, decoded in place of kafkajs 2.2.4: one batch after the other, so that one that cannot be read
 * is told with its offset instead of ending the membership, and so that what a small fetch unpacks to stays bounded.
 */
import { createRequire } from 'node:module';
import { asError, StreamError } from '../../errors.ts';

export interface Message {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  isControlRecord: boolean;
  batchContext?: { producerId: string; inTransaction: boolean };
}

/** A batch that cannot be read. */
export interface Fault {
  /** Where it begins. */
  offset: number;
  cause: Error;
}

export interface DecodedSet {
  messages: Message[];
  /** After the last whole batch; -1 when there was none. */
  nextOffset: number;
  /** Decompressed. */
  byteLength: number;
  /** After the messages; null when all could be read. */
  fault: Fault | null;
}

interface Decoder {
  readInt32(): number;
  canReadBytes(length: number): boolean;
  readBytes(length: number): Buffer;
}

type Decompress = (bytes: Buffer) => Promise<Buffer>;

const require = createRequire(import.meta.url);
const internal = <T>(path: string): T => require(`kafkajs/src/${path}`) as T;

const HEADER_BYTES = 61;
/** Of the header, what its length field does not count. */
const UNCOUNTED_BYTES = 12;
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const ATTRIBUTES_AT = 21;
const LAST_DELTA_AT = 23;
const COUNT_AT = 57;
const CODEC_MASK = 7;

/** A batch that unpacks to more is refused: no producer makes one, and it would take the process with it. */
export const MAX_BATCH_BYTES = 1 << 28;
/** Once a set has unpacked to this much, the rest of it is left for the next fetch. */
const ENOUGH_BYTES = 8 << 20;

/** Replaces `decodeMessages`, before the first fetch of the process: that is when kafkajs's response decoders load it. */
export const replaceDecoding = (decoded: (set: DecodedSet) => void): void => {
  const path = require.resolve('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js');
  internal('protocol/requests/fetch/v4/decodeMessages.js');
  const module = require.cache[path];
  if (!module) throw new Error('kafkajs was not loaded as expected');
  const decode = recordSetDecoder();
  module.exports = async (decoder: Decoder): Promise<Message[]> => {
    const size = decoder.readInt32();
    if (size <= 0 || !decoder.canReadBytes(size)) return [];
    const set = await decode(decoder.readBytes(size));
    decoded(set);
    return set.messages;
  };
};

/** The fault by its name, for whoever reads that partition. */
export const unreadable = (topic: string, partition: number, { offset, cause }: Fault): StreamError =>
  new StreamError(
    'batch_unreadable',
    `${topic}/${partition}: the batch at offset ${offset} cannot be read (${cause.message}): it is damaged, or compressed in a way this program does not know.`,
    { cause },
  );

const recordSetDecoder = (): ((bytes: Buffer) => Promise<DecodedSet>) => {
  const DecoderOf = internal<new (bytes: Buffer) => Decoder>('protocol/decoder.js');
  const decodeBatch = internal<(decoder: Decoder) => Promise<{ records: Message[] }>>('protocol/recordBatch/v0/decoder.js');
  const decodeOld = internal<(decoder: Decoder, size: number) => Promise<Message[]>>('protocol/messageSet/decoder.js');

  const oldSet = async (bytes: Buffer): Promise<DecodedSet> => {
    try {
      const messages = await decodeOld(new DecoderOf(bytes), bytes.length);
      const last = messages.at(-1);
      return { messages, nextOffset: last ? Number(last.offset) + 1 : -1, byteLength: bytes.length, fault: null };
    } catch (error) {
      const fault = { offset: Number(bytes.readBigInt64BE(0)), cause: asError(error) };
      return { messages: [], nextOffset: -1, byteLength: 0, fault };
    }
  };

  return async (bytes) => {
    if (bytes.length > MAGIC_AT && bytes[MAGIC_AT] < 2) return oldSet(bytes);
    const lists: Message[][] = [];
    const set: DecodedSet = { messages: [], nextOffset: -1, byteLength: 0, fault: null };
    for (let at = 0; bytes.length - at >= HEADER_BYTES && set.byteLength < ENOUGH_BYTES; ) {
      const length = bytes.readInt32BE(at + LENGTH_AT);
      const end = at + UNCOUNTED_BYTES + length;
      if (end > bytes.length) break; // Cut by maxBytes: it comes whole with the next fetch.
      const first = Number(bytes.readBigInt64BE(at));
      try {
        const batch = await unpacked(bytes.subarray(at, end));
        lists.push((await decodeBatch(new DecoderOf(batch))).records);
        set.byteLength += batch.length;
      } catch (error) {
        set.fault = { offset: first, cause: asError(error) };
        break;
      }
      set.nextOffset = first + bytes.readInt32BE(at + LAST_DELTA_AT) + 1;
      at = end;
    }
    set.messages = lists.length === 1 ? lists[0] : lists.flat();
    return set;
  };
};

/** The batch as it was before compression. */
const unpacked = async (batch: Buffer): Promise<Buffer> => {
  if (batch.length < HEADER_BYTES) throw new Error(`it says that it is ${batch.length} bytes long`);
  if (batch[MAGIC_AT] !== 2) throw new Error(`its format is ${batch[MAGIC_AT]}`);
  const attributes = batch.readInt16BE(ATTRIBUTES_AT);
  const codec = attributes & CODEC_MASK;
  if (codec === 0) return batch;
  const { Codecs } = internal<{ Codecs: Record<number, () => { decompress: Decompress }> }>('protocol/message/compression/index.js');
  const codecOf = Codecs[codec];
  if (codecOf === undefined) throw new Error(`its compression is ${codec}`);
  const empty = batch.readInt32BE(COUNT_AT) <= 0;
  const records = empty ? Buffer.alloc(0) : await codecOf().decompress(batch.subarray(HEADER_BYTES));
  if (records.length > MAX_BATCH_BYTES) throw new Error(`it unpacks to ${records.length} bytes`);
  const plain = Buffer.concat([batch.subarray(0, HEADER_BYTES), records]);
  plain.writeInt16BE(attributes & ~CODEC_MASK, ATTRIBUTES_AT);
  plain.writeInt32BE(plain.length - UNCOUNTED_BYTES, LENGTH_AT);
  return plain;
};
