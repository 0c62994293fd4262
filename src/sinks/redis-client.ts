import { StreamError } from '../errors.ts';
import { openRedis as open, type RedisClient } from '../gate/redis-connection.ts';

export type { RedisClient } from '../gate/redis-connection.ts';

/** Waiting this long for an answer means that none will come: the connection is tried anew. */
const COMMAND_TIMEOUT_MS = 5_000;

/** Connects in the background; a comma in `url` means a cluster. Throws `bad_setting`. */
export const openRedis = (url: string): RedisClient => {
  try {
    return open(url, { commandTimeoutMs: COMMAND_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new StreamError('bad_setting', 'REDIS_URL is not a URL (redis://host:port, comma list for a cluster).');
  }
};

/** Resolves when there is a connection: a command before that is refused at once. Rejects after so long without one. */
export const connected = (redis: RedisClient, withinMs: number): Promise<void> =>
  new Promise((resolve, reject) => {
    if (redis.status === 'ready') resolve();
    redis.once('ready', () => resolve());
    AbortSignal.timeout(withinMs).addEventListener('abort', () => reject(new Error(`no connection within ${withinMs} ms`)));
  });
