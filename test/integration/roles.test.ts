import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PostgresReconcileStore } from '../../reconcile/postgres-store.ts';
import { migrate } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { PostgresRegistry } from '../../src/sinks/postgres-registry.ts';
import { PostgresTotals } from '../../src/sinks/postgres-totals.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { booked, CAMPAIGNS, HOUR, PRICE, ReconcileStory, type StoreBed, UNTIL } from '../conformance/reconcile-bed.ts';
import { batchOf, spendRow } from '../conformance/totals-sink.ts';
import { describeIntegration, freshDatabase, uniqueName } from '../services/integration.ts';

const ROLES = readFileSync(join(import.meta.dirname, '..', '..', 'deploy', 'roles.sql'), 'utf8');
const log = pino({ level: 'silent' });
const clock = new SystemClock();

describeIntegration('the least-privilege roles', ({ databaseUrl }) => {
  let owner: Client;
  const urls: Record<string, string> = {};

  beforeAll(async () => {
    const url = await freshDatabase(databaseUrl);
    await migrate(url, { log });
    owner = new Client({ connectionString: url });
    await owner.connect();
    await owner.query(ROLES);
    await owner.query(ROLES); // as often as there are migrations
    for (const role of ['stream', 'reconciler', 'reader']) {
      const name = uniqueName(role).replace('-', '_');
      await owner.query(`create role ${name} login in role exposure_stream_${role}`);
      const login = new URL(url);
      login.username = name;
      urls[role] = login.href;
    }
  });
  afterAll(() => owner?.end());

  const refused = async (role: string, text: string): Promise<string> => {
    const client = new Client({ connectionString: urls[role] });
    await client.connect();
    try {
      await client.query(text);
      return 'allowed';
    } catch (error) {
      return (error as { code: string }).code === '42501' ? 'refused' : String(error);
    } finally {
      await client.end();
    }
  };

  it('let the stream do all it does', async () => {
    const totals = new PostgresTotals(openPool(urls['stream']));
    const row = spendRow(CAMPAIGNS[0], (UNTIL - HOUR) / HOUR, {
      spendMicros: 90 * PRICE,
      impressions: 90,
      lateMicros: 10 * PRICE,
      lateRecords: 10,
    });
    const position = { origin: 0, position: 9, watermarkMs: UNTIL + 24 * HOUR, countedUntilMs: null, idle: true, partition: 0 };
    const positions = ['impressions', 'exposures'].map((topic) => ({ topic, ...position }));
    expect(await totals.flush(batchOf([row], { partialsPartition: 0, positions }))).toBe('written');
    await totals.close();
    const registry = new PostgresRegistry(openPool(urls['stream'], 1), { clock, log });
    expect((await registry.load()).epoch).toBe(1);
    await registry.close();
  });

  it('let the reconciler do all it does', async () => {
    const insert = `insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, impressions, event_ts) values ('e', $1, $2, $3, $4)`;
    const { amount, count, hourMs } = booked(CAMPAIGNS[0], UNTIL - HOUR, 100 * PRICE, 100);
    await owner.query(insert, [CAMPAIGNS[0], amount, count, new Date(hourMs)]);
    await owner.query('update exposure_stream.truth_progress set complete_until = $1', [new Date(UNTIL)]);
    const open = () => new PostgresReconcileStore(openPool(urls['reconciler'], 4, 0), { clock });
    const story = new ReconcileStory({ open } as unknown as StoreBed);
    const report = await story.run();
    expect(report.deltas.map((delta) => [delta.class, delta.action])).toEqual([['late_events', 'adjust']]);
    expect((await story.run()).deltas).toEqual([]);
    expect(await refused('reconciler', "select exposure_stream.pause_experiment('e')")).toBe('allowed');
    expect(await refused('reconciler', 'select exposure_stream.ensure_stream_count_day(current_date)')).toBe('allowed');
    expect(await refused('reconciler', 'delete from exposure_stream.pacing_curve_weight; delete from exposure_stream.pacing_curve')).toBe(
      'allowed',
    );
  });

  it.each([
    ['stream', "update exposure_stream.campaign set status = 'paused'"],
    [
      'stream',
      "insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, event_ts) values ('x', 'c', 1, now())",
    ],
    ['stream', 'delete from exposure_stream.stream_count'],
    ['stream', "update exposure_stream.reconcile_run set status = 'applied'"],
    ['stream', "select exposure_stream.pause_experiment('e')"],
    ['reconciler', 'update exposure_stream.stream_count set spend_micros = 0'],
    ['reconciler', "update exposure_stream.campaign set status = 'paused'"],
    ['reconciler', "update exposure_stream.experiment set status = 'paused'"],
    ['reconciler', 'update exposure_stream.reconcile_run set cut_event_time = now()'],
    ['reconciler', "update exposure_stream.reconcile_delta set class = 'unknown'"],
    ['reconciler', 'delete from exposure_stream.reconcile_run'],
    [
      'reconciler',
      "insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, event_ts) values ('x', 'c', 1, now())",
    ],
    ['reader', 'update exposure_stream.alert set acknowledged_at = now()'],
    ['reader', "insert into exposure_stream.campaign (campaign_id) values ('c')"],
    ['reader', 'create table exposure_stream.mine (a int)'],
    ['reader', 'select exposure_stream.ensure_stream_count_day(current_date)'],
    ['reader', 'delete from exposure_stream.pacing_curve_weight'],
  ])('refuse the %s: %s', async (role, text) => {
    expect(await refused(role, text)).toBe('refused');
  });

  it('let everybody read', async () => {
    for (const role of ['stream', 'reconciler', 'reader'])
      for (const what of ['stream_spend_hourly', 'truth_spend_hourly', 'reconcile_run', 'campaign', 'experiment_srm_by_day'])
        expect([role, what, await refused(role, `select * from exposure_stream.${what} limit 1`)]).toEqual([role, what, 'allowed']);
  });

  it('and not even the owner changes history', async () => {
    for (const text of [
      "update exposure_stream.reconcile_delta set class = 'unknown'",
      'delete from exposure_stream.reconcile_run',
      'update exposure_stream.reconcile_run set cut_event_time = now()',
    ])
      await expect(owner.query(text)).rejects.toThrow('is history');
  });
});
