import type { Kafka } from 'kafkajs';
import { expect, test } from 'vitest';
import { asError, codeOf } from '../../../src/errors.ts';
import { KafkaAdmin } from '../../../src/topology/sources/kafka-admin.ts';

/** A cluster that answers questions on metadata and no others, as one does to a principal without DescribeConfigs. */
const clusterWith = (topics: Record<string, number | string>) => {
  const seen = { connections: 0 };
  const kafka = {
    admin: () => ({
      connect: async () => void seen.connections++,
      disconnect: async () => undefined,
      fetchTopicMetadata: async ({ topics: [name] }: { topics: string[] }) => {
        const found = topics[name] ?? 'UNKNOWN_TOPIC_OR_PARTITION';
        if (typeof found === 'string') throw Object.assign(new Error(found), { type: found });
        return { topics: [{ name, partitions: Array.from({ length: found }) }] };
      },
    }),
  };
  return { admin: new KafkaAdmin(kafka as unknown as Kafka), seen };
};

test('partitions are counted again and again over one connection, by a client that may describe topics and nothing else', async () => {
  const { admin, seen } = clusterWith({ a: 3, b: 8 });
  for (let times = 0; times < 3; times++) {
    expect(await admin.partitionCounts(['a', 'b', 'gone'])).toEqual(
      new Map([
        ['a', 3],
        ['b', 8],
        ['gone', null],
      ]),
    );
  }
  expect(seen.connections).toBe(1);
});

test('a topic that this client may not see is named', async () => {
  const { admin } = clusterWith({ a: 3, secret: 'TOPIC_AUTHORIZATION_FAILED' });
  const error = asError(await admin.partitionCounts(['a', 'secret']).catch(asError));
  expect([codeOf(error), error.message]).toEqual(['kafka_refused', expect.stringContaining('topic secret')]);
});

test('after a failure the next question comes over a new connection', async () => {
  const cluster = { a: 'REQUEST_TIMED_OUT' as string | number };
  const { admin, seen } = clusterWith(cluster);
  expect(codeOf(await admin.partitionCounts(['a']).catch(asError))).toBe('kafka_unreachable');
  cluster.a = 2;
  expect(await admin.partitionCounts(['a'])).toEqual(new Map([['a', 2]]));
  expect(seen.connections).toBe(2);
});
