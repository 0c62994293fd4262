import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { StartedTestContainer } from 'testcontainers';
import { askKafka, KAFKA_VERSION, SINGLE_BROKER } from './kafka.ts';
import { askPostgres } from './postgres.ts';
import { askRedis } from './redis.ts';
import { freePort, untilReady } from './tools.ts';

/** A service in a container; it goes with this process (testcontainers' reaper). */
export interface InDocker {
  url: string;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface Docker {
  kafka(): Promise<InDocker>;
  redis(): Promise<InDocker>;
  postgres(): Promise<InDocker>;
}

interface Image {
  name: string;
  image: string;
  containerPort: number;
  environment(address: string): Record<string, string>;
  url(address: string): string;
  ask(url: string): Promise<void>;
}

const KAFKA: Image = {
  name: 'Kafka',
  image: `apache/kafka:${KAFKA_VERSION}`,
  containerPort: 9092,
  environment: (address) => ({
    KAFKA_PROCESS_ROLES: 'broker,controller',
    KAFKA_NODE_ID: '1',
    KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
    KAFKA_LISTENERS: 'PLAINTEXT://:9092,CONTROLLER://:9093',
    KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://${address}`,
    KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
    KAFKA_INTER_BROKER_LISTENER_NAME: 'PLAINTEXT',
    ...Object.fromEntries(
      Object.entries(SINGLE_BROKER).map(([name, value]) => [`KAFKA_${name.toUpperCase().replaceAll('.', '_')}`, value]),
    ),
  }),
  url: (address) => address,
  ask: askKafka,
};

const REDIS: Image = {
  name: 'Redis',
  image: 'redis:7-alpine',
  containerPort: 6379,
  environment: () => ({}),
  url: (address) => `redis://${address}/0`,
  ask: askRedis,
};

const POSTGRES: Image = {
  name: 'Postgres',
  image: 'postgres:16-alpine',
  containerPort: 5432,
  environment: () => ({ POSTGRES_HOST_AUTH_METHOD: 'trust' }),
  url: (address) => `postgres://postgres@${address}/postgres`,
  ask: askPostgres,
};

/** Docker when it answers; loading testcontainers costs a second, so only where there is something to ask. */
export async function findDocker(): Promise<Docker | undefined> {
  if (!mayHaveDocker()) return undefined;
  const { getContainerRuntimeClient } = await import('testcontainers');
  try {
    const { host } = (await getContainerRuntimeClient()).info.containerRuntime;
    return { kafka: () => start(KAFKA, host), redis: () => start(REDIS, host), postgres: () => start(POSTGRES, host) };
  } catch {
    return undefined;
  }
}

function mayHaveDocker(): boolean {
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const sockets = ['/var/run/docker.sock', join(homedir(), '.docker/run/docker.sock'), ...(runtime ? [join(runtime, 'docker.sock')] : [])];
  return process.env['DOCKER_HOST'] !== undefined || sockets.some((socket) => existsSync(socket));
}

/** The port outside is chosen beforehand: Kafka advertises it, and it stays the same over a restart. */
async function start({ name, image, containerPort, environment, url, ask }: Image, host: string): Promise<InDocker> {
  const { GenericContainer } = await import('testcontainers');
  const hostPort = await freePort();
  const address = `${host}:${hostPort}`;
  const container: StartedTestContainer = await new GenericContainer(image)
    .withExposedPorts({ container: containerPort, host: hostPort })
    .withEnvironment(environment(address))
    .start();
  const ready = () => untilReady(name, () => ask(url(address)));
  await ready();
  const restart = async () => {
    await container.restart({ timeout: 0 });
    await ready();
  };
  return { url: url(address), restart, stop: async () => void (await container.stop()) };
}
