import type { Pool } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { PostgresTotals } from '../../src/sinks/postgres-totals.ts';
import type { HourlyRow, PositionRow } from '../../src/sinks/totals.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { batchOf, spendRow, totalsSinkConformance } from '../conformance/totals-sink.ts';
import { describeIntegration, freshDatabase } from '../services/integration.ts';

const HOUR_MS = 3_600_000;
const clock = new SystemClock();
const log = pino({ level: 'silent' });

const ROWS = `
  select kind, entity_id as "entityId", allocation_version as "allocationVersion", variant_id as "variantId",
    (extract(epoch from hour) * 1000)::float8 as "hourMs", spend_micros::float8 as "spendMicros", impressions::float8 as impressions,
    units::float8 as units, late_records::float8 as "lateRecords", late_micros::float8 as "lateMicros",
    duplicate_records::float8 as "duplicateRecords", duplicate_micros::float8 as "duplicateMicros",
    suspected_records::float8 as "suspectedRecords", suspected_micros::float8 as "suspectedMicros",
    invalid_traffic_records::float8 as "invalidTrafficRecords", invalid_traffic_micros::float8 as "invalidTrafficMicros"
  from exposure_stream.stream_count`;
const POSITIONS = `
  select topic, partition, origin::float8 as origin, position::float8 as position, watermark_ms::float8 as "watermarkMs",
    counted_until_ms::float8 as "countedUntilMs", idle
  from exposure_stream.stream_position`;

