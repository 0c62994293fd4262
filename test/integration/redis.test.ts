import { connect, createServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { RedisCounters } from '../../src/sinks/redis-counters.ts';
import { COMPARE_AND_SET } from '../../src/sinks/redis-scripts.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import type { CounterWrite } from '../../src/topology/types.ts';
import { counterSinkConformance } from '../conformance/counter-sink.ts';
import { startServices, type TestServices } from '../services/index.ts';
import { describeIntegration, uniqueName } from '../services/integration.ts';
import { startRedisCluster } from './redis-cluster.ts';

const HOUR_MS = 3_600_000;
const clock = new SystemClock();
const spend = (key: string, micros: string): CounterWrite => ({ key, fields: { spend_micros: micros }, expiryMs: HOUR_MS });
const writer = (version: number) => ({ partition: 3, epoch: 1, version });

/** A log that keeps what it was told. */
const listeningLog = () => {
  const lines: string[] = [];
  return { lines, log: pino({ level: 'info' }, { write: (line) => void lines.push(line) }) };
};

const openSink = (url: string, keyPrefix: string, log = listeningLog().log) => new RedisCounters({ url, keyPrefix, clock, log });

/** The real store below one prefix. */
const harness = async (url: string, client: Redis) => {
  const prefix = `${uniqueName('sink')}:`;
  const sinks: RedisCounters[] = [];
  const keys = () => client.keys(`${prefix}*`);
  return {
    sink: () => {
      const sink = openSink(url, prefix);
      sinks.push(sink);
      return sink;
    },
    read: async (key: string) => {
      const fields = await client.hgetall(prefix + key);
      return Object.keys(fields).length === 0 ? null : fields;
    },
    expiryMs: async (key: string) => {
      const left = await client.pttl(prefix + key);
      return left < 0 ? null : left;
    },
    wipe: async () => {
      for (const key of await keys()) await client.del(key);
    },
    plant: async (key: string, fields: Record<string, string>) => {
      await client.del(prefix + key);
      await client.hset(prefix + key, fields);
    },
    close: async () => {
      for (const key of await keys()) await client.del(key);
      for (const sink of sinks) await sink.close();
    },
  };
};

describeIntegration('Redis', ({ redisUrl }) => {
  let client: Redis;
  beforeAll(() => {
    client = new Redis(redisUrl);
  });
  afterAll(() => client.disconnect());

  counterSinkConformance('RedisCounters', () => harness(redisUrl, client));

  it('a run of no keys is an error, not an endless script', async () => {
    await expect(client.eval(COMPARE_AND_SET.lua, 1, uniqueName('run'), '1', '1', '60000', '0', '0', '1', 'a')).rejects.toThrow(
      'a run of no keys',
    );
  });

  it('a script cache that was flushed is filled again by the next write', async () => {
    const sink = openSink(redisUrl, `${uniqueName('sink')}:`);
    await sink.write(writer(1), [spend('k', '1')]);
    await client.script('FLUSH');
    await expect(sink.write(writer(2), [spend('k', '2')])).resolves.toMatchObject({ refused: [], dataLost: false });
    await sink.close();
  });

  it('a key of ours that is no hash holds the write up, is named, and the other keys are written', async () => {
    const prefix = `${uniqueName('sink')}:`;
    const sink = openSink(redisUrl, prefix);
    await client.set(`${prefix}spend:{c}:d`, 'somebody else’s');
    const write = sink.write(writer(1), [spend('spend:{c}:d', '1'), spend('spend:{other}:d', '2')]);
    await vi.waitFor(() => expect(sink.lastError).toContain(`${prefix}spend:{c}:d`), 5_000);
    expect(sink.healthy).toBe(false);
    expect(await client.get(`${prefix}spend:{c}:d`)).toBe('somebody else’s');
    expect(await client.hget(`${prefix}spend:{other}:d`, 'spend_micros')).toBe('2');
    await client.del(`${prefix}spend:{c}:d`);
    expect((await write).refused).toEqual([]);
    expect(sink.healthy).toBe(true);
    await sink.close();
  });

  it('answers that never arrive change nothing: what is sent again is fenced', async () => {
    const prefix = `${uniqueName('sink')}:`;
    const proxy = await replyDroppingProxy(redisUrl);
    const sink = openSink(proxy.url, prefix);
    await sink.write(writer(1), [spend('k', '10')]);
    proxy.dropReplies(3);
    const write = sink.write(writer(2), [spend('k', '20'), spend('l', '5')]);
    await vi.waitFor(() => expect(proxy.dropped()).toBe(3), 10_000);
    expect(await write).toMatchObject({ refused: [], dataLost: false });
    expect(await client.hgetall(`${prefix}k`)).toEqual({ spend_micros: '20', epoch: '1', version: '2' });
    await sink.close();
    await proxy.close();
  });

  it('a loss that is found by a command whose answer is dropped is still reported', async () => {
    const prefix = `${uniqueName('sink')}:`;
    const proxy = await replyDroppingProxy(redisUrl);
    const sink = openSink(proxy.url, prefix);
    await sink.write(writer(1), []);
    await client.del(`${prefix}marker:{3}`);
    proxy.dropReplies(2);
    expect(await sink.write(writer(2), [])).toMatchObject({ refused: [], dataLost: true });
    await sink.close();
    await proxy.close();
  });

  it('closing ends a write that waits for a Redis that is not there, at once', async () => {
    const { lines, log } = listeningLog();
    const sink = openSink('redis://user:hunter2@127.0.0.1:1/0', '', log);
    const write = sink.write(writer(1), [spend('k', '1')]);
    const refused = expect(write).rejects.toMatchObject({ code: 'redis_unreachable' });
    await vi.waitFor(() => expect(sink.lastError).toContain('ECONNREFUSED'), 5_000);
    const began = performance.now();
    await sink.close();
    await refused;
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(lines.join()).not.toContain('hunter2');
  });

  it('a password that is refused is named by Redis’ words and never shown', async () => {
    const { lines, log } = listeningLog();
    const url = new URL(redisUrl);
    Object.assign(url, { username: 'nobody', password: 'hunter2' });
    const sink = openSink(url.href, '', log);
    const ended = sink.write(writer(1), [spend('k', '1')]).catch(() => {});
    await vi.waitFor(() => expect(lines.join()).toContain('WRONGPASS'), 5_000);
    await sink.close();
    await ended;
    expect(lines.join() + sink.lastError).not.toContain('hunter2');
  });
});

describeIntegration('a Redis of its own', () => {
  let services: TestServices;
  let client: Redis;
  let sink: RedisCounters;
  beforeAll(async () => {
    services = await startServices({ redis: true, own: true });
    client = new Redis(services.redisUrl);
    client.on('error', () => {});
  });
  afterEach(() => sink.close());
  afterAll(async () => {
    client.disconnect();
    await services.stop();
  });

  const holdsUp = async (reason: RegExp, heal: () => Promise<unknown>): Promise<void> => {
    const { lines, log } = listeningLog();
    sink = openSink(services.redisUrl, `${uniqueName('own')}:`, log);
    const write = sink.write(writer(1), [spend('k', '1')]);
    await vi.waitFor(() => expect(sink.lastError).toMatch(reason), 5_000);
    await heal();
    expect((await write).refused).toEqual([]);
    expect(sink.lastError).toBeNull();
    expect(lines.join()).toMatch(reason);
    expect(lines.at(-1)).toContain('takes counters again');
  };

  it('a full Redis is waited for and named', async () => {
    await client.config('SET', 'maxmemory', '1');
    await holdsUp(/OOM/, () => client.config('SET', 'maxmemory', '0'));
  });

  it('a replica that takes no writes is waited for and named', async () => {
    await client.replicaof('127.0.0.1', '1');
    await holdsUp(/READONLY/, () => client.replicaof('NO', 'ONE'));
  });

  it('a Redis that comes back empty is noticed within a second of its return', async () => {
    sink = openSink(services.redisUrl, 'restart:');
    await sink.write(writer(1), [spend('k', '1')]);
    await services.restartRedis();
    const began = performance.now();
    expect(await sink.write(writer(2), [spend('k', '2')])).toMatchObject({ refused: [], dataLost: true });
    expect(performance.now() - began).toBeLessThan(2_000);
    expect((await sink.write(writer(3), [])).dataLost).toBe(false);
  });
});

describeIntegration('a Redis Cluster', () => {
  it('writes keys of many slots, each script within one', async () => {
    const cluster = await startRedisCluster();
    const sink = openSink(`${cluster.url},${cluster.url}`, 'p:');
    const writes = Array.from({ length: 500 }, (_, n) => spend(`spend:{c${n % 250}}:d${n}`, String(n)));
    expect((await sink.write(writer(4), writes)).refused).toEqual([]);
    expect((await sink.write(writer(3), writes.slice(0, 2))).refused.map(({ key }) => key)).toEqual([
      'spend:{c0}:d0',
      'spend:{c1}:d1',
      'marker:{3}',
    ]);
    expect(await cluster.client.hgetall('p:spend:{c7}:d257')).toEqual({ spend_micros: '257', epoch: '1', version: '4' });
    await sink.close();
    await cluster.stop();
  });
});

/** Forwards bytes both ways, and on demand closes connections instead of forwarding the answer to a script. */
const replyDroppingProxy = async (targetUrl: string) => {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let toDrop = 0;
  let dropped = 0;
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    let script = false;
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
    near.on('data', (bytes) => {
      script = /eval/i.test(bytes.toString('latin1'));
      far.write(bytes);
    });
    far.on('data', (bytes) => {
      if (script && toDrop > 0) {
        toDrop -= 1;
        dropped += 1;
        near.destroy();
      } else near.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `redis://127.0.0.1:${port}/0`,
    dropReplies: (count: number) => {
      toDrop = count;
    },
    dropped: () => dropped,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
