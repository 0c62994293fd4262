/**
 * kafkajs 2.2.4, pinned and unmaintained: what its public side gets wrong for an exact consumer is put right here, at some of
 * its internal functions. A consumer that carries an observer (see kafkajs-groups.ts) is changed; others only gain.
 *
 * - Idle timers (#1556): the request queue re-arms a timer per connection for ever, about 1 ms apart; now only when there is a reason.
 * - Aborted transactions: the stock filter takes at most one transaction a record off the broker's list and expects it sorted by first
 *   offset, so a fetch that begins inside two of them lets aborted records through; it takes any record with key 00000000 for a marker.
 * - Positions: the stock batch does not know where a record batch ends whose last records were compacted away, stands still for
 *   ever at one that is empty, and crashes on more than ~125,000 records at once (`push(...)`).
 * - Batches that cannot be read: one ended the membership, with all its partitions, again after every join; checksums were not
 *   looked at (see record-set.ts).
 * - Messages: an object, two buffers and a text a record cost three times what all the rest of a fetch does. An observer gets records
 *   where they lie; kafkajs's own decoding stays as a second way (KAFKA_DECODER).
 * - Fetching: around each fetch as much work as finding its records is (see kafkajs-fetching.ts); and where a fetch goes on is told by
 *   seeks, and that it does by pauses, of which each fetch makes sense anew. An observer says what it wants.
 * - Receiving: twice the memory of what comes in, and garbage collections for it (see kafkajs-network.ts).
 * - Producing: nine microseconds a record, and the square of the records of one partition; batches that are made already pass through
 *   as they are (see kafkajs-encoding.ts).
 * - Ends: only the high watermark is told. A reader of committed records ends at the last stable offset.
 * - Rebalances: no hook before a join (only events, not on every path); `isStale()` ignores rebalances; `commitOffsets` uses the
 *   generation of the moment it is sent, retries included (#1046): here each assignment keeps its own OffsetManager, which is bound to one.
 *   There is a fetcher for each broker, and each that sees a reason to join joins, though another does already; here they join together.
 * - An offset out of range is replaced by the first or the last silently, and committed, also when only a replica that is behind has
 *   not got it; here the leader is asked, and then the observer is told.
 *
 * Left as they are: eager rebalances only, no KIP-447 (nothing here relies on Kafka's transactions), no background heartbeat (the
 * fetch loop never waits long, so it heartbeats between fetches).
 */
import { createRequire } from 'node:module';
import type { AbortedTransaction } from './aborted-transactions.ts';
import { decodeSet, type Message, replaceDecoding, setOf } from './kafkajs-decoding.ts';
import { replaceEncoding } from './kafkajs-encoding.ts';
import { observeGroups } from './kafkajs-groups.ts';
import { replaceReceiving } from './kafkajs-network.ts';
import { type OpenSet, unreadable } from './record-set.ts';

const VERSION = '2.2.4';

/** Reading without a group. */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findBroker(node: { nodeId: number }): Promise<Broker>;
  fetchTopicsOffset(
    topics: { topic: string; partitions: { partition: number }[]; fromBeginning: boolean }[],
  ): Promise<{ partitions: { offset: string }[] }[]>;
}

export interface Broker {
  fetch(request: {
    isolationLevel: number;
    maxWaitTime: number;
    maxBytes: number;
    topics: { topic: string; partitions: { partition: number; fetchOffset: number; maxBytes: number }[] }[];
  }): Promise<{ responses: { partitions: FetchedMessages[] }[] }>;
}

export interface FetchedMessages {
  highWatermark: string;
  messages: { offset: string; key: Buffer | null; value: Buffer | null; isControlRecord: boolean }[];
}

interface PartitionResponse {
  abortedTransactions?: AbortedTransaction[] | null;
  messages: Message[];
}

interface Batch {
  topic: string;
  partition: number;
  rawMessages: Message[];
}

const require = createRequire(import.meta.url);
const internal = <T>(path: string): T => require(`kafkajs/src/${path}`) as T;
/** Of what messages were made. */
const sets = new WeakMap<Message[], OpenSet>();
let installed = false;

