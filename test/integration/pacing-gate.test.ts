import { afterEach, expect, it, vi } from 'vitest';
import { type GateEvent, type GateOptions, openGate, type PacingGate } from '../../src/gate/index.ts';
import { PaceWriter } from '../gate/pace-writer.ts';
import { startServices } from '../services/index.ts';
import { describeIntegration, uniqueName } from '../services/integration.ts';
import { Gate as Way } from './gate.ts';
import { startRedisCluster } from './redis-cluster.ts';

const open = { multiplier: 0.5, state: 'open', reason: 'pacing' };
/** Thirty seconds of waiting made two. */
const QUICK = { refreshMs: 200, staleAfterMs: 2000, goneAfterMs: 1000, recoverMs: 500, timeoutMs: 1000 };
const WAIT = { timeout: 10_000, interval: 10 };

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** A gate on a real Redis, and a writer beside it. */
async function story(redisUrl: string, options: Partial<GateOptions> = {}) {
  const keyPrefix = `${uniqueName('gate')}:`;
  const writer = new PaceWriter(redisUrl, [`${keyPrefix}pace:{c}`]);
  endings.push(() => writer.close());
  const events: GateEvent[] = [];
  const gate = openGate({ redis: redisUrl, keyPrefix, ...QUICK, onEvent: (event) => void events.push(event), ...options });
  endings.push(() => gate.close());
  return { gate, writer, events, key: `${keyPrefix}pace:{c}`, keyPrefix };
}

const name = (at: number): string => `größe_${at}`;
const until = (gate: PacingGate, answer: object) => vi.waitFor(() => expect(gate.check('c')).toMatchObject(answer), WAIT);

