/**
 * What comes out of a fetch of kafkajs 2.2.4: record sets, checked and unpacked, in place of messages. Messages are made of them
 * where somebody wants messages: kafkajs's own consumers, and ours where its decoding is asked for (KAFKA_DECODER).
 */
import { createRequire } from 'node:module';
import { DecoderMemory } from '../../operators/decoder-memory.ts';
import { type AbortedTransaction, visibleBatches } from './aborted-transactions.ts';
import { replaceNumbers } from './kafkajs-numbers.ts';
import { RecordColumns } from './record-columns.ts';
import {
  ATTRIBUTES_AT,
  CODEC_MASK,
  checkRecords,
  type Fault,
  faultAt,
  HEADER_BYTES,
  LENGTH_AT,
  memoriesOf,
  NO_SET,
  type OpenBatch,
  type OpenSet,
  openRecordSet,
  readRecords,
  recordsIn,
  UNCOUNTED_BYTES,
} from './record-set.ts';
import { once, responses } from './response-pool.ts';

export interface Message {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  isControlRecord: boolean;
  batchContext?: { producerId: string; inTransaction: boolean };
}

interface Decoder {
  readInt32(): number;
  canReadBytes(length: number): boolean;
  readBytes(length: number): Buffer;
}

const require = createRequire(import.meta.url);
const internal = <T>(path: string): T => require(`kafkajs/src/${path}`) as T;

/** By the list of messages, still empty, that stands for the set in a response. */
const sets = new WeakMap<Message[], OpenSet>();

/** What a fetch brought in place of these messages. */
export const setOf = (messages: Message[]): OpenSet => sets.get(messages) ?? NO_SET;

/** Replaces `decodeMessages`, before the first fetch of the process: that is when kafkajs's response decoders load it. */
export const replaceDecoding = (): void => {
  replaceNumbers();
  const path = require.resolve('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js');
  internal('protocol/requests/fetch/v4/decodeMessages.js');
  const module = require.cache[path];
  if (!module) throw new Error('kafkajs was not loaded as expected');
  module.exports = async (decoder: Decoder): Promise<Message[]> => {
    const messages: Message[] = [];
    const size = decoder.readInt32();
    if (size > 0 && decoder.canReadBytes(size)) sets.set(messages, await openRecordSet(decoder.readBytes(size)));
    return messages;
  };
};

type DecodeBatch = (decoder: object) => Promise<{ records: Message[] }>;

/** Decodes a set as kafkajs does, one batch after the other; the set's fault is then the first batch that cannot be. */
export async function decodeSet(set: OpenSet): Promise<Message[]> {
  const lists: Message[][] = [];
  for (const batch of set.batches) {
    try {
      lists.push(await messagesOf(batch));
    } catch (error) {
      cutBefore(set, faultAt(batch.baseOffset, error));
      break;
    }
  }
  dropUnpacked(set);
  return lists.length === 1 ? lists[0] : lists.flat();
}

/** Messages are made of copies of what was unpacked. */
function dropUnpacked({ batches }: OpenSet): void {
  const unpacked = memoriesOf(batches);
  for (const { fetched } of batches) unpacked.delete(fetched.buffer);
  for (const memory of unpacked) responses.hold(memory)();
}

async function messagesOf(batch: OpenBatch): Promise<Message[]> {
  const DecoderOf = internal<new (bytes: Buffer) => object>('protocol/decoder.js');
  const decodeBatch = internal<DecodeBatch>('protocol/recordBatch/v0/decoder.js');
  // It reads past what a record says of its own length.
  checkRecords(batch);
  return (await decodeBatch(new DecoderOf(uncompressed(batch)))).records;
}

