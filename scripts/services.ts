/** `npm run services`: Kafka, Redis and Postgres for a person, until Ctrl-C. Prints lines to paste into another shell. */
import { startServices } from '../test/services/index.ts';

const began = performance.now();
const { kafkaBrokers, redisUrl, databaseUrl, how, stop } = await startServices();

const where = Object.entries(how).map((pair) => pair.join(': '));
console.log(`# up in ${((performance.now() - began) / 1000).toFixed(1)} s (${where.join(', ')}); Ctrl-C ends them`);
console.log(`export KAFKA_BROKERS=${kafkaBrokers} REDIS_URL=${redisUrl} DATABASE_URL=${databaseUrl}`);
console.log(`export TEST_KAFKA_BROKERS=${kafkaBrokers} TEST_REDIS_URL=${redisUrl} TEST_DATABASE_URL=${databaseUrl}`);

// The services keep nothing alive; this does.
const forever = setInterval(() => undefined, 60_000);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clearInterval(forever);
    void stop();
  });
}
