/**
 * kafkajs 2.2.4, pinned and unmaintained: what its public side gets wrong for an exact consumer is put right here, at five of
 * its internal functions. A consumer that carries an observer (see `observed`) is changed; others only gain.
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
 * - Receiving: twice the memory of what comes in, and garbage collections for it (see kafkajs-network.ts).
 * - Producing: nine microseconds a record, and the square of the records of one partition; batches that are made already pass through
 *   as they are (see kafkajs-encoding.ts).
 * - Ends: only the high watermark is told. A reader of committed records ends at the last stable offset.
 * - Rebalances: no hook before a join (only events, not on every path); `isStale()` ignores rebalances; `commitOffsets` uses the
 *   generation of the moment it is sent, retries included (#1046): here each assignment keeps its own OffsetManager, which is bound to one.
 * - An offset out of range is replaced by the first or the last silently, and committed; here the observer is told.
 *
 * Left as they are: eager rebalances only, no KIP-447 (nothing here relies on Kafka's transactions), no background heartbeat (the
 * fetch loop never waits long, so it heartbeats between fetches).
 */
import { createRequire } from 'node:module';
import type { PartitionAssigner } from 'kafkajs';
import type { AbortedTransaction } from './aborted-transactions.ts';
import { columnsByKafkajs, columnsInPlace, decodeSet, type Message, releaseOf, replaceDecoding, setOf } from './kafkajs-decoding.ts';
import { replaceEncoding } from './kafkajs-encoding.ts';
import { replaceReceiving, useAgain } from './kafkajs-network.ts';
import type { RecordColumns } from './record-columns.ts';
import { type Fault, NO_SET, type OpenSet, unreadable } from './record-set.ts';

const VERSION = '2.2.4';

/** What one fetch said about one partition, records that must not be seen already left out. */
export interface FetchedPartition {
  topic: string;
  partition: number;
  fetchOffset: number;
  /** Equals `fetchOffset` when nothing came. */
  nextOffset: number;
  lastStableOffset: number;
  /** Decompressed. */
  byteLength: number;
  records: RecordColumns;
  /** What lies at `nextOffset` and cannot be read. */
  fault: Fault | null;
  /** The records will not be read again: their memory may be used for others. Once, or never: more has no effect. */
  release(): void;
}

/** Bound to one generation of the group. */
export interface OffsetManager {
  commitOffsets(offsets: { topics: { topic: string; partitions: { partition: number; offset: string }[] }[] }): Promise<void>;
  resolveOffset(place: { topic: string; partition: number; offset: string }): void;
}

export interface ConsumerGroup {
  readonly assigners: readonly object[];
  readonly generationId: number;
  readonly offsetManager: OffsetManager;
  assigned(): { topic: string; partitions: number[] }[];
  pause(topics: { topic: string; partitions: number[] }[]): void;
  resume(topics: { topic: string; partitions: number[] }[]): void;
  seek(place: { topic: string; partition: number; offset: string }): void;
}

export interface GroupObserver {
  /** Whether records are to be read where they lie, or from kafkajs's messages. */
  readonly decoder: 'in_place' | 'kafkajs';
  /** The assignment is over: called before every join, on every path. */
  rejoining(): void;
  joined(group: ConsumerGroup): void;
  /** Resolves when a fetch is worth making; false when there was nothing to fetch for a while. */
  wanted(): Promise<boolean>;
  /** Monotonic ms. */
  nowMs(): number;
  /** The next fetch from this broker waits for it: must end soon. */
  fetched(partitions: FetchedPartition[], sentMs: number): Promise<void>;
  outOfRange(topic: string, partition: number): void;
}

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
  lastStableOffset?: string;
  highWatermark: string;
  abortedTransactions?: AbortedTransaction[] | null;
  messages: Message[];
}

interface Batch {
  topic: string;
  partition: number;
  fetchedOffset: string;
  rawMessages: Message[];
  messages: Message[];
}

interface GroupPrototype extends ConsumerGroup {
  readonly cluster: { findBroker(node: { nodeId: string }): Promise<{ connectionPool: { pool: object[] } }> };
  fetch(nodeId: string): Promise<Batch[]>;
  joinAndSync(): Promise<void>;
  recoverFromOffsetOutOfRange(error: { topic: string; partition: number }): Promise<void>;
}

/** What a list of fetched messages does not say by itself. */
interface Note {
  set: OpenSet;
  lastStableOffset: number;
  aborted: readonly AbortedTransaction[];
}