/** What `columnsInPlace` says of a set, by kafkajs's decoding. Messages of one batch at a time, so that they die young. */
export async function columnsByKafkajs(set: OpenSet, fromOffset: number, aborted: readonly AbortedTransaction[]): Promise<RecordColumns> {
  const { visible, fault: unclear } = visibleBatches(set.batches, aborted);
  const records = ownColumns(countIn(visible));
  let fault = unclear;
  for (const batch of visible) {
    try {
      addMessages(await messagesOf(batch), fromOffset, records);
    } catch (error) {
      fault = faultAt(batch.baseOffset, error);
      break;
    }
  }
  if (fault) cutBefore(set, fault);
  return records;
}

function addMessages(messages: readonly Message[], fromOffset: number, to: RecordColumns): void {
  let base: ArrayBufferLike | null = null;
  for (const { offset, timestamp, key, value } of messages) {
    const at = Number(offset);
    if (at < fromOffset) continue;
    const within: ArrayBufferLike | null = (value ?? key)?.buffer ?? base;
    if (within !== null && within !== base) to.lieIn(new Uint8Array(within));
    base = within;
    to.add(at, timestamp === '-1' ? Number.NaN : Number(timestamp));
    if (key) to.key(key.byteOffset, key.byteOffset + key.length);
    if (value) to.value(value.byteOffset, value.byteOffset + value.length);
  }
}

/** What a reader of committed records sees of a set, from an offset on; the set's fault is then the first batch that cannot be read. */
export function columnsInPlace(set: OpenSet, fromOffset: number, aborted: readonly AbortedTransaction[]): RecordColumns {
  const { visible, fault: unclear } = visibleBatches(set.batches, aborted);
  const records = emptyColumns(visible);
  const fault = readRecords(visible, fromOffset, records) ?? unclear;
  if (fault) cutBefore(set, fault);
  return records;
}

/** Columns whose records have been read, to be filled again. */
const spare: RecordColumns[] = [];
const MOST_SPARE = 16;
const MOST_SPARE_RECORDS = 1 << 16;

const ownColumns = (capacity: number): RecordColumns => spare.pop() ?? new RecordColumns(capacity);

/** Where the records lie, if compiled code sees them there: it can fill them then. */
function emptyColumns(batches: readonly OpenBatch[]): RecordColumns {
  const capacity = countIn(batches);
  const room = batches.length === 0 ? null : DecoderMemory.of(batches[0].bytes.buffer)?.roomFor(capacity);
  return room ? new RecordColumns(capacity, room) : ownColumns(capacity);
}

const countIn = (batches: readonly OpenBatch[]): number => batches.reduce((sum, batch) => sum + recordsIn(batch), 0);

/** Gives the memory of a set and of its columns away, for others to use: to be called when nobody reads there any more. */
export function releaseOf({ batches }: OpenSet, records: RecordColumns): () => void {
  const drops = [...memoriesOf(batches)].map((memory) => responses.hold(memory));
  return once(() => {
    for (const drop of drops) drop();
    records.cutTo(0);
    if (!records.isGuest && spare.length < MOST_SPARE && records.capacity <= MOST_SPARE_RECORDS) spare.push(records);
  });
}

/** The set without the batch that the fault is about, and what follows it. */
function cutBefore(set: OpenSet, fault: Fault): void {
  set.batches = set.batches.filter(({ baseOffset }) => baseOffset < fault.offset);
  set.nextOffset = (set.batches.at(-1)?.lastOffset ?? -2) + 1;
  set.fault = fault;
}

/** The batch as it was before compression, header and all. */
function uncompressed({ fetched, bytes, start, end }: OpenBatch): Buffer {
  if ((fetched.readInt16BE(ATTRIBUTES_AT) & CODEC_MASK) === 0) return fetched;
  const plain = Buffer.concat([fetched.subarray(0, HEADER_BYTES), bytes.subarray(start, end)]);
  plain.writeInt16BE(fetched.readInt16BE(ATTRIBUTES_AT) & ~CODEC_MASK, ATTRIBUTES_AT);
  plain.writeInt32BE(plain.length - UNCOUNTED_BYTES, LENGTH_AT);
  return plain;
}
