import { Client } from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PostgresReconcileStore } from '../../reconcile/postgres-store.ts';
import type { RunReport } from '../../reconcile/run.ts';
import { migrate } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { DAY, HOUR, ReconcileStory, type StoreBed, UNTIL } from '../conformance/reconcile-bed.ts';
import { describeIntegration, freshDatabase } from '../services/integration.ts';

const clock = new SystemClock();
/** Midnight: all days of a run are whole. */
const MIDNIGHT = UNTIL - 10 * HOUR;

describeIntegration('the data-quality checks', ({ databaseUrl }) => {
  let owner: Client;
  let story: ReconcileStory;
  const run = (): Promise<RunReport> => story.run({ untilMs: MIDNIGHT });
  const failed = ({ checks }: RunReport) => checks.filter(({ passed }) => !passed).map(({ check, measured }) => [check.name, measured]);

  beforeAll(async () => {
    const url = await freshDatabase(databaseUrl);
    await migrate(url, { log: pino({ level: 'silent' }) });
    owner = new Client({ connectionString: url });
    await owner.connect();
    const open = () => new PostgresReconcileStore(openPool(url, 4, 0), { clock });
    story = new ReconcileStory({ open } as unknown as StoreBed);
    await owner.query(
      `insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, event_ts)
       select 'e' || i, 'c', 1000, $1::timestamptz + i * interval '1 hour' from generate_series(0, 143) i`,
      [new Date(MIDNIGHT - 6 * DAY)],
    );
  });
  afterAll(() => owner?.end());

  it('say nothing of a truth that is not set up yet', async () => {
    expect(failed(await story.run({ untilMs: MIDNIGHT, dryRun: true }))).toEqual([]);
  });

  it('pass where every day has its rows', async () => {
    await owner.query('update exposure_stream.truth_progress set complete_until = $1', [new Date(MIDNIGHT)]);
    expect(failed(await run())).toEqual([]);
  });

  it('see that the last day has none, though it is said to be complete', async () => {
    await owner.query('delete from exposure_stream.billable_impression where event_ts >= $1', [new Date(MIDNIGHT - DAY)]);
    expect(failed(await run())).toEqual([
      ['row_count_floor', 0],
      ['baseline_drift', 0],
    ]);
  });

  it('see no fault in a day on which the stream has little too', async () => {
    await owner.query(
      `insert into exposure_stream.stream_count (kind, entity_id, allocation_version, variant_id, hour, spend_micros, impressions, units,
         late_records, late_micros, duplicate_records, duplicate_micros, suspected_records, suspected_micros, invalid_traffic_records,
         invalid_traffic_micros, partials_partition, epoch, version)
       select 'spend', 'c', 0, '', $1::timestamptz + i * interval '1 hour', 1000, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1 from generate_series(0, 122) i`,
      [new Date(MIDNIGHT - 6 * DAY)],
    );
    await owner.query(
      `insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, event_ts)
       select 'late' || i, 'c', 1000, $1::timestamptz + i * interval '1 hour' from generate_series(0, 2) i`,
      [new Date(MIDNIGHT - DAY)],
    );
    expect(failed(await run())).toEqual([]);
  });

  it('take a truth that does not say how far it is complete for infinitely stale, once a run has been applied', async () => {
    await owner.query('delete from exposure_stream.truth_progress');
    expect(failed(await run())).toEqual([['freshness', Number.POSITIVE_INFINITY]]);
    const { rows } = await owner.query(
      "select passed, measured from exposure_stream.dq_result where check_name = 'freshness' order by checked_at",
    );
    expect(rows.map(({ passed, measured }) => [passed, measured])).toEqual([
      [true, 0],
      [true, 0],
      [true, 0],
      [false, Number.POSITIVE_INFINITY],
    ]);
  });
});
