import { pino } from 'pino';
import { PostgresReconcileStore } from '../../reconcile/postgres-store.ts';
import type { SourcePosition } from '../../reconcile/types.ts';
import { migrate } from '../../src/sinks/migrations.ts';
import { openPool } from '../../src/sinks/postgres-client.ts';
import { PostgresTotals } from '../../src/sinks/postgres-totals.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import type { StoreBed } from '../conformance/reconcile-bed.ts';
import { reconcileStories } from '../conformance/reconcile-store.ts';
import { describeIntegration, freshDatabase } from '../services/integration.ts';

const clock = new SystemClock();
const log = pino({ level: 'silent' });

const BOOK_SPEND = `
  insert into exposure_stream.billable_impression (event_id, campaign_id, spend_micros, impressions, event_ts, booked_at)
  select gen_random_uuid()::text, *, now() - $5::integer * interval '1 millisecond' from unnest($1::text[], $2::bigint[], $3::integer[], $4::timestamptz[])`;
const BOOK_EXPOSURE = `
  insert into exposure_stream.experiment_exposure (event_id, experiment_id, unit_id, variant_id, allocation_version, event_ts)
  select gen_random_uuid()::text, $1, $2 || unit, $2, $3, $4::timestamptz from generate_series(1, $5) unit`;
const SHOWN = `
  select campaign_id as id, extract(epoch from hour)::float8 * 1000 as "hourMs", spend_micros::float8 as amount, impressions::float8 as count
  from exposure_stream.stream_spend_hourly`;

describeIntegration('the reconciler', ({ databaseUrl }) => {
  reconcileStories('Postgres', async (): Promise<StoreBed> => {
    const url = await freshDatabase(databaseUrl);
    await migrate(url, { log });
    const pool = openPool(url, 4, 0);
    const totals = new PostgresTotals(openPool(url));
    let version = 1;
    return {
      open: () => {
        const mortal = openPool(url, 4, 0);
        mortal.options.idleTimeoutMillis = 200; // the dead are many, and close nothing
        return new PostgresReconcileStore(mortal, { clock });
      },
      stream: async (rows, positions) => {
        const rest = positions.map((at: SourcePosition) => ({ ...at, countedUntilMs: null }));
        await totals.flush({ partialsPartition: 0, epoch: 1, version: version++, rows, positions: rest });
      },
      book: async (bookings, agoMs = 0) => {
        const spend = bookings.filter(({ kind }) => kind === 'spend');
        const columns = [
          spend.map(({ entityId }) => entityId),
          spend.map(({ amount }) => amount),
          spend.map(({ count }) => count),
          spend.map(({ hourMs }) => new Date(hourMs)),
          agoMs,
        ];
        await pool.query(BOOK_SPEND, columns);
        for (const one of bookings) {
          if (one.kind === 'exposure')
            await pool.query(BOOK_EXPOSURE, [one.entityId, one.variantId, one.allocationVersion, new Date(one.hourMs), one.count]);
        }
      },
      complete: async (untilMs) => {
        await pool.query('update exposure_stream.truth_progress set complete_until = $1', [new Date(untilMs)]);
      },
      shown: async () => {
        const { rows } = await pool.query<{ id: string; hourMs: number; amount: number; count: number }>(SHOWN);
        return new Map(rows.map(({ id, hourMs, amount, count }) => [JSON.stringify([id, hourMs]), { amount, count }]));
      },
      statusOf: async (runId) =>
        (await pool.query('select status from exposure_stream.reconcile_run where run_id = $1', [runId])).rows[0]?.status ?? null,
      close: async () => {
        await Promise.all([pool.end(), totals.close()]);
      },
    };
  });
});
