/**
 * A consumer group of kafkajs 2.2.4 with an observer, who is told what is assigned, asked what is wanted, and given what a fetch brought.
 * Membership, heartbeats, metadata, connections and what follows errors stay kafkajs's; where to fetch from is the observer's.
 */
import { createRequire } from 'node:module';
import type { PartitionAssigner } from 'kafkajs';
import type { Now } from '../types.ts';
import { columnsByKafkajs, columnsInPlace, releaseOf } from './kafkajs-decoding.ts';
import { type Answer, type Connection, FETCH, type FetchForm, fetchSets, versionFor, type Wanted } from './kafkajs-fetching.ts';
import { useAgain } from './kafkajs-network.ts';
import type { RecordColumns } from './record-columns.ts';
import { type Fault, openRecordSet } from './record-set.ts';

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

interface TopicPartitions {
  topic: string;
  partitions: number[];
}

/** Bound to one generation of the group. */
export interface OffsetManager {
  commitOffsets(offsets: { topics: { topic: string; partitions: { partition: number; offset: string }[] }[] }): Promise<void>;
}

export interface ConsumerGroup {
  readonly assigners: readonly object[];
  readonly generationId: number;
  readonly offsetManager: OffsetManager;
  assigned(): TopicPartitions[];
}

export interface GroupObserver {
  /** Whether records are to be read where they lie, or from kafkajs's messages. */
  readonly decoder: 'in_place' | 'kafkajs';
  /** The assignment is over: called before every join, on every path. */
  rejoining(): void;
  joined(group: ConsumerGroup): void;
  /**
   * Resolves when a fetch of some of these (see `placeName`) is worth making, with what is to be fetched, the most urgent first:
   * nothing, when there was nothing for a while.
   */
  wanted(led: ReadonlySet<string>): Promise<Wanted[]>;
  now(): Now;
  /** The next fetch from this broker waits for it: must end soon. */
  fetched(partitions: FetchedPartition[], sentMs: number): Promise<void>;
  outOfRange(topic: string, partition: number): void;
}

interface GroupBroker {
  readonly connectionPool: { getConnection(number: number): Promise<Connection> };
  readonly versions: Record<number, { maxVersion: number } | undefined>;
  disconnect(): Promise<void>;
}

interface GroupPrototype extends ConsumerGroup, FetchForm {
  readonly cluster: {
    /** Others, when they were learnt anew. */
    readonly brokerPool: { readonly metadata: object | null };
    refreshMetadataIfNecessary(): Promise<void>;
    findBroker(node: { nodeId: string }): Promise<GroupBroker>;
  };
  /** By topic and partition. */
  readonly preferredReadReplicasPerTopicPartition: Record<string, Record<number, { nodeId: number; expireAt: number }> | undefined>;
  readonly metadataMaxAge: number;
  checkForStaleAssignment(): void;
  filterPartitionsByNode(nodeId: string, partitions: readonly TopicPartitions[]): TopicPartitions[];
  recoverFromFetch(error: unknown): Promise<void>;
  fetch(nodeId: string): Promise<object[]>;
  joinAndSync(): Promise<void>;
  recoverFromOffsetOutOfRange(error: { topic: string; partition: number }): Promise<void>;
}

const require = createRequire(import.meta.url);
const observers = new WeakMap<object, GroupObserver>();
/** Under way: there is a fetcher for each broker, and all that see a reason to join at one time join once. */
const joins = new WeakMap<object, Promise<void>>();
/** Groups whose last join has failed, or is under way. */
const unjoined = new WeakSet<object>();
/** Of the two connections to a broker, the one for fetches. */
const FETCHES = 1;
/** Heartbeats may be late by as much. */
const WHILE_MS = 100;
const NO_REPLICA = -1;
/** Of a partition that nobody has asked for: nobody takes it. */
const NOT_ASKED = -1;

/** Of a partition, among all. */
export const placeName = (topic: string, partition: number): string => `${topic}/${partition}`;

const namesOf = ({ topic, partitions }: TopicPartitions): string[] => partitions.map((partition) => placeName(topic, partition));

/** An assigner that carries the observer of the consumer that uses it, as its first. */
export const observed =
  (observer: GroupObserver, make: PartitionAssigner): PartitionAssigner =>
  (config) => {
    const assigner = make(config);
    observers.set(assigner, observer);
    return assigner;
  };