const NO_NOTE: Note = { set: NO_SET, lastStableOffset: -1, aborted: [] };

const require = createRequire(import.meta.url);
const internal = <T>(path: string): T => require(`kafkajs/src/${path}`) as T;
const notes = new WeakMap<Message[], Note>();
const observers = new WeakMap<object, GroupObserver>();
/** Of the two connections to a broker, the one for fetches. */
const FETCHES = 1;
/** Brokers as observers know them: what they fetch is decoded when kafkajs has had its look at it. */
const ofObservers = new WeakSet<object>();
let installed = false;

/** An assigner that carries the observer of the consumer that uses it, as its first. */
export const observed =
  (observer: GroupObserver, make: PartitionAssigner): PartitionAssigner =>
  (config) => {
    const assigner = make(config);
    observers.set(assigner, observer);
    return assigner;
  };

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
        if (!ofObservers.has(this)) {
          partition.messages = await decodeSet(set);
          hideAborted(partition.messages, aborted);
        }
        const lastStableOffset = Number(partition.lastStableOffset ?? partition.highWatermark);
        notes.set(partition.messages, { set, lastStableOffset, aborted });
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

const observeGroups = (): void => {
  const { prototype } = internal<{ prototype: GroupPrototype }>('consumer/consumerGroup.js');
  const { fetch, joinAndSync, recoverFromOffsetOutOfRange } = prototype;
  prototype.fetch = async function (nodeId) {
    const observer = observerOf(this);
    if (!observer) return readable(await fetch.call(this, nodeId));
    if (!(await observer.wanted())) return [];
    const broker = await this.cluster.findBroker({ nodeId });
    ofObservers.add(broker);
    useAgain(broker.connectionPool.pool[FETCHES]);
    const sentMs = observer.nowMs();
    const batches = await fetch.call(this, nodeId);
    await observer.fetched(await Promise.all(batches.map(fetchedPartition(observer.decoder))), sentMs);
    return []; // Nothing is left for eachBatch; the runner heartbeats and fetches again.
  };
  prototype.joinAndSync = async function () {
    const observer = observerOf(this);
    observer?.rejoining();
    await joinAndSync.call(this);
    observer?.joined(this);
  };
  prototype.recoverFromOffsetOutOfRange = async function (error) {
    const observer = observerOf(this);
    if (observer) observer.outOfRange(error.topic, error.partition);
    else await recoverFromOffsetOutOfRange.call(this, error);
  };
};

/** A stock consumer ends at a batch that cannot be read. */
const readable = (batches: Batch[]): Batch[] => {
  for (const { topic, partition, rawMessages } of batches) throwIfUnreadable(rawMessages, topic, partition);
  return batches;
};

/** Throws `batch_unreadable`. */
export const throwIfUnreadable = (messages: object[], topic: string, partition: number): void => {
  const fault = notes.get(messages as Message[])?.set.fault;
  if (fault) throw unreadable(topic, partition, fault);
};

const observerOf = (group: ConsumerGroup): GroupObserver | undefined => observers.get(group.assigners[0]);

/** Where the next fetch goes on after one that brought these messages; -1 when it brought no whole batch. */
export const nextOffsetAfter = (messages: object[]): number => notes.get(messages as Message[])?.set.nextOffset ?? -1;

/** A connection pool of its own to the client's cluster, not yet connected. */
export const clusterOf = (kafka: object): Cluster => {
  const create = Object.getOwnPropertySymbols(kafka).find((symbol) => symbol.description === 'private:Kafka:createCluster');
  if (!create) throw new Error('kafkajs was not loaded as expected');
  return (kafka as Record<symbol, (options: object) => Cluster>)[create]({ allowAutoTopicCreation: false, metadataMaxAge: 300_000 });
};

const fetchedPartition =
  (decoder: GroupObserver['decoder']) =>
  async ({ topic, partition, fetchedOffset, rawMessages }: Batch): Promise<FetchedPartition> => {
    const { set, lastStableOffset, aborted } = notes.get(rawMessages) ?? NO_NOTE;
    const fetchOffset = Number(fetchedOffset);
    const columns = decoder === 'in_place' ? columnsInPlace : columnsByKafkajs;
    const records = await columns(set, fetchOffset, aborted);
    const release = releaseOf(set, records);
    // What the records have shown: one of their batches may be one that cannot be read.
    const { byteLength, fault } = set;
    const nextOffset = Math.max(fetchOffset, set.nextOffset);
    return { topic, partition, fetchOffset, nextOffset, lastStableOffset, byteLength, records, fault, release };
  };
