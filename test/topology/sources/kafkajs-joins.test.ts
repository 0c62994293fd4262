import { createRequire } from 'node:module';
import { PartitionAssigners } from 'kafkajs';
import { expect, test } from 'vitest';
import { kafkaClient } from '../../../src/topology/sources/kafka-client.ts';
import { type GroupObserver, observed } from '../../../src/topology/sources/kafkajs-groups.ts';
import { encodeFetchResponse } from '../../kafka/fetch-response.ts';
import { settled } from '../hand-clock.ts';

const require = createRequire(import.meta.url);
const nothing = (): void => undefined;
kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, { debug: nothing, info: nothing, warn: nothing, error: nothing });

interface Group {
  fetch(nodeId: string): Promise<unknown>;
  joinAndSync(): Promise<void>;
}

const ConsumerGroupOf = require('kafkajs/src/consumer/consumerGroup.js') as new (options: object) => Group;
const { MemberAssignment } = require('kafkajs/src/consumer/assignerProtocol.js') as { MemberAssignment: { encode(given: object): Buffer } };
const NOT_LEADER = 6;
const noBytes = Buffer.alloc(0);

interface Entry {
  resolve(answer: { payload: Buffer }): void;
}

interface Story {
  partitions: number;
  /** With which every fetch is answered; 0 for none. */
  errorCode: number;
  /** With which every join fails. */
  failing: Error | null;
  /** Answers that wait for the story, of the partition that it names; -1 for none. */
  held: number;
  answers: (() => void)[];
  /** What the observer and the coordinator see. */
  log: string[];
}

/** A connection over which fetches of a partition bring nothing. */
const connectionTo = (partition: number, story: Story) => ({
  clientId: 'c',
  socket: { write: nothing },
  authHandlers: null,
  bytesBuffered: 0,
  requestQueue: {
    push: ({ entry }: { entry: Entry }) => {
      const payload = encodeFetchResponse(11, [{ topic: 't', partitions: [{ partition, errorCode: story.errorCode }] }]);
      if (story.held === partition) story.answers.push(() => entry.resolve({ payload }));
      else entry.resolve({ payload });
    },
    maybeThrottle: nothing,
  },
  isConnected: () => true,
  authenticate: async () => undefined,
  nextCorrelationId: () => 0,
});

/** Has all partitions of t, of which brokers 1 and 2 lead every second. A join lasts until the story lets it end. */
const memberOf = (partitions: number) => {
  const story: Story = { partitions, errorCode: 0, failing: null, held: -1, answers: [], log: [] };
  let nowMs = 0;
  const ends: (() => void)[] = [];
  const observer: GroupObserver = {
    decoder: 'in_place',
    rejoining: () => void story.log.push('rejoining'),
    joined: (joined) => void story.log.push(`joined with ${joined.assigned().flatMap((topic) => topic.partitions)}`),
    wanted: async (led) => [...led].map((name) => ({ topic: 't', partition: Number(name.slice(2)), offset: 0 })),
    now: () => ({ monotonicMs: nowMs, wallMs: nowMs }),
    fetched: async () => {
      nowMs += 1000;
    },
    outOfRange: nothing,
  };
  const all = (): number[] => [...Array(story.partitions).keys()];
  const coordinator = {
    joinGroup: async () => {
      story.log.push('join');
      await new Promise<void>((resolve) => ends.push(resolve));
      if (story.failing) throw story.failing;
      return { generationId: 1, leaderId: 'another', memberId: 'm', members: [], groupProtocol: 'p' };
    },
    syncGroup: async () => ({ memberAssignment: MemberAssignment.encode({ version: 0, assignment: { t: all() }, userData: noBytes }) }),
  };
  const cluster = {
    brokerPool: { metadata: {} },
    refreshMetadataIfNecessary: async () => undefined,
    refreshMetadata: async () => undefined,
    committedOffsets: () => ({}),
    findGroupCoordinator: async () => coordinator,
    findTopicPartitionMetadata: () => all().map((partitionId) => ({ partitionId, leader: 1 + (partitionId % 2) })),
    findBroker: async ({ nodeId }: { nodeId: string }) => ({
      versions: { 1: { maxVersion: 11 } },
      connectionPool: { getConnection: async () => connectionTo(Number(nodeId) - 1, story) },
    }),
  };
  const logger = { namespace: () => logger, debug: nothing, info: nothing, warn: nothing };
  const assigners = [observed(observer, PartitionAssigners.roundRobin)({ groupId: 'g' } as never)];
  const retry = { retries: 0 };
  const options = { logger, retry, instrumentationEmitter: { emit: nothing }, assigners, cluster, topics: ['t'], rackId: '' };
  const group = new ConsumerGroupOf(options);
  const endJoin = async (): Promise<void> => {
    await settled();
    for (const end of ends.splice(0)) end();
  };
  return { story, group, endJoin };
};

