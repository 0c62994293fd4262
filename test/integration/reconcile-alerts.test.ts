import { Client } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PostgresReconcileStore } from '../../reconcile/postgres-store.ts';
import { migrate } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { CAMPAIGNS, CLOSED, DAY, HOUR, ReconcileStory, type StoreBed, UNTIL } from '../conformance/reconcile-bed.ts';
import { describeIntegration, freshDatabase } from '../services/integration.ts';

const clock = new SystemClock();

const COUNT = `
  insert into exposure_stream.stream_count (kind, entity_id, allocation_version, variant_id, hour, spend_micros, impressions, units, late_records,
    late_micros, duplicate_records, duplicate_micros, suspected_records, suspected_micros, invalid_traffic_records, invalid_traffic_micros,
    partials_partition, epoch, version)
  select 'spend', id, 0, '', $2::timestamptz, $3, 1000, 0, 0, $4, 0, 0, 0, 0, 0, 0, 0, 1, 1 from unnest($1::text[]) id`;
const BOOK = `
  insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, impressions, event_ts)
  select gen_random_uuid()::text, id, $3, 1000, $2 from unnest($1::text[]) id`;

describeIntegration('the alerts of a run', ({ databaseUrl }) => {
  let owner: Client;
  let story: ReconcileStory;
  let stores: () => PostgresReconcileStore;
  const open = async (): Promise<string[]> =>
    (await owner.query('select kind from exposure_stream.alert where ended_at is null order by 1')).rows.map(({ kind }) => kind);
  /** An hour of each campaign: counted, of which late, and booked. */
  const hour = async (hourMs: number, [counted, late, booked]: readonly [number, number, number]): Promise<void> => {
    await owner.query(COUNT, [CAMPAIGNS, new Date(hourMs), counted, late]);
    await owner.query(BOOK, [CAMPAIGNS, new Date(hourMs), booked]);
  };

  beforeAll(async () => {
    const url = await freshDatabase(databaseUrl);
    await migrate(url, { log: pino({ level: 'silent' }) });
    owner = new Client({ connectionString: url });
    await owner.connect();
    stores = () => new PostgresReconcileStore(openPool(url, 4, 0), { clock });
    story = new ReconcileStory({ open: stores } as unknown as StoreBed);
    await owner.query('update exposure_stream.truth_progress set complete_until = $1', [new Date(UNTIL + DAY)]);
    for (const { topic, partition, watermarkMs } of CLOSED)
      await owner.query(
        `insert into exposure_stream.stream_position (partials_partition, topic, partition, origin, position, watermark_ms, idle, epoch, version)
         values (0, $1, $2, 0, 1, $3, false, 1, 1)`,
        [topic, partition, watermarkMs],
      );
  });
  afterAll(() => owner?.end());

  it('are raised where it died before it was applied, though the next one finds nothing', async () => {
    await hour(UNTIL - HOUR, [600_000, 400_000, 1_000_000]);
    const writer = { send: () => Promise.reject(new Error('killed')), close: async () => {} };
    await expect(story.reconciler({}, { writer }).run({ untilMs: UNTIL, scope: null, dryRun: false })).rejects.toThrow('killed');
    expect(await open()).toEqual(['reconcile_drift']);
    const next = await story.run();
    expect([next.finished.length, next.deltas, await open()]).toEqual([1, [], ['reconcile_drift']]);
  });

  it('a connection that is cut while it holds the lock ends no process: the lock is free, and the next one takes it', async () => {
    const store = stores();
    const release = await store.lock(0);
    await owner.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await release?.();
    const next = await store.lock(0);
    expect(next).not.toBeNull();
    await next?.();
    await store.close();
  });

  it('end where a person approves it, and not while another is held', async () => {
    await hour(UNTIL - 2 * HOUR, [1_000_000, 0, 3_000_000]);
    const held = await story.run();
    expect(await open()).toEqual(['reconcile_drift', 'reconcile_held']);
    const old = UNTIL - 20 * DAY;
    await hour(old, [1_000_000, 0, 3_000_000]);
    const backfill = await story.run({ scope: { fromMs: old, toMs: old + HOUR, isBackfill: true } });
    await story.reconciler().approve(held.head.runId);
    expect([backfill.status, await open()]).toEqual(['held', ['backfill_moved', 'reconcile_drift', 'reconcile_held']]);
    await story.reconciler().approve(backfill.head.runId);
    expect(await open()).toEqual(['backfill_moved', 'reconcile_drift']);
  });
});