describeIntegration('hourly totals in Postgres', ({ databaseUrl }) => {
  let url: string;
  let pool: Pool;
  const rowsOf = async (query: string, values: unknown[] = []) => (await pool.query(query, values)).rows;
  beforeAll(async () => {
    url = await freshDatabase(databaseUrl);
    await migrate(url, { log });
    pool = openPool(url);
  });
  afterAll(() => pool.end());

  totalsSinkConformance('PostgresTotals', async () => {
    await pool.query('truncate exposure_stream.stream_count, exposure_stream.stream_position, exposure_stream.stream_fence');
    return {
      sink: () => new PostgresTotals(openPool(url)),
      rows: () => rowsOf(ROWS) as Promise<HourlyRow[]>,
      positions: () => rowsOf(POSITIONS) as Promise<PositionRow[]>,
      close: async () => {},
    };
  });

  it('rows of days near today lie in a partition of their day, others in the default one', async () => {
    await pool.query('truncate exposure_stream.stream_count, exposure_stream.stream_fence');
    const today = Math.floor(clock.now().wallMs / HOUR_MS);
    const sink = new PostgresTotals(openPool(url));
    await sink.flush(batchOf([spendRow('c', today), spendRow('c', today - 24), spendRow('c', 0), spendRow('c', today + 24_000)]));
    const tables = await rowsOf('select tableoid::regclass::text as name from exposure_stream.stream_count order by hour');
    const [first, yesterday, now, far] = tables.map(({ name }) => name.replace('exposure_stream.', ''));
    expect([first, far]).toEqual(['stream_count_default', 'stream_count_default']);
    expect(yesterday).toMatch(/^stream_count_\d{8}$/);
    expect(now > yesterday).toBe(true);
    await sink.close();
  });

  it('rows that went to the default partition move when their day gets one', async () => {
    const day = new Date(clock.now().wallMs - 200 * 24 * HOUR_MS).toISOString().slice(0, 10);
    const sink = new PostgresTotals(openPool(url));
    const hour = Date.parse(day) / HOUR_MS;
    const before = `insert into exposure_stream.stream_count select kind, 'moved', 0, '', $1, 1, 1, 0, null, null, null, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, now()
      from exposure_stream.stream_count limit 1`;
    await pool.query(before, [new Date(hour * HOUR_MS)]);
    await sink.flush(batchOf([spendRow('moved', hour, { spendMicros: 2 })]));
    const found = await rowsOf(
      `select tableoid::regclass::text as name, spend_micros from exposure_stream.stream_count where entity_id = 'moved'`,
    );
    expect(found).toEqual([{ name: `exposure_stream.stream_count_${day.replaceAll('-', '')}`, spend_micros: '2' }]);
    await sink.close();
  });

  it('a day’s partition that cannot be made now does not hold the flush up', async () => {
    const day = Date.parse(new Date(clock.now().wallMs - 300 * 24 * HOUR_MS).toISOString().slice(0, 10)) / HOUR_MS;
    const reader = await pool.connect();
    await reader.query('begin');
    await reader.query('select count(*) from exposure_stream.stream_count_default');
    const sink = new PostgresTotals(openPool(url));
    expect(await sink.flush(batchOf([spendRow('waits', day)]))).toBe('written');
    await reader.query('rollback');
    reader.release();
    const found = await rowsOf(`select tableoid::regclass::text as name from exposure_stream.stream_count where entity_id = 'waits'`);
    expect(found).toEqual([{ name: 'exposure_stream.stream_count_default' }]);
    await sink.close();
  });

  it('two owners that flush at once end at the higher version', async () => {
    const sinks = [1, 2, 3, 4].map(() => new PostgresTotals(openPool(url)));
    const versions = [101, 104, 102, 103];
    const row = (version: number) => spendRow('contended', 490_000, { spendMicros: version });
    await Promise.all(sinks.map((sink, n) => sink.flush(batchOf([row(versions[n])], { partialsPartition: 9, version: versions[n] }))));
    expect(await rowsOf(`select spend_micros from exposure_stream.stream_count where entity_id = 'contended'`)).toEqual([
      { spend_micros: '104' },
    ]);
    for (const sink of sinks) await sink.close();
  });

  it('the views show the adjusted value of an hour where there is one', async () => {
    const sink = new PostgresTotals(openPool(url));
    const rows: HourlyRow[] = [
      spendRow('raw', 490_000, { spendMicros: 10, impressions: 2 }),
      spendRow('adjusted', 490_000, { spendMicros: 10, impressions: 2 }),
      { ...spendRow('e', 490_000, { units: 7 }), kind: 'exposure', allocationVersion: 3, variantId: 'v' },
    ];
    await sink.flush(batchOf(rows, { partialsPartition: 8 }));
    await pool.query(
      `update exposure_stream.stream_count set adjusted_spend_micros = 8, adjusted_impressions = 1 where entity_id = 'adjusted'`,
    );
    const hour = '(extract(epoch from hour) * 1000)::bigint as at';
    const spend = `select campaign_id, ${hour}, spend_micros, impressions from exposure_stream.stream_spend_hourly where campaign_id = any($1) order by 1`;
    const at = String(490_000 * HOUR_MS);
    expect(await rowsOf(spend, [['raw', 'adjusted']])).toEqual([
      { campaign_id: 'adjusted', at, spend_micros: '8', impressions: '1' },
      { campaign_id: 'raw', at, spend_micros: '10', impressions: '2' },
    ]);
    expect(
      await rowsOf(`select experiment_id, allocation_version, variant_id, ${hour}, units from exposure_stream.stream_exposure_hourly`),
    ).toEqual([{ experiment_id: 'e', allocation_version: 3, variant_id: 'v', at, units: '7' }]);
    await sink.close();
  });

  it('a missing schema and a Postgres that is away have names, and no password is in them', async () => {
    const empty = new PostgresTotals(openPool(await freshDatabase(databaseUrl)));
    await expect(empty.flush(batchOf([spendRow('c', 1)]))).rejects.toMatchObject({ code: 'schema_missing' });
    await empty.close();
    const away = new PostgresTotals(openPool('postgres://user:hunter2@127.0.0.1:1/db'));
    const error: Error = await away.flush(batchOf([])).then(
      () => new Error('written'),
      (reason) => reason,
    );
    expect(error).toMatchObject({ code: 'postgres_unreachable' });
    expect(JSON.stringify(error) + error.message + String(error.cause)).not.toContain('hunter2');
    await away.close();
  });
});
