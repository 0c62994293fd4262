/** Connections to the real services, from settings. */
import { readFileSync } from 'node:fs';
import type { Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import { type OutputName, outputTopic, type Settings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { dropStaleCopies, heldLately, keptIn } from '../state/copies.ts';
import { DirStateStore } from '../state/dir-store.ts';
import { copiesOf, KafkaStateStore } from '../state/kafka-store.ts';
import { MemoryStateStore } from '../state/memory-store.ts';
import type { KafkaAdmin } from '../topology/sources/kafka-admin.ts';
import { kafkaClient } from '../topology/sources/kafka-client.ts';
import { KafkaStateTopic } from '../topology/sources/kafka-state-topic.ts';
import { type Clock, STREAMS, type StateStore, type TaskId } from '../topology/types.ts';

const pemOf = (name: string, path: string | undefined): string | undefined => {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new StreamError('bad_setting', `${name} is ${JSON.stringify(path)}: the file cannot be read`, { cause });
  }
};

export function openKafka(settings: Settings, log: Logger): Kafka {
  const { env } = settings;
  const pems = {
    ca: pemOf('KAFKA_SSL_CA_FILE', env.KAFKA_SSL_CA_FILE),
    cert: pemOf('KAFKA_SSL_CERT_FILE', env.KAFKA_SSL_CERT_FILE),
    key: pemOf('KAFKA_SSL_KEY_FILE', env.KAFKA_SSL_KEY_FILE),
  };
  const given = Object.fromEntries(Object.entries(pems).filter(([, pem]) => pem !== undefined));
  const ssl = Object.keys(given).length > 0 ? given : env.KAFKA_SSL;
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username = '', KAFKA_SASL_PASSWORD: password = '' } = env;
  const sasl = mechanism === undefined ? {} : { sasl: { mechanism, username, password } };
  return kafkaClient({ brokers: env.KAFKA_BROKERS.split(','), clientId: env.KAFKA_CLIENT_ID, ssl, ...sasl }, log.child({ part: 'kafka' }));
}

export function openStateStore(settings: Settings, { kafka, clock, log }: { kafka: Kafka; clock: Clock; log: Logger }): StateStore {
  const { STATE_STORE: kind, STATE_DIR: folder, STATE_HASH_SEED: seed } = settings.env;
  const hashSeed = seed === undefined ? {} : { hashSeed: Uint8Array.from(Buffer.from(seed, 'hex')) };
  if (kind === 'kafka') {
    const logger = log.child({ part: 'state' });
    const topic = new KafkaStateTopic(kafka, { topic: outputTopic(settings, 'state'), clock, logger });
    return new KafkaStateStore({ topic, logger, folder, ...hashSeed });
  }
  return kind === 'dir' ? new DirStateStore(folder, hashSeed) : new MemoryStateStore(hashSeed);
}

/** Partitions by topic whose state an earlier process has left here; copies of what has long gone are deleted on the way. */
export async function heldBefore(settings: Settings, stage: TaskId['stage'], log: Logger): Promise<Record<string, number[]>> {
  const { STATE_STORE: kind, STATE_DIR: folder } = settings.env;
  if (kind === 'memory') return {};
  try {
    const kept = (await keptIn(kind === 'kafka' ? copiesOf(folder) : folder)).filter((each) => each.stage === stage);
    if (kind === 'kafka') for (const { path } of await dropStaleCopies(kept)) log.info({ path }, 'an old copy of state was deleted');
    return heldLately(kept);
  } catch (err) {
    log.warn({ err, folder }, 'the state folder cannot be looked through, going on without what it holds');
    return {};
  }
}

export const inputTopics = (settings: Settings): string[] => STREAMS.map((stream) => settings.streams[stream].topic);

/** What decides in which partition a key lies. */
const keyedTopics = (settings: Settings): string[] => [...inputTopics(settings), outputTopic(settings, 'partials')];

/** What the stages write to: the first record for one that is missing would stop its task. */
const writtenTopics = (settings: Settings, stage: 'ingest' | 'evaluate' | 'both'): string[] => {
  const { OUTPUT_UNIQUE: unique, STATE_STORE: store } = settings.env;
  const sides: OutputName[] = stage === 'evaluate' ? [] : ['duplicates', 'late', 'invalid', 'violations'];
  if (stage !== 'evaluate' && unique) sides.push('unique');
  if (stage !== 'ingest') sides.push('alerts');
  if (store === 'kafka') sides.push('state');
  return sides.map((name) => outputTopic(settings, name));
};

/** Partitions of the inputs and `.partials`. Rejects with topic_missing that names every topic of theirs and `also` that is not there. */
export async function countPartitions(
  admin: KafkaAdmin,
  settings: Settings,
  also: readonly string[] = [],
): Promise<ReadonlyMap<string, number>> {
  const found = await admin.partitionCounts([...keyedTopics(settings), ...also]);
  const missing = [...found].filter(([, partitions]) => partitions === null).map(([name]) => name);
  if (missing.length > 0) {
    throw new StreamError(
      'topic_missing',
      `There is no topic ${missing.join(', ')}: \`exposure-stream migrate --topics\` creates what is missing`,
    );
  }
  return new Map(keyedTopics(settings).map((name) => [name, found.get(name) ?? 0]));
}

/** As `countPartitions`, after a look at all that these stages write to. */
export const checkTopics = (
  admin: KafkaAdmin,
  settings: Settings,
  stage: 'ingest' | 'evaluate' | 'both',
): Promise<ReadonlyMap<string, number>> => countPartitions(admin, settings, writtenTopics(settings, stage));
