/** A process that is a member of a group until it is killed: `node kafka-member.ts BROKERS GROUP TOPIC`. Prints each assignment. */
import { kafkaClient } from '../../src/topology/sources/kafka-client.ts';
import { KafkaSource } from '../../src/topology/sources/kafka-source.ts';
import { clock, silent } from './kafka-bed.ts';

const [brokers, groupId, topic] = process.argv.slice(2);
const source = new KafkaSource(kafkaClient({ brokers: brokers.split(','), clientId: 'child' }, silent), {
  groupId,
  topics: [topic],
  clock,
  logger: silent,
  sessionTimeoutMs: 2000,
  rebalanceTimeoutMs: 3000,
});
await source.start({
  revoked: () => console.log(''),
  assigned: (feeds) => console.log(feeds.map(({ partition }) => partition).join(',')),
  failed: (error) => {
    throw error;
  },
});