const joinedMember = async (partitions: number) => {
  const member = memberOf(partitions);
  const joining = member.group.joinAndSync();
  await member.endJoin();
  await joining;
  return member;
};

test('an observer is told before a join, and after it', async () => {
  const { story, group, endJoin } = await joinedMember(2);
  expect(story.log).toEqual(['rejoining', 'join', 'joined with 0,1']);
  const joining = group.joinAndSync();
  await settled();
  expect(story.log.slice(3)).toEqual(['rejoining', 'join']);
  await endJoin();
  await joining;
  expect(story.log.slice(5)).toEqual(['joined with 0,1']);
});

test('a topic gets a partition: the fetchers of all brokers see it, and join once', async () => {
  const { story, group, endJoin } = await joinedMember(2);
  story.partitions = 3;
  const first = group.fetch('1');
  await settled();
  const second = group.fetch('2');
  await endJoin();
  await Promise.all([first, second]);
  expect(story.log.slice(3)).toEqual(['rejoining', 'join', 'joined with 0,1,2']);
});

test('two brokers lead no more what they led: those who hear it at one time join once', async () => {
  const { story, group, endJoin } = await joinedMember(2);
  story.errorCode = NOT_LEADER;
  const fetches = [group.fetch('1'), group.fetch('2')];
  await endJoin();
  await Promise.all(fetches);
  expect(story.log.slice(3)).toEqual(['rejoining', 'join', 'joined with 0,1']);
});

test('what a broker said of the assignment before a join is no reason for another', async () => {
  const { story, group, endJoin } = await joinedMember(2);
  story.errorCode = NOT_LEADER;
  story.held = 1;
  const fetches = [group.fetch('1'), group.fetch('2')];
  await endJoin();
  await fetches[0];
  for (const answer of story.answers) answer();
  await fetches[1];
  expect(story.log.slice(3)).toEqual(['rejoining', 'join', 'joined with 0,1']);
});

test('where a join of a fetch has failed, the next fetch joins before it asks for anything', async () => {
  const { story, group, endJoin } = await joinedMember(1);
  story.errorCode = NOT_LEADER;
  story.failing = new Error('away');
  const refused = expect(group.fetch('1')).rejects.toThrow('away');
  await endJoin();
  await refused;
  const alsoRefused = expect(group.fetch('1')).rejects.toThrow('away');
  await endJoin();
  await alsoRefused;
  [story.errorCode, story.failing] = [0, null];
  const fetches = [group.fetch('1'), group.fetch('2')];
  await endJoin();
  await Promise.all(fetches);
  await group.fetch('1');
  expect(story.log.slice(3)).toEqual(['rejoining', 'join', 'rejoining', 'join', 'rejoining', 'join', 'joined with 0']);
});

test('a join that fails fails for all who waited for it, and is tried again by the next', async () => {
  const { story, group, endJoin } = await joinedMember(1);
  story.failing = new Error('away');
  const outcomes = Promise.allSettled([group.joinAndSync(), group.joinAndSync()]);
  await endJoin();
  expect(await outcomes).toMatchObject([{ reason: { message: 'away' } }, { reason: { message: 'away' } }]);
  story.failing = null;
  const again = group.joinAndSync();
  await endJoin();
  await again;
  expect(story.log.slice(3)).toEqual(['rejoining', 'join', 'rejoining', 'join', 'joined with 0']);
});
