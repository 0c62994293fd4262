import { Redis } from 'ioredis';
import { beforeAll, expect, it } from 'vitest';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { DirStateStore } from '../../src/state/dir-store.ts';
import { describeIntegration, uniqueName } from '../services/integration.ts';
import { CommandBed } from './command-bed.ts';

interface Check {
  name: string;
  status: string;
  says: string;
  todo: string | null;
}

describeIntegration('doctor', (services) => {
  let bed: CommandBed;
  const checks = async (more: Record<string, string> = {}): Promise<{ code: number; found: Check[] }> => {
    const { code, out } = await bed.run(['doctor', '--json'], more);
    return { code, found: JSON.parse(out).checks };
  };
  const notOk = (found: readonly Check[]) => found.filter(({ status }) => status !== 'ok');

  beforeAll(async () => {
    bed = await CommandBed.open(services);
  });

  it('says what is missing, then that all is well', async () => {
    const before = await checks();
    expect(before.code).toBe(1);
    expect(notOk(before.found)).toEqual([
      expect.objectContaining({
        name: 'topics',
        says: expect.stringContaining(`${bed.prefix}partials`),
        todo: expect.stringContaining('migrate --topics'),
      }),
      expect.objectContaining({ name: 'schema', todo: expect.stringContaining('migrate') }),
    ]);
    expect((await bed.run(['migrate', '--topics', '--partitions', '2'])).code).toBe(0);
    const after = await checks();
    expect(notOk(after.found)).toEqual([]);
    expect(after.code).toBe(0);
  });

  it('names time zones that are none', async () => {
    const pool = openPool(bed.environment['DATABASE_URL'] ?? '', 1);
    await pool.query(
      `insert into exposure_stream.campaign (campaign_id, time_zone, valid_from) values ('c1', 'Europe/Atlantis', now() - interval '1 day')`,
    );
    const { code, found } = await checks();
    expect(code).toBe(0);
    expect(notOk(found)).toEqual([
      expect.objectContaining({ name: 'registry', status: 'warning', says: expect.stringMatching(/Europe\/Atlantis.*c1/) }),
    ]);
    await pool.query(`update exposure_stream.campaign set time_zone = 'Europe/Berlin'`);
    await pool.end();
  });

  it('names passwords and users that are refused, and shows none of them', async () => {
    const user = uniqueName('user');
    const redis = new Redis(services.redisUrl);
    await redis.call('ACL', 'SETUSER', user, 'on', '>right', '~*', '+@all');
    const wrong = new URL(services.redisUrl);
    Object.assign(wrong, { username: user, password: 'hunter2' });
    const { code, found } = await checks({ REDIS_URL: wrong.href });
    await redis.call('ACL', 'DELUSER', user);
    await redis.quit();
    expect(code).toBe(1);
    expect(notOk(found)).toEqual([
      expect.objectContaining({ name: 'redis', status: 'error', todo: expect.stringContaining('password in REDIS_URL') }),
    ]);
    expect(JSON.stringify(found)).not.toContain('hunter2');
  });

  it('names a Redis that may evict', async () => {
    const redis = new Redis(services.redisUrl);
    await redis.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
    const { code, found } = await checks();
    await redis.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
    await redis.quit();
    expect(code).toBe(0);
    expect(notOk(found)).toEqual([
      expect.objectContaining({ name: 'redis', says: expect.stringContaining('allkeys-lru'), todo: expect.stringContaining('noeviction') }),
    ]);
  });

  it('names impressions keyed by event_id', async () => {
    const producer = bed.kafka.producer();
    await producer.connect();
    const messages = Array.from({ length: 50 }, (_, i) => ({
      key: `e${i}`,
      value: JSON.stringify({ event_id: `e${i}`, campaign_id: `c${i % 3}`, spend_micros: 1, event_ts: 1 }),
    }));
    await producer.send({ topic: bed.topics.impressions, messages });
    await producer.disconnect();
    const { code, found } = await checks();
    expect(code).toBe(0);
    expect(notOk(found)).toEqual([
      expect.objectContaining({ name: 'keys', status: 'warning', todo: expect.stringContaining('campaign_id') }),
    ]);
  });

  it('names a topic whose partitions are not those the state was made with', async () => {
    const store = new DirStateStore(bed.environment['STATE_DIR'] ?? '');
    const { exposures } = bed.topics;
    const log = store.open({ stage: 'ingest', topic: exposures, partition: 0 });
    const header = { formatVersion: 1, hashSeedId: 'x', partitionCounts: { [exposures]: 2 }, epoch: 1, configuration: '' };
    await log.claim(header);
    await log.append({ from: 0, to: 1, changes: new Uint8Array(1) });
    await store.close();
    expect(notOk((await checks()).found).filter(({ name }) => name === 'partitions')).toEqual([]);

    const admin = bed.kafka.admin();
    await admin.connect();
    await admin.createPartitions({ topicPartitions: [{ topic: exposures, count: 3 }] });
    await admin.disconnect();
    const { code, found } = await checks();
    expect(code).toBe(1);
    expect(found.find(({ name }) => name === 'partitions')).toMatchObject({
      status: 'error',
      says: expect.stringContaining(`${exposures} has 3 partitions and had 2`),
      todo: expect.stringContaining('Recreate the topic'),
    });
  });
});
