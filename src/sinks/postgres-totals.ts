import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pool, PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { copyChunks, escapeText } from './copy-text.ts';
import { inTransaction, namePostgresError } from './postgres-client.ts';
import type { FlushResult, HourlyBatch, HourlyRow, PositionRow, TotalsSink } from './totals.ts';

const DAY_MS = 86_400_000;

const COUNTS = [
  'spend_micros',
  'impressions',
  'units',
  'late_records',
  'late_micros',
  'duplicate_records',
  'duplicate_micros',
  'suspected_records',
  'suspected_micros',
  'invalid_traffic_records',
  'invalid_traffic_micros',
] as const;

const INCOMING = `create temporary table incoming (
  kind text, entity_id text, allocation_version integer, variant_id text, hour_ms bigint,
  ${COUNTS.map((name) => `${name} bigint`).join(', ')}) on commit drop`;

/** The fence of the row itself matters after a new epoch, when an entity may have moved to another partition of .partials. */
const upsert = (amountOf: (column: string) => string): string => `
  insert into exposure_stream.stream_count as held
    (kind, entity_id, allocation_version, variant_id, hour, ${COUNTS.join(', ')}, partials_partition, epoch, version, updated_at)
  select kind, entity_id, allocation_version, variant_id, to_timestamp(hour_ms / 1000), ${COUNTS.join(', ')}, $1, $2, $3, now()
  from incoming
  on conflict (kind, entity_id, allocation_version, variant_id, hour) do update set
    ${COUNTS.map((name) => `${name} = ${amountOf(name)}`).join(', ')},
    partials_partition = excluded.partials_partition, epoch = excluded.epoch, version = excluded.version, updated_at = excluded.updated_at
  where (held.epoch, held.version) <= (excluded.epoch, excluded.version)`;
const REPLACE = upsert((column) => `excluded.${column}`);
const KEEP_LARGER = upsert((column) => `greatest(held.${column}, excluded.${column})`);

const FENCE = `
  insert into exposure_stream.stream_fence as held (partials_partition, epoch, version) values ($1, $2, $3)
  on conflict (partials_partition) do update set epoch = excluded.epoch, version = excluded.version
  where (held.epoch, held.version) <= (excluded.epoch, excluded.version)`;

const POSITIONS = `
  insert into exposure_stream.stream_position
    (partials_partition, epoch, version, topic, partition, origin, position, watermark_ms, counted_until_ms, idle, updated_at)
  select $1, $2, $3, *, now()
  from unnest($4::text[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::boolean[])
  on conflict (partials_partition, topic, partition) do update set
    origin = excluded.origin, position = excluded.position, watermark_ms = excluded.watermark_ms,
    counted_until_ms = excluded.counted_until_ms, idle = excluded.idle, epoch = excluded.epoch, version = excluded.version,
    updated_at = excluded.updated_at`;

const line = (row: HourlyRow): string =>
  `${row.kind}\t${escapeText(row.entityId)}\t${row.allocationVersion}\t${escapeText(row.variantId)}\t${row.hourMs}\t` +
  `${row.spendMicros}\t${row.impressions}\t${row.units}\t${row.lateRecords}\t${row.lateMicros}\t${row.duplicateRecords}\t` +
  `${row.duplicateMicros}\t${row.suspectedRecords}\t${row.suspectedMicros}\t${row.invalidTrafficRecords}\t${row.invalidTrafficMicros}\n`;

/** Rolls the transaction back. */
class Fenced extends Error {}

/** Hourly totals in Postgres: one transaction a flush, fenced by the (epoch, version) of the partition of .partials. */
export class PostgresTotals implements TotalsSink {
  readonly #pool: Pool;
  /** Days that were asked for: their partition is there, or they are too far from today to get one. */
  readonly #days = new Set<number>();

  /** The pool is ended by `close`. */
  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async flush(batch: HourlyBatch): Promise<FlushResult> {
    try {
      await this.#ensureDays(batch.rows);
      await inTransaction(this.#pool, (client) => write(client, batch));
      return 'written';
    } catch (error) {
      if (error instanceof Fenced) return 'fenced';
      throw namePostgresError(error, 'Hourly totals were not written');
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  /** Best effort, outside of the flush's transaction: what has no partition of its own goes to the default one. */
  async #ensureDays(rows: readonly HourlyRow[]): Promise<void> {
    const days = new Set<number>();
    for (const { hourMs } of rows) days.add(Math.floor(hourMs / DAY_MS));
    for (const day of days) {
      if (this.#days.has(day)) continue;
      try {
        await this.#pool.query("select exposure_stream.ensure_stream_count_day(date '1970-01-01' + $1::integer)", [day]);
        this.#days.add(day);
      } catch (error) {
        if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error;
      }
    }
  }
}

const LOCK_NOT_AVAILABLE = '55P03';

const write = async (client: PoolClient, batch: HourlyBatch): Promise<void> => {
  const fence = [batch.partialsPartition, batch.epoch, batch.version];
  const { rowCount } = await client.query(FENCE, fence);
  if (rowCount === 0) throw new Fenced();
  if (batch.rows.length > 0) {
    await client.query(INCOMING);
    await pipeline(Readable.from(copyChunks(batch.rows, line)), client.query(copyFrom('copy incoming from stdin')));
    await client.query(batch.keepLarger ? KEEP_LARGER : REPLACE, fence);
  }
  if (batch.positions.length > 0) await client.query(POSITIONS, [...fence, ...columns(batch.positions)]);
};

const columns = (positions: readonly PositionRow[]): unknown[] => [
  positions.map((at) => at.topic),
  positions.map((at) => at.partition),
  positions.map((at) => at.origin),
  positions.map((at) => at.position),
  positions.map((at) => at.watermarkMs),
  positions.map((at) => at.countedUntilMs),
  positions.map((at) => at.idle),
];
