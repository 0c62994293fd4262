import { type Consumer, type Kafka, PartitionAssigners } from 'kafkajs';
import { asError, type StreamError } from '../../errors.ts';
import type { AssignmentListener, Clock, Now, Source } from '../types.ts';
import { Bell } from './bell.ts';
import { Absence } from './kafka-absence.ts';
import { GroupBounds } from './kafka-bounds.ts';
import type { KafkaLogger } from './kafka-client.ts';
import { type FeedHome, KafkaFeed } from './kafka-feed.ts';
import type { Wanted } from './kafkajs-fetching.ts';
import { type ConsumerGroup, type FetchedPartition, type GroupObserver, observed, placeName } from './kafkajs-groups.ts';
import { type LastAssignment, stickyAssigner } from './sticky-assigner.ts';

export interface KafkaSourceOptions {
  groupId: string;
  topics: readonly string[];
  clock: Clock;
  logger: KafkaLogger;
  decoder?: GroupObserver['decoder'];
  /** One fetch, of all its partitions. */
  fetchBytes?: number;
  /** How long the broker may hold an empty fetch. Also how late a heartbeat may be. */
  maxWaitMs?: number;
  /** A fetch, where not given: the next one is under way while it waits, or is judged. */
  mailboxBytes?: number;
  sessionTimeoutMs?: number;
  rebalanceTimeoutMs?: number;
  /** A topic that is missing for this long, at every attempt to join, ends membership. */
  absentAfterMs?: number;
  /** Partitions by topic whose state is on this machine since before this process began: it asks for them. */
  held?: () => Promise<Readonly<Record<string, readonly number[]>>>;
}

const FETCH_BYTES = 1 << 18;
/** A task that is merely busy makes room in this time; a slower one is left out of the fetches, for pausing and resuming costs a long poll. */
const PATIENCE_MS = 100;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5000;
/** A join cannot be broken off; it ends with the process. */
const STOP_MS = 3000;

/**
 * A member of a consumer group, over kafkajs. Whatever ends the membership (a crash of kafkajs, brokers away, a group still loading)
 * is answered by joining again, for ever; only what cannot mend itself is `failed`.
 */
export class KafkaSource implements Source, GroupObserver {
  readonly #kafka: Kafka;
  readonly #options: Required<KafkaSourceOptions>;
  readonly #stopping = new AbortController();
  readonly #bounds: GroupBounds;
  readonly #absence: Absence;
  #listener: AssignmentListener | null = null;
  #running: Promise<void> = Promise.resolve();
  /** By their names, in turn: a broker fills an answer from its beginning on. */
  #feeds = new Map<string, KafkaFeed>();
  readonly #bell: Bell;
  readonly #home: FeedHome;
  #retryMs = FIRST_RETRY_MS;
  /** Outlives membership: what was here is still in memory or in the folder. */
  #last: LastAssignment | null = null;

