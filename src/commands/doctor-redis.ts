/** Does Redis answer, may this user write, and will it keep what is written? */
import type { Settings } from '../config.ts';
import { StreamError } from '../errors.ts';
import { openRedis, type RedisClient } from '../sinks/redis-client.ts';
import { type Finding, failedCheck, placeOf, withoutSecrets } from './doctor-report.ts';

/** KEYS[1]: a key of its own that expires. Returns nothing; fails where writing or scripts are not allowed. */
const TRIAL = "redis.call('SET', KEYS[1], '1', 'PX', 5000)";

export async function checkRedis(settings: Settings): Promise<Finding[]> {
  const { REDIS_URL: url, REDIS_KEY_PREFIX: prefix } = settings.env;
  let client: RedisClient | undefined;
  try {
    client = openRedis(url);
    await ready(client);
    await client.eval(TRIAL, 1, `${prefix}doctor:{trial}`);
    const connected: Finding = { name: 'redis', status: 'ok', says: `Connected to ${placeOf(url)}, may write.` };
    return [connected, ...(await checkMemory(client))];
  } catch (error) {
    const text = withoutSecrets(error instanceof Error ? error.message : String(error), [url]);
    const failure = error instanceof StreamError ? error : new StreamError('redis_unreachable', `Redis at ${placeOf(url)}: ${text}`);
    return [failedCheck('redis', failure, todoOf(text, url))];
  } finally {
    client?.disconnect();
  }
}

/** ioredis goes on trying for ever: the first failure is what is wanted here. */
const ready = (client: RedisClient): Promise<void> =>
  new Promise((resolve, reject) => {
    client.once('ready', resolve);
    client.on('error', (error: Error & { lastNodeError?: Error }) => reject(error.lastNodeError ?? named(error)));
  });

const named = (error: Error): Error =>
  error.message === '' ? new Error((error as NodeJS.ErrnoException).code ?? error.name, { cause: error }) : error;

function todoOf(text: string, url: string): string {
  if (/WRONGPASS|NOAUTH|invalid (username|password)|AUTH/i.test(text)) return 'Check user and password in REDIS_URL (or REDIS_URL_FILE).';
  if (/NOPERM/.test(text)) return 'Allow this user EVALSHA, EVAL, SCRIPT, TIME and reading and writing its keys (ACL SETUSER).';
  if (/READONLY/.test(text)) return 'REDIS_URL names a replica: set it to the primary.';
  if (/OOM/.test(text)) return 'Redis is full: raise maxmemory or free memory.';
  return `Start Redis, or set REDIS_URL (now ${placeOf(url)}).`;
}

/** INFO is asked first: managed services often deny CONFIG. */
async function checkMemory(client: RedisClient): Promise<Finding[]> {
  const found = (await settingsByInfo(client)) ?? (await settingsByConfig(client));
  if (found === null) {
    const says = 'INFO and CONFIG GET are denied: whether Redis may evict counters is not known.';
    return [{ name: 'redis', status: 'warning', says, todo: 'See that maxmemory-policy is noeviction.' }];
  }
  const { bytes, policy } = found;
  if (policy === 'noeviction') return [];
  const says =
    bytes > 0
      ? `May evict counters: maxmemory is ${bytes} bytes and maxmemory-policy ${policy}.`
      : `maxmemory-policy is ${policy}: nothing is evicted only as long as maxmemory is 0.`;
  return [{ name: 'redis', status: 'warning', says, todo: 'Set maxmemory-policy to noeviction.' }];
}

interface Memory {
  bytes: number;
  policy: string;
}

async function settingsByInfo(client: RedisClient): Promise<Memory | null> {
  const text = await client.info('memory').catch(() => '');
  const policy = /^maxmemory_policy:(\S+)/m.exec(text)?.[1];
  const bytes = /^maxmemory:(\d+)/m.exec(text)?.[1];
  return policy === undefined || bytes === undefined ? null : { bytes: Number(bytes), policy };
}

async function settingsByConfig(client: RedisClient): Promise<Memory | null> {
  const answer = await client.config('GET', 'maxmemory*').catch(() => null);
  if (answer === null) return null;
  const pairs = Array.isArray(answer) ? (answer as string[]) : Object.entries(answer as Record<string, string>).flat();
  const valueAfter = (name: string) => pairs[pairs.indexOf(name) + 1];
  return pairs.includes('maxmemory-policy') ? { bytes: Number(valueAfter('maxmemory')), policy: valueAfter('maxmemory-policy') } : null;
}
