import type { Pool } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { PostgresRegistry } from '../../src/sinks/postgres-registry.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { describeIntegration, freshDatabase } from '../services/integration.ts';

const clock = new SystemClock();
const log = pino({ level: 'silent' });

describeIntegration('tables that others write', ({ databaseUrl }) => {
  let url: string;
  let pool: Pool;
  const rowsOf = async (query: string, values: unknown[] = []) => (await pool.query(query, values)).rows;
  beforeAll(async () => {
    url = await freshDatabase(databaseUrl);
    await migrate(url, { log });
    pool = openPool(url);
  });
  afterAll(() => pool.end());

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
      expect(ids.map((id) => registry.zonesOf(id)[0].zone)).toEqual(ids.map(() => 'Asia/Kathmandu'));
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
      expect(after.zonesOf('changing')[0].zone).toBe('Asia/Tokyo');
      expect(validCap(after.budgets.get('changing'))).toBe(Number.MAX_SAFE_INTEGER);
      await pool.query('update exposure_stream.stream_epoch set epoch = 2');
      expect((await source.load()).epoch).toBe(2);
      await source.close();
    });

    it('the cut of the reconciler’s last run comes along, without another version; backfills and what was not applied do not count', async () => {
      const source = open();
      const before = await source.load();
      expect(before.reconciled).toBeNull();
      const run = `insert into exposure_stream.reconcile_run
        (run_id, status, started_at, cut_event_time, cut_booked_at, positions, code_version, config_version, is_backfill)
        values ($1, $2, now(), $3, $4, '{}', '', '', $5)`;
      await pool.query(run, ['one', 'applied', '2026-03-02T10:00Z', '2026-03-02T10:05:00.123Z', false]);
      await pool.query(run, ['two', 'applied', '2026-03-02T11:00Z', '2026-03-02T11:05Z', true]);
      await pool.query(run, ['three', 'held', '2026-03-02T11:00Z', '2026-03-02T11:05Z', false]);
      const after = await source.load();
      expect(after.version).toBe(before.version);
      expect(after.reconciled).toEqual({
        untilMs: Date.parse('2026-03-02T10:00Z'),
        bookedBeforeMs: Date.parse('2026-03-02T10:05:00.123Z'),
      });
      await source.close();
    });

    it('a zone that nobody knows is named, read as UTC, and stops nothing; an offset is refused', async () => {
      await pool.query(register, ['typo', 'Europe/Berln']);
      const warned: string[] = [];
      const source = open(warned);
      const registry = await source.load();
      expect(registry.zonesOf('typo')[0].zone).toBe('UTC');
      expect(registry.zonesOf('changing')[0].zone).toBe('Asia/Tokyo');
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