describeIntegration('the gate before a real Redis', ({ redisUrl }) => {
  it('opens within moments of the first check', async () => {
    const { gate, writer } = await story(redisUrl);
    await writer.start();
    expect(await gate.preload(['c'])).toBe(true);
    expect(gate.check('c')).toEqual(open);
    const began = performance.now();
    expect(gate.check('d').state).toBe('closed');
    await vi.waitFor(() => expect(gate.check('d').reason).toBe('key_missing'), WAIT);
    expect(performance.now() - began).toBeLessThan(500);
  });

  it('shows within a refresh that a campaign was stopped', async () => {
    const { gate, writer } = await story(redisUrl);
    await writer.start();
    await until(gate, open);
    writer.stop();
    await writer.write({ state: 'stopped', multiplier: '0', reason: 'cap_reached' });
    const began = performance.now();
    await until(gate, { multiplier: 0, state: 'stopped', reason: 'cap_reached' });
    expect(performance.now() - began).toBeLessThan(QUICK.refreshMs * 1.1 + 100);
  });

  it('is conservative when the key is missing, and open again soon after it is back', async () => {
    const { gate, writer, key } = await story(redisUrl);
    await writer.start();
    await until(gate, open);
    writer.stop();
    await writer.client.del(key);
    await until(gate, { state: 'conservative', reason: 'key_missing' });
    await writer.start();
    await until(gate, { state: 'conservative', reason: 'recovering' });
    await until(gate, open);
  });

  it('is conservative when nobody writes any more', async () => {
    const { gate, writer } = await story(redisUrl);
    await writer.start();
    await until(gate, open);
    writer.stop();
    const began = performance.now();
    await until(gate, { state: 'conservative', reason: 'stale' });
    expect(performance.now() - began).toBeGreaterThan(QUICK.staleAfterMs - 500);
    await writer.start();
    await until(gate, open);
  });

  it('keeps what it knows when an old dump of the key comes back', async () => {
    const { gate, writer, key } = await story(redisUrl);
    await writer.start();
    await until(gate, open);
    const old = await writer.client.dumpBuffer(key);
    writer.fields = { ...writer.fields, state: 'throttled', multiplier: '0.25', reason: 'near_cap' };
    const known = { multiplier: 0.25, state: 'throttled', reason: 'near_cap' };
    await until(gate, known);
    writer.stop();
    await writer.client.restore(key, 0, old ?? '', 'REPLACE');
    await vi.waitFor(() => expect(gate.stats.outdated).toBeGreaterThan(2), WAIT);
    expect(gate.check('c')).toEqual(known);
  });

  it.each([-600_000, 600_000])('does not care that the machine’s date is %i ms wrong', async (wrongMs) => {
    const right = Date.now;
    Date.now = () => right() + wrongMs;
    endings.push(() => {
      Date.now = right;
    });
    const { gate, writer } = await story(redisUrl);
    await writer.start();
    await until(gate, open);
    await vi.waitFor(() => expect(gate.stats.reads).toBeGreaterThan(15), WAIT);
    expect(gate.check('c')).toEqual(open);
  });

  it('notices by its own monotonic clock that counting stands still, where Redis’ clock is 10 minutes behind Kafka’s', async () => {
    const { gate, writer } = await story(redisUrl);
    writer.behindMs = -600_000;
    await writer.start();
    await until(gate, open);
    writer.countedUntilMs = Number(await writer.client.hget(writer.keys[0], 'counted_until_ms'));
    await until(gate, { state: 'conservative', reason: 'stale' });
  });

  it('is conservative where Redis’ clock is 10 minutes ahead of Kafka’s', async () => {
    const { gate, writer } = await story(redisUrl);
    writer.behindMs = 600_000;
    await writer.start();
    await until(gate, { state: 'conservative', reason: 'stale' });
  });

  it('reads by HMGET as a user who may run no scripts', async () => {
    const { gate: first, writer, keyPrefix } = await story(redisUrl);
    first.close();
    const [user, password] = [uniqueName('bidder'), 'open-sesame'];
    await writer.client.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~*', '+@read', '+@connection', '+time', '+info', '-@scripting');
    endings.push(() => writer.client.call('ACL', 'DELUSER', user));
    const url = Object.assign(new URL(redisUrl), { username: user, password });
    const gate = openGate({ redis: url.href, keyPrefix, ...QUICK });
    endings.push(() => gate.close());
    await writer.start();
    await until(gate, open);
    expect(await gate.preload(['nobody'])).toBe(true);
    expect(gate.check('nobody')).toMatchObject({ state: 'closed', reason: 'key_missing' });
  });

  it('a key that is no hash is closed and named, by script', async () => {
    const { gate, writer, key, events } = await story(redisUrl);
    await writer.client.set(key, 'somebody else’s');
    await until(gate, { state: 'closed', reason: 'key_unreadable' });
    expect(events).toContainEqual({ kind: 'unreadable', key });
  });

  it('reads campaigns of any name, each its own, a broken one among them', async () => {
    const { gate, writer, keyPrefix } = await story(redisUrl);
    const names = ['ü', '{}:', 'a\r\nb', ' ', '💶', '__proto__', '$-1\r\n', '7:x'];
    const writers = names.map((name) => new PaceWriter(redisUrl, [`${keyPrefix}pace:{${name}}`]));
    for (const [at, one] of writers.entries()) {
      endings.push(() => one.close());
      one.fields = { ...one.fields, multiplier: String(at / 10), reason: name(at) };
      await one.start();
    }
    await writer.client.hset(`${keyPrefix}pace:{broken}`, { version: '1\n2\n3', reason: '9:\n' });
    expect(await gate.preload([...names, 'broken', 'nobody'])).toBe(true);
    for (let round = 0; round < 3; round++) {
      for (const [at, one] of names.entries()) expect(gate.check(one)).toEqual({ multiplier: at / 10, state: 'open', reason: name(at) });
      expect(gate.check('broken').reason).toBe('key_unreadable');
      expect(gate.check('nobody').reason).toBe('key_missing');
      const { reads } = gate.stats;
      await vi.waitFor(() => expect(gate.stats.reads).toBeGreaterThan(reads + 1), WAIT);
    }
  });

  it('a password that is refused is not shown in any event', async () => {
    const url = Object.assign(new URL(redisUrl), { username: 'nobody', password: 'hunter2' });
    const { gate, events } = await story(url.href);
    gate.check('c');
    await vi.waitFor(() => expect(gate.stats.readsFailed).toBeGreaterThan(1), WAIT);
    expect(gate.check('c').state).toBe('closed');
    expect(JSON.stringify(events)).not.toContain('hunter2');
  });
});

