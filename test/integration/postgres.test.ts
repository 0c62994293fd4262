import type { Pool } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeMigration, migrate, readMigrations, schemaVersion } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { PostgresRegistry } from '../../src/sinks/postgres-registry.ts';
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

describeIntegration('Postgres', ({ databaseUrl }) => {
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

  describe('hourly totals', () => {
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

  describe('migrations', () => {
    it('run once, in order, though several processes start them at the same time', async () => {
      const fresh = await freshDatabase(databaseUrl);
      const results = await Promise.all([1, 2, 3, 4].map(() => migrate(fresh, { log })));
      const names = (await readMigrations()).map(({ name }) => name);
      expect(results.flatMap(({ applied }) => applied).sort()).toEqual(names);
      expect(await migrate(fresh, { log })).toEqual({ applied: [], already: names.length });
    });

    it('refuse a file that has run and is another one now, by name', async () => {
      const fresh = await freshDatabase(databaseUrl);
      const first = makeMigration('001_a.sql', 'create table exposure_stream.a ()');
      await migrate(fresh, { log, migrations: [first] });
      expect(makeMigration('001_a.sql', first.sql.replace('()', '( )')).checksum).not.toBe(first.checksum);
      const changed = migrate(fresh, { log, migrations: [makeMigration('001_a.sql', 'create table exposure_stream.b ()')] });
      await expect(changed).rejects.toMatchObject({ code: 'schema_changed', message: expect.stringContaining('001_a.sql') });
    });

    it('a file that fails leaves nothing of itself and runs again the next time', async () => {
      const fresh = await freshDatabase(databaseUrl);
      const good = makeMigration('001_a.sql', 'create table exposure_stream.a ()');
      const bad = makeMigration('002_b.sql', 'create table exposure_stream.b (); select 1 / 0');
      await expect(migrate(fresh, { log, migrations: [good, bad] })).rejects.toThrow('division by zero');
      const mended = makeMigration('002_b.sql', 'create table exposure_stream.b ()');
      expect(await migrate(fresh, { log, migrations: [good, mended] })).toEqual({ applied: ['002_b.sql'], already: 1 });
    });

    it('a newer program’s files are no fault, and what is missing is known', async () => {
      const fresh = openPool(await freshDatabase(databaseUrl), 1);
      const all = await readMigrations();
      expect(await schemaVersion(fresh)).toEqual({ newest: null, missing: all.map(({ name }) => name) });
      await migrate(fresh, { log, migrations: all.slice(0, 1) });
      expect((await schemaVersion(fresh)).missing).toEqual(all.slice(1).map(({ name }) => name));
      await migrate(fresh, { log, migrations: [...all, makeMigration('999_newer.sql', 'select 1')] });
      expect(await schemaVersion(fresh)).toEqual({ newest: '999_newer.sql', missing: [] });
      await fresh.end();
    });

    it('need no superuser: the owner of a database is enough', async () => {
      const fresh = new URL(await freshDatabase(databaseUrl));
      const name = fresh.pathname.slice(1);
      await pool.query(`create role "${name}" login password 'x'; alter database "${name}" owner to "${name}"`);
      Object.assign(fresh, { username: name, password: 'x' });
      expect((await migrate(fresh.href, { log })).already).toBe(0);
      const owner = openPool(fresh.href, 1);
      const sink = new PostgresTotals(owner);
      expect(await sink.flush(batchOf([spendRow('c', Math.floor(clock.now().wallMs / HOUR_MS))]))).toBe('written');
      await sink.close();
    });
  });

  describe('the registry', () => {
    const register = `insert into exposure_stream.campaign (campaign_id, time_zone, pacing_policy, pacing_curve, status, valid_from)
      values ($1, $2, 'graceful', 'even', 'active', '2000-01-01T00:00:00Z')`;
    const open = (warned: string[] = []) =>
      new PostgresRegistry(openPool(url, 1), { clock, log: pino({ level: 'warn' }, { write: (line) => void warned.push(line) }) });

    it('campaigns with any id are registered and have their zone', async () => {
      const ids = ['quote"back\\slash', '__proto__', '💶'.repeat(256), 'a\tb\nc', '{}:', ' '];
      for (const id of ids) await pool.query(register, [id, 'Asia/Kathmandu']);
      const source = open();
      const registry = await source.load();
      expect(ids.map((id) => registry.zoneOf(id))).toEqual(ids.map(() => 'Asia/Kathmandu'));
      expect(registry.campaigns.get('__proto__')).toMatchObject([
        { fromMs: Date.parse('2000-01-01'), toMs: Number.POSITIVE_INFINITY, status: 'active' },
      ]);
      await source.close();
    });

    it('rows that overlap are refused by constraint, an open end included; rows that meet are not', async () => {
      const insert = 'insert into exposure_stream.campaign (campaign_id, valid_from, valid_to) values ($1, $2, $3)';
      await pool.query(insert, ['overlap', '2026-01-01', null]);
      await expect(pool.query(insert, ['overlap', '2026-06-01', '2026-07-01'])).rejects.toThrow('campaign_rows_overlap');
      await pool.query(insert, ['overlap', '2025-01-01', '2026-01-01']);
      await pool.query(insert, ['overlap2', '2026-06-01', '2026-07-01']);
      const budget = 'insert into exposure_stream.budget (campaign_id, day_cap_micros) values ($1, 5)';
      await pool.query(budget, ['overlap']);
      await expect(pool.query(budget, ['overlap'])).rejects.toThrow('budget_rows_overlap');
      const allocation = `insert into exposure_stream.allocation (experiment_id, version, variant_id, share, valid_from) values ('e', $1, $2, 0.5, '2026-01-01')`;
      for (const [version, variant] of [
        [1, 'a'],
        [1, 'b'],
        [2, 'a'],
      ])
        await pool.query(allocation, [version, variant]);
      await expect(pool.query(allocation, [2, 'a'])).rejects.toThrow('allocation');
    });

    it('what is not named has a default', async () => {
      await pool.query(`insert into exposure_stream.campaign (campaign_id) values ('bare')`);
      await pool.query(`insert into exposure_stream.experiment (experiment_id) values ('bare')`);
      await pool.query(`insert into exposure_stream.variant (experiment_id, variant_id) values ('bare', 'v')`);
      const source = open();
      const registry = await source.load();
      expect(registry.campaigns.get('bare')).toMatchObject([
        { timeZone: 'UTC', pacingPolicy: 'graceful', pacingCurve: 'even', status: 'active' },
      ]);
      expect(registry.campaigns.get('bare')?.[0].fromMs).toBeLessThanOrEqual(registry.asOfMs);
      expect(registry.experiments.get('bare')).toMatchObject({ salt: null, hash: null, startedAtMs: null });
      expect(registry.variants.get('bare')).toMatchObject([{ variantId: 'v', position: 0 }]);
      await source.close();
    });

    it('a change is seen by the next load; without one the same rows are handed out again', async () => {
      const source = open();
      const before = await source.load();
      const same = await source.load();
      expect(same.campaigns).toBe(before.campaigns);
      expect(same.asOfMs).toBeGreaterThanOrEqual(before.asOfMs);
      await pool.query(register, ['changing', 'UTC']);
      await pool.query(`update exposure_stream.campaign set time_zone = 'Asia/Tokyo' where campaign_id = 'changing'`);
      await pool.query(`insert into exposure_stream.budget (campaign_id, day_cap_micros) values ('changing', 9007199254740991)`);
      const after = await source.load();
      expect(after.version).toBeGreaterThan(before.version);
      expect(after.zoneOf('changing')).toBe('Asia/Tokyo');
      expect(validCap(after.budgets.get('changing'))).toBe(Number.MAX_SAFE_INTEGER);
      await pool.query('update exposure_stream.stream_epoch set epoch = 2');
      expect((await source.load()).epoch).toBe(2);
      await source.close();
    });

    it('a zone that nobody knows is named, read as UTC, and stops nothing; an offset is refused', async () => {
      await pool.query(register, ['typo', 'Europe/Berln']);
      const warned: string[] = [];
      const source = open(warned);
      const registry = await source.load();
      expect(registry.zoneOf('typo')).toBe('UTC');
      expect(registry.zoneOf('changing')).toBe('Asia/Tokyo');
      expect(warned.join()).toContain('Europe/Berln');
      await source.load();
      expect(warned).toHaveLength(1);
      await expect(pool.query(register, ['offset', '+02:00'])).rejects.toThrow('time_zone');
      await source.close();
    });
  });

  describe('the reference tables', () => {
    it('an experiment’s unit has one active assignment; a correction deactivates and inserts', async () => {
      const insert = `insert into exposure_stream.experiment_assignment (experiment_id, unit_id, variant_id) values ('e', 'u', $1)`;
      await pool.query(insert, ['a']);
      await expect(pool.query(insert, ['b'])).rejects.toThrow('experiment_assignment_one_active');
      await pool.query(`update exposure_stream.experiment_assignment set active = false, deactivated_at = now() where unit_id = 'u'`);
      await pool.query(insert, ['b']);
    });

    it('event ids are unique over all partitions, and bookings and corrections add up by the hour', async () => {
      const insert = `insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, impressions, event_ts) values ($1, 'c', $2, $3, $4)`;
      await pool.query(insert, ['i1', 100, 1, '2026-03-01T10:59:59.999Z']);
      await pool.query(insert, ['i2', 50, 1, '2026-03-01T10:00:00Z']);
      await pool.query(insert, ['fix', -30, 0, '2026-03-01T10:30:00Z']);
      await expect(pool.query(insert, ['i1', 1, 1, '2026-05-01T00:00:00Z'])).rejects.toThrow('duplicate key');
      const sums = await rowsOf(
        `select hour, sum(spend_micros) as micros, sum(impressions) as n from exposure_stream.truth_spend_hourly group by hour`,
      );
      expect(sums).toEqual([{ hour: new Date('2026-03-01T10:00:00Z'), micros: '120', n: '2' }]);
    });

    it('a unit counts once, where it was exposed first', async () => {
      const insert = `insert into exposure_stream.experiment_exposure (event_id, experiment_id, unit_id, variant_id, event_ts) values ($1, 'e', $2, $3, $4)`;
      await pool.query(insert, ['x2', 'u1', 'b', '2026-03-01T11:00:00Z']);
      await pool.query(insert, ['x1', 'u1', 'a', '2026-03-01T10:00:00Z']);
      await pool.query(insert, ['x3', 'u2', 'a', '2026-03-01T10:30:00Z']);
      const sums = await rowsOf(`select variant_id, sum(units) as units from exposure_stream.truth_exposure_hourly group by 1`);
      expect(sums).toEqual([{ variant_id: 'a', units: '2' }]);
      expect(await rowsOf(`select kind, complete_until::text from exposure_stream.truth_complete order by kind`)).toEqual([
        { kind: 'exposure', complete_until: '-infinity' },
        { kind: 'spend', complete_until: '-infinity' },
      ]);
    });
  });
});

const validCap = (rows: readonly { dayCapMicros: number }[] | undefined): number | undefined => rows?.[0].dayCapMicros;
