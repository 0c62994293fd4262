/** How this program meets a Kafka cluster: connection, compression codecs, logs and the names of errors. */
import kafkajs, { type Kafka, type KafkaConfig } from 'kafkajs';
import { asError, StreamError } from '../../errors.ts';
import { CODECS } from './codecs.ts';
import { repairKafkajs } from './kafkajs-internals.ts';
import { openSocket } from './kafkajs-network.ts';

/** As pino has it. */
export interface KafkaLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface KafkaClientSettings {
  /** host:port */
  brokers: string[];
  clientId: string;
  /** True: the system's authorities. The others are PEM texts. */
  ssl?: boolean | { ca?: string; cert?: string; key?: string };
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };
}

// Node finds only some of the names that this CommonJS module exports.
const { CompressionCodecs, logLevel } = kafkajs;

const registerCodecs = (): void => {
  const registered = CompressionCodecs as Record<number, () => object>;
  for (const [number, codec] of Object.entries(CODECS)) {
    registered[Number(number)] = () => ({
      compress: ({ buffer }: { buffer: Buffer }) => codec.compress(buffer),
      decompress: (bytes: Buffer) => codec.decompress(bytes),
    });
  }
};

/** Connects to nothing yet. */
export const kafkaClient = (settings: KafkaClientSettings, logger: KafkaLogger): Kafka => {
  repairKafkajs();
  registerCodecs();
  const { brokers, clientId, ssl, sasl } = settings;
  return new kafkajs.Kafka({
    brokers,
    clientId,
    ...(ssl ? { ssl } : {}),
    ...(sasl ? { sasl: sasl as NonNullable<KafkaConfig['sasl']> } : {}),
    socketFactory: openSocket,
    connectionTimeout: 3000,
    // Longer outages are waited for by our own loops, which can be stopped.
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 3 },
    logLevel: logLevel.INFO,
    logCreator: () => (entry) => forward(entry, logger),
  });
};

/** kafkajs tells of every attempt to connect at error, and of every pause at info. What matters is told by our own loops. */
const forward = (entry: { namespace: string; log: { message: string } }, logger: KafkaLogger): void => {
  const { message, ...fields } = entry.log;
  logger.debug(fields, `kafkajs ${entry.namespace}: ${message}`);
};

interface KafkaFault extends Error {
  type?: string;
  retriable?: boolean;
  cause?: unknown;
}

/** The error at the bottom of kafkajs's wrappings. */
export const rootOf = (error: unknown): KafkaFault => {
  let root: KafkaFault = asError(error);
  while (root.cause instanceof Error) root = root.cause;
  return root;
};

const FATAL_TYPES = new Set([
  'SASL_AUTHENTICATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'TOPIC_AUTHORIZATION_FAILED',
  'INVALID_GROUP_ID',
  'INCONSISTENT_GROUP_PROTOCOL',
  'INVALID_TOPIC_EXCEPTION',
  'UNSUPPORTED_SASL_MECHANISM',
]);

/** The error by its name in this program; null when the same call may succeed later. */
export const fatalKafkaError = (error: unknown): StreamError | null => {
  if (error instanceof StreamError) return error.action === 'retry' ? null : error;
  const root = rootOf(error);
  if (root.type === 'UNKNOWN_TOPIC_OR_PARTITION') {
    return new StreamError('topic_missing', `A topic does not exist: ${root.message}`, { cause: error });
  }
  if (root.name === 'KafkaJSSASLAuthenticationError' || FATAL_TYPES.has(root.type ?? '')) {
    return new StreamError('kafka_refused', `Kafka refuses this client: ${root.message}`, { cause: error });
  }
  return null;
};

export const kafkaError = (error: unknown): StreamError =>
  fatalKafkaError(error) ??
  new StreamError('kafka_unreachable', `Kafka does not answer as it should: ${rootOf(error).message}`, { cause: error });