describeIntegration('the gate on a way to Redis that fails', ({ redisUrl }) => {
  const behind = async () => {
    const way = await Way.to(redisUrl);
    endings.push(() => way.close().catch(() => undefined));
    const parts = await story(redisUrl, { redis: way.url });
    await parts.writer.start();
    await until(parts.gate, open);
    return { way, ...parts };
  };

  it('is conservative when Redis is down, and open again when it is back', async () => {
    const { way, gate, events } = await behind();
    await way.close();
    const began = performance.now();
    await until(gate, { state: 'conservative', reason: 'redis_gone' });
    expect(performance.now() - began).toBeGreaterThan(QUICK.goneAfterMs - QUICK.refreshMs - 100);
    await way.open();
    await until(gate, open);
    expect(events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['redis_gone', 'redis_back']));
  });

  it('stays fresh when every answer takes 500 ms, and does not ask more often than it is answered', async () => {
    const { way, gate } = await behind();
    way.delayMs = 500;
    const before = gate.stats;
    const began = performance.now();
    await vi.waitFor(() => expect(gate.stats.reads - before.reads).toBeGreaterThan(5), WAIT);
    // The campaign's reads follow each other; none is sent while one is under way, and none failed.
    expect(performance.now() - began).toBeGreaterThan(5 * 500);
    expect(gate.check('c')).toEqual(open);
    expect(gate.stats.readsFailed).toBe(before.readsFailed);
  });

  it('breaks a connection off that stands but says nothing, and is back when a new one answers', async () => {
    const { way, gate } = await behind();
    way.isStuck = true;
    await until(gate, { state: 'conservative', reason: 'redis_gone' });
    await vi.waitFor(() => expect(gate.stats.readsFailed).toBeGreaterThan(0), WAIT);
    way.isStuck = false;
    await until(gate, open);
  });
});

describeIntegration('the gate and a Redis of its own', () => {
  it('a Redis that comes back empty leaves no campaign closed', async () => {
    const services = await startServices({ redis: true, own: true });
    endings.push(() => services.stop());
    const { gate, writer } = await story(services.redisUrl);
    await writer.start();
    await until(gate, open);
    writer.stop();
    const states = new Set<string>();
    const watch = setInterval(() => states.add(gate.check('c').state), 5);
    endings.push(() => clearInterval(watch));
    await services.restartRedis();
    await until(gate, { state: 'conservative', reason: 'key_missing' });
    await writer.start();
    await until(gate, open);
    expect(states).toEqual(new Set(['open', 'conservative']));
  });

  it('a cluster is read with one pipeline a node', async () => {
    const cluster = await startRedisCluster();
    endings.push(() => cluster.stop());
    const ids = Array.from({ length: 300 }, (_, at) => `c${at}`);
    const writers = ids.map((id) => new PaceWriter(cluster.url, [`p:pace:{${id}}`]));
    for (const writer of writers) {
      endings.push(() => writer.close());
      await writer.write();
    }
    const gate = openGate({ redis: `${cluster.url},${cluster.url}`, keyPrefix: 'p:', ...QUICK });
    endings.push(() => gate.close());
    expect(await gate.preload(ids)).toBe(true);
    expect(new Set(ids.map((id) => gate.check(id).state))).toEqual(new Set(['open']));
  });
});