/** Before the first consumer. Groups without an observer fetch as they did. */
export const observeGroups = (): void => {
  const { prototype } = require('kafkajs/src/consumer/consumerGroup.js') as { prototype: GroupPrototype };
  const { fetch, joinAndSync, recoverFromOffsetOutOfRange } = prototype;
  prototype.fetch = async function (nodeId) {
    const observer = observerOf(this);
    if (!observer) return fetch.call(this, nodeId);
    // kafkajs would go on with what was assigned before, which the observer has let go: nothing would ever be wanted again.
    if (unjoined.has(this)) await this.joinAndSync();
    const { offsetManager } = this;
    try {
      await fetchForAWhile(this, nodeId, observer);
    } catch (error) {
      // What a broker said of an assignment that is over is nothing to join for once more.
      const isOfBefore = this.offsetManager !== offsetManager && isAnswer(error);
      if (!isOfBefore) await this.recoverFromFetch(error);
    }
    return []; // Nothing is left for eachBatch; the runner heartbeats and fetches again.
  };
  const join = async (group: GroupPrototype): Promise<void> => {
    const observer = observerOf(group);
    observer?.rejoining();
    unjoined.add(group);
    await joinAndSync.call(group);
    unjoined.delete(group);
    observer?.joined(group);
  };
  prototype.joinAndSync = function () {
    const joining = joins.get(this) ?? join(this).finally(() => joins.delete(this));
    joins.set(this, joining);
    return joining;
  };
  prototype.recoverFromOffsetOutOfRange = async function (error) {
    const observer = observerOf(this);
    if (!observer) return recoverFromOffsetOutOfRange.call(this, error);
    if (!forgetPreferred(this, error.topic, error.partition)) observer.outOfRange(error.topic, error.partition);
  };
};

/** As kafkajs fetches, but that it looks at its metadata, at the brokers and for its heartbeat once for several fetches. */
async function fetchForAWhile(group: GroupPrototype, nodeId: string, observer: GroupObserver): Promise<void> {
  const untilMs = observer.now().monotonicMs + WHILE_MS;
  const { cluster } = group;
  await cluster.refreshMetadataIfNecessary();
  group.checkForStaleAssignment();
  const { offsetManager } = group;
  const { metadata } = cluster.brokerPool;
  /** Who asks a broker that leads it no more joins anew; and what came with a join, no turn from before it asks for. */
  const isOver = (): boolean => cluster.brokerPool.metadata !== metadata || group.offsetManager !== offsetManager;
  const led = new Set(group.filterPartitionsByNode(nodeId, group.assigned()).flatMap(namesOf));
  if (led.size === 0) {
    await observer.wanted(led); // And the broker is left alone: it may be one that nobody reaches.
    return;
  }
  const broker = await cluster.findBroker({ nodeId });
  const version = versionFor(broker.versions[FETCH]?.maxVersion);
  const connection = await broker.connectionPool.getConnection(FETCHES);
  await connection.authenticate();
  useAgain(connection);
  let isElsewhere = false;
  do {
    const wanted = await observer.wanted(led);
    if (wanted.length === 0 || isOver() || !connection.isConnected()) return;
    const sentMs = observer.now().monotonicMs;
    const answers = await fetchSets(connection, version, group, wanted).catch(async (error: Error) => {
      if (error.name === 'KafkaJSConnectionClosedError') await broker.disconnect();
      throw error;
    });
    isElsewhere = notePreferred(group, answers, observer.now().wallMs);
    await observer.fetched(await Promise.all(answers.map((answer) => fetchedPartition(answer, wanted, observer.decoder))), sentMs);
  } while (!isElsewhere && !isOver() && observer.now().monotonicMs < untilMs);
}

/** Where the broker says that others are to be read from, for as long as kafkajs believes it. Whether it says so of any. */
function notePreferred(group: GroupPrototype, answers: readonly Answer[], wallMs: number): boolean {
  let isAny = false;
  for (const { topic, partition, preferredReadReplica } of answers) {
    if (preferredReadReplica === NO_REPLICA) continue;
    isAny = true;
    const preferred = group.preferredReadReplicasPerTopicPartition[topic] ?? {};
    group.preferredReadReplicasPerTopicPartition[topic] = preferred;
    preferred[partition] = { nodeId: preferredReadReplica, expireAt: wallMs + group.metadataMaxAge };
  }
  return isAny;
}

/** Whether it was another than the leader that was preferred, which may be behind: then the leader is asked. */
function forgetPreferred(group: GroupPrototype, topic: string, partition: number): boolean {
  const preferred = group.preferredReadReplicasPerTopicPartition[topic];
  if (preferred?.[partition] === undefined) return false;
  delete preferred[partition];
  return true;
}

async function fetchedPartition(
  { topic, partition, lastStableOffset, aborted, bytes }: Answer,
  wanted: readonly Wanted[],
  decoder: GroupObserver['decoder'],
): Promise<FetchedPartition> {
  const fetchOffset = wanted.find((asked) => asked.partition === partition && asked.topic === topic)?.offset ?? NOT_ASKED;
  const set = await openRecordSet(bytes);
  const columns = decoder === 'in_place' ? columnsInPlace : columnsByKafkajs;
  const records = await columns(set, fetchOffset, aborted);
  const release = releaseOf(set, records);
  // What the records have shown: one of their batches may be one that cannot be read.
  const { byteLength, fault } = set;
  const nextOffset = Math.max(fetchOffset, set.nextOffset);
  return { topic, partition, fetchOffset, nextOffset, lastStableOffset, byteLength, records, fault, release };
}

/** Of errors that a broker has answered with kafkajs has the type. */
const isAnswer = (error: unknown): boolean => error instanceof Error && 'type' in error && error.type !== undefined;

const observerOf = (group: ConsumerGroup): GroupObserver | undefined => observers.get(group.assigners[0]);
