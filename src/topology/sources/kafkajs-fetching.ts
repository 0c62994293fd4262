/**
 * A fetch as kafkajs 2.2.4 makes it, without what it does around each: forty calls that wait for one another, over a hundred objects,
 * and texts for logs that nobody reads cost more than finding the records. Its connection stays: what is asked for is in its queue,
 * with its timeouts, its throttling and its errors. The bytes are those it would send (https://kafka.apache.org/protocol#The_Messages_Fetch).
 */
import { createRequire } from 'node:module';
import type { AbortedTransaction } from './aborted-transactions.ts';
import { RequestBytes, ResponseBytes, textBytes } from './protocol-bytes.ts';

/** A partition, and the offset from which on it is wanted. */
export interface Wanted {
  topic: string;
  partition: number;
  offset: number;
}

/** As kafkajs's group has it. */
export interface FetchForm {
  maxWaitTime: number;
  minBytes: number;
  maxBytes: number;
  maxBytesPerPartition: number;
  isolationLevel: number;
  rackId: string;
}

/** What the broker says of one partition. */
export interface Answer {
  topic: string;
  partition: number;
  /** 0 for none. */
  errorCode: number;
  lastStableOffset: number;
  aborted: AbortedTransaction[];
  /** -1 for none. */
  preferredReadReplica: number;
  /** The record set, or what of it there was room for. */
  bytes: Buffer;
}

export interface Connection {
  readonly clientId: string;
  readonly socket: { write(bytes: Buffer): void };
  readonly requestQueue: {
    push(request: { entry: object; expectResponse: boolean; requestTimeout: number; sendRequest(): void }): void;
    maybeThrottle(ms: number): void;
  };
  isConnected(): boolean;
  authenticate(): Promise<void>;
  nextCorrelationId(): number;
}

/** The number of the call. */
export const FETCH = 1;
/** From Kafka 2.3 on. */
const LATEST_VERSION = 11;
/** From Kafka 0.11 on: brokers before it know neither transactions nor record batches of today's form. */
const OLDEST_VERSION = 4;
/** In which version a field came; a broker before `clientThrottle` has held back what it asks us to hold back (KIP-219). */
const SINCE = { logStart: 5, session: 7, clientThrottle: 8, epoch: 9, rack: 11 } as const;
const NONE = -1;
/** The broker holds a fetch for as long as it was told, and a little longer. */
const SLACK_MS = 100;
/** At most, of a request: what is neither text nor partition, the same of a topic, and a partition. */
const HEAD_BYTES = 64;
const TOPIC_BYTES = 8;
const PARTITION_BYTES = 28;
/** Of a response: an error and the number of a session, of which there is none. */
const SESSION_BYTES = 6;
const OUT_OF_RANGE = 1;

const require = createRequire(import.meta.url);
const internal = <T>(path: string): T => require(`kafkajs/src/${path}`) as T;
const { createErrorFromCode } = internal<{ createErrorFromCode(code: number): Error }>('protocol/error.js');
const { KafkaJSOffsetOutOfRange, KafkaJSServerDoesNotSupportApiKey } = internal<{
  KafkaJSOffsetOutOfRange: new (error: Error, place: object) => Error;
  KafkaJSServerDoesNotSupportApiKey: new (message: string, call: object) => Error;
}>('errors.js');

/** The version of the call to a broker that knows it up to this one. Throws when that is too old: the broker would only hang up. */
export function versionFor(maxVersion = NONE): number {
  if (maxVersion >= OLDEST_VERSION) return Math.min(LATEST_VERSION, maxVersion);
  const says = `a broker does not know Fetch in version ${OLDEST_VERSION}: Kafka 0.11 or later is needed`;
  throw new KafkaJSServerDoesNotSupportApiKey(says, { apiKey: FETCH, apiName: 'Fetch' });
}

/** Asks for record sets; rejects as kafkajs does. */
export async function fetchSets(connection: Connection, version: number, form: FetchForm, wanted: readonly Wanted[]): Promise<Answer[]> {
  const payload = await new Promise<Buffer>((resolve, reject) => {
    const correlationId = connection.nextCorrelationId();
    const request = fetchRequest({ correlationId, clientId: connection.clientId, version }, form, wanted);
    const entry = {
      apiKey: FETCH,
      apiName: 'Fetch',
      apiVersion: version,
      correlationId,
      resolve: (answer: { payload: Buffer }) => resolve(answer.payload),
      reject,
    };
    const requestTimeout = form.maxWaitTime + SLACK_MS;
    connection.requestQueue.push({ entry, expectResponse: true, requestTimeout, sendRequest: () => connection.socket.write(request) });
  });
  const { throttleMs, answers } = readResponse(payload, version);
  connection.requestQueue.maybeThrottle(throttleMs);
  throwIfRefused(answers);
  return answers;
}

