import { Cluster, Redis } from 'ioredis';
import { StreamError } from '../errors.ts';

/** Either kind speaks the commands used here; only a cluster asks for keys of one slot in one script. */
export type RedisClient = Redis | Cluster;

/** Waiting this long for an answer means that none will come: the connection is tried anew. */
const COMMAND_TIMEOUT_MS = 5_000;
const RECONNECT_MAX_MS = 500;

/**
 * A command is refused at once while there is no connection, and rejected when its connection breaks: who sends it
 * decides about sending it again, and can log it and stop. (ioredis by default queues and resends by itself, unseen.)
 */
const COMMON = {
  commandTimeout: COMMAND_TIMEOUT_MS,
  connectTimeout: COMMAND_TIMEOUT_MS,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
} as const;

const reconnectDelayMs = (attempt: number): number => Math.min(attempt * 50, RECONNECT_MAX_MS);

const parse = (text: string): URL => {
  // The text may hold a password: it is in no message, and neither is the URL error, which carries it.
  if (!URL.canParse(text)) throw new StreamError('bad_setting', 'REDIS_URL is not a URL (redis://host:port, comma list for a cluster).');
  return new URL(text);
};

/** `redis://h:1,redis://h:2` or `redis://:password@h:1,h:2`: what an address leaves out is taken from the first. */
const addresses = (list: string): URL[] => {
  const [first, ...others] = list.split(',').filter((part) => part !== '');
  const head = parse(first ?? '');
  return [head, ...others.map((part) => parse(part.includes('://') ? part : `${head.protocol}//${part}`))];
};

const openCluster = (urls: readonly URL[]): Cluster => {
  const { protocol, username, password } = urls[0];
  return new Cluster(
    urls.map(({ hostname, port }) => ({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || 6379 })),
    {
      enableOfflineQueue: false,
      clusterRetryStrategy: reconnectDelayMs,
      redisOptions: {
        ...COMMON,
        ...(username ? { username: decodeURIComponent(username) } : {}),
        ...(password ? { password: decodeURIComponent(password) } : {}),
        ...(protocol === 'rediss:' ? { tls: {} } : {}),
      },
      // A certificate names hosts: with TLS the names the cluster announces are used as they are.
      ...(protocol === 'rediss:' ? { dnsLookup: (address, done) => done(null, address) } : {}),
    },
  );
};

/** Connects in the background; a comma in `url` means a cluster. Throws `bad_setting`. */
export const openRedis = (url: string): RedisClient => {
  const urls = addresses(url);
  if (url.includes(',')) return openCluster(urls);
  return new Redis(urls[0].href, { ...COMMON, enableOfflineQueue: false, retryStrategy: reconnectDelayMs });
};
