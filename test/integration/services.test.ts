import { Redis } from 'ioredis';
import { Kafka, logLevel } from 'kafkajs';
import { Client } from 'pg';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startServices } from '../services/index.ts';
import { describeIntegration, freshDatabase, uniqueName } from '../services/integration.ts';

describeIntegration('the test services', ({ kafkaBrokers, redisUrl, databaseUrl }) => {
  it('Kafka creates a topic and stamps what is written to it', async () => {
    const kafka = new Kafka({ brokers: kafkaBrokers.split(','), logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    const producer = kafka.producer({ allowAutoTopicCreation: false });
    await Promise.all([admin.connect(), producer.connect()]);
    onTestFinished(async () => void (await Promise.all([admin.disconnect(), producer.disconnect()])));
    const topic = uniqueName('services');
    // Waiting for leaders is not left to kafkajs: it gives up where a busy broker does not know its newest topic yet.
    expect(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: false })).toBe(true);
    await vi.waitFor(() => admin.fetchTopicMetadata({ topics: [topic] }), { timeout: 10_000, interval: 100 });
    await producer.send({ topic, messages: [{ key: 'k', value: 'v', partition: 1 }] });
    const offsets = await admin.fetchTopicOffsets(topic);
    expect(offsets.map(({ partition, high }) => [partition, high]).sort()).toEqual([
      [0, '0'],
      [1, '1'],
    ]);
  });

  it('Redis answers', async () => {
    const redis = new Redis(redisUrl);
    onTestFinished(() => redis.disconnect());
    expect(await redis.ping()).toBe('PONG');
  });

  it('Postgres gives every test a database of its own', async () => {
    const [first, second] = await Promise.all([freshDatabase(databaseUrl), freshDatabase(databaseUrl)]);
    const names: string[] = [];
    for (const connectionString of [first, second]) {
      const client = new Client({ connectionString });
      await client.connect();
      names.push((await client.query<{ name: string }>('select current_database() as name')).rows[0]!.name);
      await client.end();
    }
    expect(new Set(names).size).toBe(2);
  });

  it('a Redis of its own comes back empty, under the same address, when a test restarts it', async () => {
    const own = await startServices({ redis: true, own: true });
    onTestFinished(own.stop);
    const redis = new Redis(own.redisUrl);
    redis.on('error', () => undefined);
    onTestFinished(() => redis.disconnect());
    await redis.set('kept', 'no');
    await own.restartRedis();
    expect(await redis.get('kept')).toBeNull();
  });
});