/** Once a process, before the first consumer. Throws when another version of kafkajs was installed. */
export const repairKafkajs = (): void => {
  if (installed) return;
  const { version } = require('kafkajs/package.json') as { version: string };
  if (version !== VERSION) throw new Error(`kafkajs ${version} is installed, but its repairs are for ${VERSION}: npm ci`);
  installed = true;
  repairTimers();
  replaceReceiving();
  replaceEncoding();
  replaceDecoding();
  repairFetch();
  refuseUnreadable();
  observeGroups();
};

const repairTimers = (): void => {
  const { prototype } = internal<{
    prototype: { scheduleCheckPendingRequests(): void; pending: unknown[]; throttledUntil: number };
  }>('network/requestQueue/index.js');
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function () {
    // What is pending waits for a reply, which checks again by itself, or for a throttle to end.
    if (this.pending.length > 0) schedule.call(this);
  };
};

const repairFetch = (): void => {
  const { prototype } = internal<{
    prototype: { fetch(request: object): Promise<{ responses: { partitions: PartitionResponse[] }[] }> };
  }>('broker/index.js');
  const fetch = prototype.fetch;
  prototype.fetch = async function (request) {
    const response = await fetch.call(this, request);
    for (const { partitions } of response.responses) {
      for (const partition of partitions) {
        const set = setOf(partition.messages);
        const aborted = partition.abortedTransactions ?? [];
        partition.abortedTransactions = [];
        partition.messages = await decodeSet(set);
        hideAborted(partition.messages, aborted);
        sets.set(partition.messages, set);
      }
    }
    return response;
  };
};

/** Marks records of aborted transactions as control records, which kafkajs leaves out but counts for the position. */
const hideAborted = (messages: Message[], transactions: readonly AbortedTransaction[]): void => {
  if (transactions.length === 0) return;
  const coming = transactions
    .map(({ producerId, firstOffset }) => ({ producerId, first: Number(firstOffset) }))
    .sort((a, b) => a.first - b.first);
  const aborting = new Set<string>();
  for (const message of messages) {
    const offset = Number(message.offset);
    while (coming.length > 0 && coming[0].first <= offset) aborting.add(coming.shift()?.producerId ?? '');
    const { producerId, inTransaction } = message.batchContext ?? { producerId: '', inTransaction: false };
    if (message.isControlRecord) {
      if (isAbortMarker(message.key)) aborting.delete(producerId);
    } else if (inTransaction && aborting.has(producerId)) {
      message.isControlRecord = true;
    }
  }
};

/** Key of a control record: version, then type; type 0 is abort. */
const isAbortMarker = (key: Buffer | null): boolean => key !== null && key.length >= 4 && key.readInt16BE(2) === 0;

/** A consumer without an observer ends at a batch that cannot be read. */
const refuseUnreadable = (): void => {
  const { prototype } = internal<{ prototype: { fetch(nodeId: string): Promise<Batch[]> } }>('consumer/consumerGroup.js');
  const fetch = prototype.fetch;
  prototype.fetch = async function (nodeId) {
    const batches = await fetch.call(this, nodeId);
    for (const { topic, partition, rawMessages } of batches) throwIfUnreadable(rawMessages, topic, partition);
    return batches;
  };
};

/** Throws `batch_unreadable`. */
export const throwIfUnreadable = (messages: object[], topic: string, partition: number): void => {
  const fault = sets.get(messages as Message[])?.fault;
  if (fault) throw unreadable(topic, partition, fault);
};

/** Where the next fetch goes on after one that brought these messages; -1 when it brought no whole batch. */
export const nextOffsetAfter = (messages: object[]): number => sets.get(messages as Message[])?.nextOffset ?? -1;

/** A connection pool of its own to the client's cluster, not yet connected. */
export const clusterOf = (kafka: object): Cluster => {
  const create = Object.getOwnPropertySymbols(kafka).find((symbol) => symbol.description === 'private:Kafka:createCluster');
  if (!create) throw new Error('kafkajs was not loaded as expected');
  return (kafka as Record<symbol, (options: object) => Cluster>)[create]({ allowAutoTopicCreation: false, metadataMaxAge: 300_000 });
};
