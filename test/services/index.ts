/**
 * Real Kafka, Redis and Postgres for tests, each from the first place that has it: a given URL (TEST_KAFKA_BROKERS,
 * TEST_REDIS_URL, TEST_DATABASE_URL), Docker, or processes of its own on free loopback ports in a temporary folder.
 */
import { findDocker, type InDocker } from './docker.ts';
import { askKafka, startLocalKafka } from './kafka.ts';
import { Keeper } from './keeper.ts';
import { askPostgres, startLocalPostgres } from './postgres.ts';
import { askRedis, startLocalRedis } from './redis.ts';
import { ServiceMissing } from './tools.ts';

export { ServiceMissing };

export type ServiceName = 'kafka' | 'redis' | 'postgres';
export type How = 'given' | 'docker' | 'local';

export interface TestServices {
  /** Comma list of host:port; empty when Kafka was not asked for. The other two alike. */
  kafkaBrokers: string;
  redisUrl: string;
  databaseUrl: string;
  how: Partial<Record<ServiceName, How>>;
  /** Redis dies without a word and comes back empty under the same URL. Not possible for a given one. */
  restartRedis(): Promise<void>;
  stop(): Promise<void>;
}

export interface StartOptions {
  /** All three when none is named. */
  kafka?: boolean;
  redis?: boolean;
  postgres?: boolean;
  /** Passes over given URLs, for a test that breaks what it uses. */
  own?: boolean;
}

interface Started {
  url: string;
  how: How;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

interface Service {
  name: ServiceName;
  variable: string;
  ask(url: string): Promise<void>;
  local(keeper: Keeper): Promise<{ url: string; restart?(): Promise<void> }>;
}

const SERVICES: readonly Service[] = [
  {
    name: 'kafka',
    variable: 'TEST_KAFKA_BROKERS',
    ask: askKafka,
    local: async (keeper) => ({ url: await startLocalKafka(keeper) }),
  },
  { name: 'redis', variable: 'TEST_REDIS_URL', ask: askRedis, local: startLocalRedis },
  {
    name: 'postgres',
    variable: 'TEST_DATABASE_URL',
    ask: askPostgres,
    local: async (keeper) => ({ url: await startLocalPostgres(keeper) }),
  },
];

/** Starts the services at the same time. Throws ServiceMissing where one cannot be had here; then none is left running. */
export async function startServices(options: StartOptions = {}): Promise<TestServices> {
  const all = !options.kafka && !options.redis && !options.postgres;
  const wanted = SERVICES.filter(({ name }) => all || options[name]);
  const keeper = new Keeper();
  const docker = wanted.every((service) => given(service, options)) ? undefined : await findDocker();
  const begun = wanted.map(async (service): Promise<[ServiceName, Started]> => {
    const url = given(service, options);
    if (url) return [service.name, await checkGiven(service, url)];
    const container = await docker?.[service.name]().catch((error: unknown) => fromDocker(service, error));
    return [service.name, container ? { ...container, how: 'docker' } : await startLocal(service, keeper)];
  });
  const settled = await Promise.allSettled(begun);
  const started = new Map(settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
  const stop = async () => {
    await Promise.all([...started.values()].map((service) => service.stop()));
    await keeper.close();
  };
  const failures = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (failures.length > 0) {
    await stop();
    throw combined(failures);
  }
  return {
    kafkaBrokers: started.get('kafka')?.url ?? '',
    redisUrl: started.get('redis')?.url ?? '',
    databaseUrl: started.get('postgres')?.url ?? '',
    how: Object.fromEntries([...started].map(([name, { how }]) => [name, how])),
    restartRedis: async () => started.get('redis')?.restart(),
    stop,
  };
}

const given = (service: Service, { own }: StartOptions): string | undefined =>
  own ? undefined : process.env[service.variable] || undefined;

/** All that is missing in one message; a fault that is none of that goes first. */
function combined(failures: readonly unknown[]): unknown {
  const missing = failures.filter((failure) => failure instanceof ServiceMissing);
  if (missing.length < failures.length) return failures.find((failure) => !(failure instanceof ServiceMissing));
  return new ServiceMissing(missing.map(({ message }) => message).join('\n'));
}

const nothing = async (): Promise<void> => {};

async function checkGiven({ name, variable, ask }: Service, url: string): Promise<Started> {
  try {
    await ask(url);
  } catch (error) {
    throw new Error(`${name} does not answer at the address in ${variable}`, { cause: error });
  }
  const restart = () => Promise.reject(new Error(`${name} was given by ${variable}: start one with { own: true } to restart it`));
  return { url, how: 'given', restart, stop: nothing };
}

async function startLocal({ name, local }: Service, keeper: Keeper): Promise<Started> {
  const cannot = () => Promise.reject(new Error(`${name} cannot be restarted`));
  const { url, restart = cannot } = await local(keeper);
  return { url, how: 'local', restart, stop: nothing };
}

/** An image that cannot be pulled is no reason to give up where the tools are installed. */
function fromDocker({ name }: Service, error: unknown): InDocker | undefined {
  console.warn(`${name}: Docker is there but the container did not start, trying local processes: ${String(error)}`);
  return undefined;
}