interface RequestHead {
  correlationId: number;
  clientId: string;
  version: number;
}

/** A whole request, its size in front. Partitions of a topic that are one after the other go together. */
export function fetchRequest({ correlationId, clientId, version }: RequestHead, form: FetchForm, wanted: readonly Wanted[]): Buffer {
  const topics = topicsOf(wanted);
  const out = new RequestBytes(mostBytes(clientId, form, topics, wanted.length));
  out.int16(FETCH);
  out.int16(version);
  out.int32(correlationId);
  out.text(clientId);
  out.int32(NONE); // Not a replica.
  out.int32(form.maxWaitTime);
  out.int32(form.minBytes);
  out.int32(form.maxBytes);
  out.int8(form.isolationLevel);
  if (version >= SINCE.session) {
    out.int32(0);
    out.int32(NONE);
  }
  out.int32(topics.length);
  for (const partitions of topics) {
    out.text(partitions[0].topic);
    out.int32(partitions.length);
    for (const { partition, offset } of partitions) {
      out.int32(partition);
      if (version >= SINCE.epoch) out.int32(NONE);
      out.int64(offset);
      if (version >= SINCE.logStart) out.int64(NONE);
      out.int32(form.maxBytesPerPartition);
    }
  }
  if (version >= SINCE.session) out.int32(0); // Of a session nothing is to be forgotten.
  if (version >= SINCE.rack) out.text(form.rackId);
  return out.taken();
}

/** Partitions of a topic that are one after the other, together. */
function topicsOf(wanted: readonly Wanted[]): Wanted[][] {
  const topics: Wanted[][] = [];
  for (const place of wanted) {
    const last = topics.at(-1);
    if (last?.[0].topic === place.topic) last.push(place);
    else topics.push([place]);
  }
  return topics;
}

const mostBytes = (clientId: string, { rackId }: FetchForm, topics: Wanted[][], partitions: number): number =>
  topics.reduce((sum, [{ topic }]) => sum + textBytes(topic) + TOPIC_BYTES, HEAD_BYTES + textBytes(clientId) + textBytes(rackId)) +
  partitions * PARTITION_BYTES;

interface Response {
  /** For how long the broker wants to hear nothing. */
  throttleMs: number;
  answers: Answer[];
}

export function readResponse(payload: Buffer, version: number): Response {
  const from = new ResponseBytes(payload);
  const throttledMs = from.int32();
  const throttleMs = version >= SINCE.clientThrottle ? throttledMs : 0;
  if (version >= SINCE.session) from.skip(SESSION_BYTES);
  const answers: Answer[] = [];
  for (let topics = from.int32(); topics > 0; topics--) {
    const topic = from.text();
    for (let partitions = from.int32(); partitions > 0; partitions--) answers.push(readAnswer(from, topic, version));
  }
  return { throttleMs, answers };
}

function readAnswer(from: ResponseBytes, topic: string, version: number): Answer {
  const partition = from.int32();
  const errorCode = from.int16();
  from.int64(); // The high watermark: of what is not committed nothing is read.
  const lastStableOffset = from.int64();
  if (version >= SINCE.logStart) from.int64();
  const aborted: AbortedTransaction[] = [];
  for (let left = from.int32(); left > 0; left--)
    aborted.push({ producerId: String(from.bigInt64()), firstOffset: String(from.bigInt64()) });
  const preferredReadReplica = version >= SINCE.rack ? from.int32() : NONE;
  return { topic, partition, errorCode, lastStableOffset, aborted, preferredReadReplica, bytes: from.bytes(Math.max(0, from.int32())) };
}

/** The first error there is, as kafkajs knows it. */
function throwIfRefused(answers: readonly Answer[]): void {
  for (const { topic, partition, errorCode } of answers) {
    if (errorCode === 0) continue;
    const error = createErrorFromCode(errorCode);
    throw errorCode === OUT_OF_RANGE ? new KafkaJSOffsetOutOfRange(error, { topic, partition }) : error;
  }
}
