import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KafkaStateTopic } from '../../src/topology/sources/kafka-state-topic.ts';
import { createTopics } from '../../src/topology/sources/kafka-topics.ts';
import { commitLogConformance, HEADER, TASK } from '../conformance/commit-log.ts';
import { TopicBench } from '../conformance/topic-bench.ts';
import { describeIntegration, uniqueName } from '../services/integration.ts';
import { clock, KafkaBed, silent } from './kafka-bed.ts';

describeIntegration('state in Kafka', ({ kafkaBrokers }) => {
  let bed: KafkaBed;
  beforeAll(async () => {
    bed = await KafkaBed.open(kafkaBrokers);
  });
  afterAll(() => bed.close());

  const newTopic = async (): Promise<string> => {
    const topic = uniqueName('state');
    await createTopics(bed.kafka, [{ name: topic, partitions: 2, settings: { 'cleanup.policy': 'compact' } }]);
    return topic;
  };
  const opened = (topic: string) => new KafkaStateTopic(bed.kafka, { topic, clock, logger: silent });

  for (const copies of [true, false]) {
    commitLogConformance(`topic in Kafka, ${copies ? 'with' : 'without'} copies`, async () => {
      const topic = await newTopic();
      return TopicBench.open({ copies, logger: silent, topic: () => opened(topic) });
    });
  }

  test('ten million keys come back in time, from the topic and from the folder', async () => {
    const topic = await newTopic();
    const folder = await mkdtemp(join(tmpdir(), 'exposure-stream-copy-'));
    const bench = await TopicBench.open({ copies: false, logger: silent, topic: () => opened(topic) });
    const changes = new Uint8Array(1_700_000).map((_, i) => i * 7);
    const log = bench.on(undefined).open(TASK);
    await log.claim(HEADER);
    for (let i = 0; i < 100; i++) await log.append({ from: i, to: i + 1, changes });
    const restore = async (): Promise<number> => {
      const started = clock.now().monotonicMs;
      let bytes = 0;
      for await (const commit of (await bench.on(folder).open(TASK).claim(HEADER)).commits()) bytes += commit.changes.length;
      expect(bytes).toBe(100 * changes.length);
      return clock.now().monotonicMs - started;
    };
    const cold = await restore();
    const warm = await restore();
    process.stdout.write(`170 MB of commits: ${cold.toFixed(0)} ms from the topic, ${warm.toFixed(0)} ms from the folder\n`);
    expect(cold).toBeLessThan(30_000);
    expect(warm).toBeLessThan(5_000);
    await bench.close();
    await rm(folder, { recursive: true });
  });
});
