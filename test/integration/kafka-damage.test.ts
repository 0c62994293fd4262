/** The damages of test/conformance/damage-topic.ts on a real broker: each is made by writing the topic anew. */
import { afterAll, beforeAll } from 'vitest';
import { KafkaStateTopic } from '../../src/topology/sources/kafka-state-topic.ts';
import { createTopics } from '../../src/topology/sources/kafka-topics.ts';
import { damageConformance } from '../conformance/damage.ts';
import { TOPIC_DAMAGES } from '../conformance/damage-topic.ts';
import { type DamageableTopic, type Slots, TopicDamageBench } from '../conformance/damage-topic-bench.ts';
import { describeIntegration, uniqueName } from '../services/integration.ts';
import { clock, KafkaBed, silent } from './kafka-bed.ts';

/** What fills an offset at which nothing of ours is to be. */
const FILLER = { key: Buffer.from('filler'), value: Buffer.from('') };

describeIntegration('state in Kafka', ({ kafkaBrokers }) => {
  let bed: KafkaBed;
  beforeAll(async () => {
    bed = await KafkaBed.open(kafkaBrokers);
  });
  afterAll(() => bed.close());

  async function kafkaTopic(): Promise<DamageableTopic> {
    let topic = '';
    const connect = (): KafkaStateTopic => new KafkaStateTopic(bed.kafka, { topic, clock, logger: silent });
    const replace = async (slots: Slots): Promise<void> => {
      topic = uniqueName('state');
      await createTopics(bed.kafka, [{ name: topic, partitions: 1, settings: { 'cleanup.policy': 'compact' } }]);
      const connected = connect();
      if (slots.length > 0) await connected.append(0, () => slots.map((slot) => slot ?? FILLER));
      await connected.close();
    };
    await replace([]);
    return { connect, replace, close: async () => {} };
  }

  damageConformance({
    store: 'topic in Kafka',
    bench: async ({ chunked = false }) => TopicDamageBench.open(await kafkaTopic(), { copies: false, chunked }),
    damages: TOPIC_DAMAGES,
    impossible: [],
    reopen: (bench) => bench.restarted(),
    streams: ['exposures'],
  });
});