  constructor(kafka: Kafka, options: KafkaSourceOptions) {
    this.#kafka = kafka;
    this.#options = {
      decoder: 'in_place',
      fetchBytes: FETCH_BYTES,
      maxWaitMs: 250,
      mailboxBytes: options.fetchBytes ?? FETCH_BYTES,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 15_000,
      absentAfterMs: 30_000,
      held: () => Promise.resolve({}),
      ...options,
    };
    this.#bounds = new GroupBounds(kafka, options.groupId, options.clock);
    this.#bell = new Bell(options.clock);
    this.#absence = new Absence(options.clock, this.#options.absentAfterMs);
    const { clock, logger, mailboxBytes } = this.#options;
    this.#home = {
      clock,
      logger,
      mailboxBytes,
      bounds: (topic, partition) => this.#bounds.of(topic, partition),
      wake: () => this.#bell.ring(),
    };
  }

  /** Resolves at once; joining goes on until it succeeds, and what it comes to is told to the listener. */
  start(listener: AssignmentListener): Promise<void> {
    this.#listener = listener;
    this.#running = this.#stayMember();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#loseAll();
    const stopped = new AbortController();
    await Promise.race([this.#running, this.#options.clock.sleep(STOP_MS, stopped.signal)]);
    stopped.abort();
    await this.#bounds.close();
  }

  partitionCounts(): Promise<ReadonlyMap<string, number>> {
    return this.#bounds.partitionCounts(this.#options.topics);
  }

  async #stayMember(): Promise<void> {
    // Of the group's generations every one is later: who has been a member meanwhile keeps what it has.
    this.#last = { generation: 0, owned: await this.#options.held() };
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#memberOnce();
      } catch (error) {
        const fatal = this.#absence.fatal(error);
        if (fatal) return this.#fail(fatal);
        this.#options.logger.warn(
          { err: asError(error), code: 'kafka_unreachable', retryMs: this.#retryMs },
          'not a member of the group, joining again',
        );
      }
      await this.#options.clock.sleep(this.#stopping.signal.aborted ? 0 : this.#retryMs, this.#stopping.signal);
      this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
    }
  }

  /** Resolves when told to stop, rejects when membership ended otherwise. */
  async #memberOnce(): Promise<void> {
    const consumer = this.#consumer();
    const ended = new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      this.#stopping.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    // Awaited below, after calls that may fail first.
    ended.catch(() => undefined);
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        eachBatch: () => Promise.reject(new Error('eachBatch is not used')),
      });
      await ended;
    } finally {
      this.rejoining();
      await consumer.disconnect().catch((err: unknown) => this.#options.logger.debug({ err }, 'the consumer did not end well'));
    }
  }

  #consumer(): Consumer {
    const { groupId, fetchBytes, maxWaitMs, sessionTimeoutMs, rebalanceTimeoutMs } = this.#options;
    return this.#kafka.consumer({
      groupId,
      // The second for as long as a member of an older version is in the group.
      partitionAssigners: [
        observed(
          this,
          stickyAssigner(() => this.#last),
        ),
        PartitionAssigners.roundRobin,
      ],
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs,
      heartbeatInterval: Math.floor(sessionTimeoutMs / 5),
      // No more for several partitions, which take turns: what one fetch brings is to stay in the processor's cache until it is judged.
      maxBytesPerPartition: fetchBytes,
      maxBytes: fetchBytes,
      maxWaitTimeInMs: maxWaitMs,
      readUncommitted: false,
      allowAutoTopicCreation: false,
      // A short outage is sat out inside kafkajs; after a crash the membership begins afresh here, where it can be stopped.
      retry: { initialRetryTime: 100, maxRetryTime: 2000, retries: 6, restartOnFailure: () => Promise.resolve(false) },
    });
  }

  get decoder(): GroupObserver['decoder'] {
    return this.#options.decoder;
  }

  rejoining(): void {
    if (this.#feeds.size === 0) return;
    this.#loseAll();
    this.#listener?.revoked();
  }

  joined(group: ConsumerGroup): void {
    if (this.#stopping.signal.aborted) return;
    this.rejoining(); // What was not taken away before: its tasks would wait for ever for what they never get.
    this.#retryMs = FIRST_RETRY_MS;
    this.#absence.over();
    this.#feeds = new Map();
    const assigned = group.assigned();
    this.#last = {
      generation: group.generationId,
      owned: Object.fromEntries(assigned.map(({ topic, partitions }) => [topic, partitions])),
    };
    for (const { topic, partitions } of assigned) {
      for (const partition of partitions) {
        this.#feeds.set(placeName(topic, partition), new KafkaFeed(this.#home, group.offsetManager, { topic, partition }));
      }
    }
    this.#options.logger.info({ groupId: this.#options.groupId, partitions: [...this.#feeds.keys()] }, 'partitions assigned');
    this.#listener?.assigned([...this.#feeds.values()]);
  }

  now(): Now {
    return this.#options.clock.now();
  }

  async wanted(led: ReadonlySet<string>): Promise<Wanted[]> {
    const feeds = this.#feeds;
    let wanted: Wanted[] = [];
    // A join makes others ours than those that were asked about: who asked is to ask anew.
    await this.#until(() => {
      wanted = wantedOf(feeds, led);
      return wanted.length > 0 || feeds !== this.#feeds;
    }, this.#options.maxWaitMs);
    return wanted;
  }

  async fetched(partitions: FetchedPartition[], sentMs: number): Promise<void> {
    for (const fetched of partitions) this.#deliver(fetched, sentMs);
    const full = [...this.#feeds.values()].filter((feed) => feed.fetching && feed.full);
    if (full.length === 0) return;
    await this.#until(() => !full.some((feed) => feed.full), PATIENCE_MS);
    for (const feed of full) feed.pauseIfFull();
  }

  outOfRange(topic: string, partition: number): void {
    void this.#feeds.get(placeName(topic, partition))?.outOfRange();
  }

  #deliver(fetched: FetchedPartition, sentMs: number): void {
    const name = placeName(fetched.topic, fetched.partition);
    const feed = this.#feeds.get(name);
    if (feed === undefined) {
      fetched.release();
      return;
    }
    if (fetched.nextOffset > fetched.fetchOffset) {
      // To the end: it is asked for after the others.
      this.#feeds.delete(name);
      this.#feeds.set(name, feed);
    }
    feed.deliver(fetched, sentMs);
  }

  /** Resolves when the condition holds (looked at on every wake) or the time is over. */
  async #until(holds: () => boolean, ms: number): Promise<void> {
    const deadlineMs = this.now().monotonicMs + ms;
    while (!holds() && !this.#stopping.signal.aborted) {
      const leftMs = deadlineMs - this.now().monotonicMs;
      if (leftMs <= 0) return;
      await this.#bell.sleep(leftMs);
    }
  }

  #loseAll(): void {
    for (const feed of this.#feeds.values()) feed.lose();
    this.#feeds.clear();
    this.#bell.close();
  }

  #fail(error: StreamError): void {
    this.#options.logger.error({ err: error, code: error.code }, 'membership of the group ended');
    this.#listener?.failed(error);
  }
}

function wantedOf(feeds: ReadonlyMap<string, KafkaFeed>, led: ReadonlySet<string>): Wanted[] {
  const wanted: Wanted[] = [];
  for (const [name, { topic, partition, wantedFrom }] of feeds) {
    if (wantedFrom !== null && led.has(name)) wanted.push({ topic, partition, offset: wantedFrom });
  }
  return wanted;
}
