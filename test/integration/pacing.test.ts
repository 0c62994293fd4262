/** Pacing on real services: what `run` writes, what `gate` says of it, and what `curve` learns. */
import { Redis } from 'ioredis';
import type { Pool } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { Bed } from '../e2e/bed.ts';
import { until } from '../e2e/until.ts';
import { describeIntegration } from '../services/integration.ts';

const DAY = 86_400_000;

describeIntegration('pacing', (services) => {
  let bed: Bed;
  let pool: Pool;
  let redis: Redis;

  beforeAll(async () => {
    bed = await Bed.open(services, { partitions: 2 });
    pool = openPool(bed.services.databaseUrl);
    redis = new Redis(services.redisUrl);
  });
  afterAll(async () => {
    redis.disconnect();
    await pool.end();
    await bed.close();
  });

  const register = async (id: string, cap: number | null, more: Record<string, string> = {}): Promise<void> => {
    const row = { time_zone: 'Asia/Kathmandu', pacing_curve: 'accelerated', status: 'active', ...more };
    await pool.query(
      `insert into exposure_stream.campaign (campaign_id, time_zone, pacing_curve, status, valid_from) values ($1, $2, $3, $4, '2000-01-01')`,
      [id, row.time_zone, row.pacing_curve, row.status],
    );
    if (cap !== null)
      await pool.query(`insert into exposure_stream.budget (campaign_id, day_cap_micros, valid_from) values ($1, $2, '2000-01-01')`, [
        id,
        cap,
      ]);
  };
  const pace = (id: string): Promise<Record<string, string>> => redis.hgetall(`${bed.keyPrefix}pace:{${id}}`);
  const spend = async (id: string, micros: number): Promise<void> => {
    const event = { event_id: `${id} ${micros}`, campaign_id: id, spend_micros: micros, event_ts: Date.now() };
    const record = { topic: 'impressions', partition: 0, key: Buffer.from(id), value: Buffer.from(JSON.stringify(event)) } as const;
    await (await bed.producer()).send([{ ...record, timestampMs: Date.now() }], 'none');
  };
  const gate = async (id: string) => JSON.parse(await bed.command(['gate', id, '--json']));

  it('tells of every registered campaign, stops one whose cap is spent, follows the registry, and survives an emptied Redis', async () => {
    await register('busy', 1_000_000);
    await register('quiet', 500_000);
    await register('paused', 500_000, { status: 'paused' });
    await register('poor', null);
    const worker = bed.worker('run', { OUTPUT_UNIQUE: 'false' }).start();
    await worker.ready();
    const states = async () => Promise.all(['busy', 'quiet', 'paused', 'poor'].map(async (id) => (await pace(id))['reason']));
    await until('all are told of', async () => (await states()).join() === 'on_pace,on_pace,paused,no_budget');

    await spend('busy', 1_000_000);
    await until('it is stopped', async () => (await pace('busy'))['state'] === 'stopped');
    expect(await pace('busy')).toMatchObject({ reason: 'cap_reached', multiplier: '0', spend_micros: '1000000', cap_micros: '1000000' });
    expect(Number((await pace('busy'))['day_start_ms']) % DAY).toBe((18 * 60 + 15) * 60_000);
    expect(await gate('busy')).toMatchObject({ state: 'stopped', multiplier: 0, reason: 'cap_reached', key: { policy: 'graceful' } });
    expect(await gate('nobody')).toMatchObject({ state: 'closed', multiplier: 0, key: null });
    await until('freshness is known', async () => Number((await pace('quiet'))['counted_until_ms']) > 0);
    expect(await bed.command(['gate', 'quiet'])).toMatch(/^quiet: open, multiplier 1 \(on_pace\)\n.*\n {2}cap +0\.50/);

    await pool.query(`update exposure_stream.budget set day_cap_micros = 3000000 where campaign_id = 'busy'`);
    await pool.query(`update exposure_stream.campaign set status = 'paused' where campaign_id = 'quiet'`);
    await until('the registry is followed', async () => (await states()).join() === 'on_pace,paused,paused,no_budget', 5000);

    const keys = await redis.keys(`${bed.keyPrefix}*`);
    await redis.del(...keys);
    await until('all is there again', async () => (await pace('busy'))['spend_micros'] === '1000000', 5000);
    const metrics = (await worker.get('/metrics')).body;
    expect(metrics).toContain('exposure_stream_campaigns{state="open"} 1');
    expect(metrics).toContain('exposure_stream_campaigns{state="stopped"} 3');
    expect(metrics).toMatch(/exposure_stream_spend_at_risk_micros \d/);
    expect(await worker.terminate()).toBe(0);
  });

  it('learns curves from 14 whole days in the campaign’s zone, in parts of the hours there; fewer days stay even, and it says so', async () => {
    await register('learned', 1, { pacing_curve: 'predicted' });
    await register('young', 1, { pacing_curve: 'predicted' });
    await register('typo', 1, { pacing_curve: 'predicted', time_zone: 'Mars/Base' });
    const hours = Math.floor(Date.now() / 3_600_000);
    // Spend at 18 h UTC is spend from 23:45 to 00:45 in Kathmandu: a quarter of it before midnight.
    for (const [id, days] of [
      ['learned', 20],
      ['typo', 20],
      ['young', 9],
    ] as const) {
      const rows = Array.from({ length: days * 24 }, (_, i) => hours - 1 - i).map((hour) => [hour, hour % 24 === 18 ? 4000 : 0]);
      await pool.query(
        `insert into exposure_stream.stream_count (kind, entity_id, allocation_version, variant_id, hour, spend_micros, impressions, units,
          late_records, late_micros, duplicate_records, duplicate_micros, suspected_records, suspected_micros,
          invalid_traffic_records, invalid_traffic_micros, partials_partition, epoch, version)
        select 'spend', $1, 0, '', to_timestamp(h * 3600), m, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1
        from unnest($2::bigint[], $3::bigint[]) as t(h, m)`,
        [id, rows.map(([hour]) => hour), rows.map(([, micros]) => micros)],
      );
    }
    const printed = (await bed.command(['curve', '--json']))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(printed).toEqual([
      { campaign_id: 'learned', days: 14, learned: true },
      { campaign_id: 'typo', days: 14, learned: true },
      { campaign_id: 'young', days: expect.any(Number), learned: false },
    ]);
    expect(printed[2].days).toBeLessThan(10);
    const { rows } = await pool.query(
      `select day_of_week, hour, share from exposure_stream.pacing_curve_weight where campaign_id = 'learned' and share > 0 order by 1, 2`,
    );
    expect(rows).toHaveLength(14);
    for (const { hour, share } of rows) expect(share).toBeCloseTo(hour === 23 ? 0.25 : 0.75, 9);
    expect(await bed.command(['curve'])).toContain('2 of 3 predicted curves learned');
    // A zone that is none is read as UTC, and costs nobody else a curve.
    const typo = await pool.query(`select distinct hour from exposure_stream.pacing_curve_weight where campaign_id = 'typo' and share > 0`);
    expect(typo.rows).toEqual([{ hour: 18 }]);
    const versions = async () => (await pool.query('select curve_version from exposure_stream.registry_version')).rows[0].curve_version;
    expect(Number(await versions())).toBeGreaterThan(0);
  });

  it('that Redis does not answer is said, with exit code 1', async () => {
    await expect(bed.command(['gate', 'busy'], { REDIS_URL: 'redis://127.0.0.1:1' })).rejects.toMatchObject({ code: 1 });
  });
});
