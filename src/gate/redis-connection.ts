/** Connections to Redis, for the gate and for the sinks: one node or a cluster, with TLS or without. */
import { Cluster, Redis } from 'ioredis';

/** Either kind speaks the commands used here; only a cluster asks for keys of one slot in one script. */
export type RedisClient = Redis | Cluster;

const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_MAX_MS = 500;

export interface ConnectionOptions {
  /** Waiting this long for an answer means that none will come. Absent: who sends a command sets its own bound. */
  commandTimeoutMs?: number;
}

/**
 * A command is refused at once while there is no connection, and rejected when its connection breaks: who sends it
 * decides about sending it again, and can log it and stop. (ioredis by default queues and resends by itself, unseen.)
 */
const common = ({ commandTimeoutMs }: ConnectionOptions) => ({
  ...(commandTimeoutMs === undefined ? {} : { commandTimeout: commandTimeoutMs }),
  connectTimeout: CONNECT_TIMEOUT_MS,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
});

const reconnectDelayMs = (attempt: number): number => Math.min(attempt * 50, RECONNECT_MAX_MS);

const parse = (text: string): URL => {
  // The text may hold a password: it is in no message, and neither is the URL error, which carries it.
  if (!URL.canParse(text)) throw new TypeError('This is not the URL of a Redis (redis://host:port, comma list for a cluster).');
  return new URL(text);
};

/** `redis://h:1,redis://h:2` or `redis://:password@h:1,h:2`: what an address leaves out is taken from the first. */
const addresses = (list: string): URL[] => {
  const [first, ...others] = list.split(',').filter((part) => part !== '');
  const head = parse(first ?? '');
  return [head, ...others.map((part) => parse(part.includes('://') ? part : `${head.protocol}//${part}`))];
};

const openCluster = (urls: readonly URL[], options: ConnectionOptions): Cluster => {
  const { protocol, username, password } = urls[0];
  return new Cluster(
    urls.map(({ hostname, port }) => ({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || 6379 })),
    {
      enableOfflineQueue: false,
      clusterRetryStrategy: reconnectDelayMs,
      redisOptions: {
        ...common(options),
        ...(username ? { username: decodeURIComponent(username) } : {}),
        ...(password ? { password: decodeURIComponent(password) } : {}),
        ...(protocol === 'rediss:' ? { tls: {} } : {}),
      },
      // A certificate names hosts: with TLS the names the cluster announces are used as they are.
      ...(protocol === 'rediss:' ? { dnsLookup: (address, done) => done(null, address) } : {}),
    },
  );
};

/** Connects in the background; a comma in `url` means a cluster. Throws a TypeError for what is no URL. */
export const openRedis = (url: string, options: ConnectionOptions = {}): RedisClient => {
  const urls = addresses(url);
  if (url.includes(',')) return openCluster(urls, options);
  return new Redis(urls[0].href, { ...common(options), enableOfflineQueue: false, retryStrategy: reconnectDelayMs });
};
