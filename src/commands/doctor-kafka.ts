/** Does Kafka answer, are the topics there, and are they as they must be? */
import type { Kafka } from 'kafkajs';
import type { Settings } from '../config.ts';
import { asError } from '../errors.ts';
import { describeTopics, type TopicDescription } from '../topology/sources/kafka-topics.ts';
import { type Finding, failedCheck, isStreamError } from './doctor-report.ts';
import { harmsOf, inputTopicsOf, outputTopicsOf } from './topic-plan.ts';

export type Topics = ReadonlyMap<string, TopicDescription>;

export const kafkaTodo = ({ env }: Settings): string =>
  `Start Kafka, or set KAFKA_BROKERS (now ${env.KAFKA_BROKERS}) and, where it asks for them, KAFKA_SSL and KAFKA_SASL_*.`;

export const allTopics = (kafka: Kafka, settings: Settings): Promise<Topics> =>
  describeTopics(kafka, [...inputTopicsOf(settings), ...outputTopicsOf(settings)]);

export async function checkKafka(asking: Promise<Topics>, settings: Settings): Promise<Finding[]> {
  try {
    const topics = await asking;
    const connected: Finding = { name: 'kafka', status: 'ok', says: `Connected to ${settings.env.KAFKA_BROKERS}.` };
    return [connected, ...checkTopics(topics, settings)];
  } catch (error) {
    const refused = isStreamError(error, 'kafka_refused') || /SASL|authenticat/i.test(asError(error).message);
    const todo = refused
      ? 'Check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, and this user’s ACLs.'
      : kafkaTodo(settings);
    return [failedCheck('kafka', error, todo)];
  }
}

export function checkTopics(topics: Topics, settings: Settings): Finding[] {
  const wanted = [...inputTopicsOf(settings), ...outputTopicsOf(settings)];
  const missing = wanted.filter((name) => !topics.has(name));
  const harms = harmsOf(settings, topics).map(
    ({ status, says, todo }): Finding => ({ name: 'topics', status, says, todo: `To change it: ${todo}` }),
  );
  if (missing.length > 0) {
    const says = `Missing or not visible to this user: ${missing.join(', ')}.`;
    const todo = '`exposure-stream migrate --topics` creates what is missing.';
    return [{ name: 'topics', status: 'error', says, todo, code: 'topic_missing' }, ...harms];
  }
  const counts = inputTopicsOf(settings).map((name) => `${name} ${topics.get(name)?.partitions}`);
  return [{ name: 'topics', status: 'ok', says: `All ${wanted.length} are there (partitions: ${counts.join(', ')}).` }, ...harms];
}
