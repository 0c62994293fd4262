/** What the data-quality checks measure, in the run's own snapshot. */
import type { PoolClient } from 'pg';
import type { Measures } from './quality.ts';
import type { Scope } from './store.ts';
import { DAY_MS, HOUR_MS } from './types.ts';

const SCOPE = `to_timestamp($1::float8 / 1000) and to_timestamp($2::float8 / 1000 - 0.000001)`;

const DAYS = `
  select extract(epoch from date_bin('1 day', hour, timestamptz '1970-01-01 00:00:00+00'))::float8 * 1000 as "dayMs", count(*)::float8 as rows,
    coalesce(sum(spend_micros), 0)::float8 as micros,
    count(*) filter (where campaign_id is null or spend_micros is null or booked_at is null)::float8 as nulls
  from exposure_stream.truth_spend_hourly where hour between ${SCOPE} group by 1 order by 1`;

const STREAM_DAYS = `
  select extract(epoch from date_bin('1 day', hour, timestamptz '1970-01-01 00:00:00+00'))::float8 * 1000 as "dayMs",
    sum(spend_micros + late_micros)::float8 as micros, sum(impressions + late_records)::float8 as rows
  from exposure_stream.stream_count where kind = 'spend' and hour between ${SCOPE} group by 1`;

const UNASSIGNED = `
  select case when exists (select from exposure_stream.experiment_assignment) then (
    select (count(*) filter (where assigned.unit_id is null))::float8 / nullif(count(*), 0)
    from (select distinct experiment_id, unit_id, variant_id from exposure_stream.experiment_exposure where event_ts between ${SCOPE}) exposed
    left join exposure_stream.experiment_assignment assigned
      on assigned.active and assigned.experiment_id = exposed.experiment_id and assigned.unit_id = exposed.unit_id
        and assigned.variant_id = exposed.variant_id) end as share`;

const DUPLICATES = `
  select sum(duplicate_records)::float8 / nullif(sum(impressions + duplicate_records + late_records), 0)::float8 as share
  from exposure_stream.stream_count where kind = 'spend' and hour between ${SCOPE}`;

/** Columns of the contract views, and what Postgres may call their types. */
const VIEWS = {
  truth_spend_hourly: { campaign_id: 'key', hour: 'time', spend_micros: 'number', impressions: 'number', booked_at: 'time' },
  truth_exposure_hourly: {
    experiment_id: 'key',
    allocation_version: 'number',
    variant_id: 'key',
    hour: 'time',
    units: 'number',
    booked_at: 'time',
  },
  truth_complete: { kind: 'key', complete_until: 'time' },
} as const;
const TYPES: Record<'key' | 'time' | 'number', readonly string[]> = {
  key: ['text', 'character varying', 'exposure_stream.entity_id'],
  time: ['timestamp with time zone'],
  number: ['bigint', 'integer', 'smallint', 'numeric', 'exposure_stream.micros'],
};
const COLUMNS = `
  select view_name || '.' || attname as name, format_type(atttypid, null) as type
  from unnest($1::text[]) view_name join pg_attribute on attrelid = to_regclass('exposure_stream.' || view_name)
  where attnum > 0 and not attisdropped`;

/** What is wrong with the contract views, in words. */
export async function wrongColumns(client: PoolClient): Promise<string[]> {
  const { rows } = await client.query<{ name: string; type: string }>(COLUMNS, [Object.keys(VIEWS)]);
  const found = new Map(rows.map(({ name, type }) => [name, type]));
  return Object.entries(VIEWS).flatMap(([view, columns]) =>
    Object.entries(columns).flatMap(([column, type]) => {
      const is = found.get(`${view}.${column}`);
      if (is === undefined) return [`${view} has no column ${column}`];
      return TYPES[type].includes(is) ? [] : [`${view}.${column} is ${is}, not ${TYPES[type][0]}`];
    }),
  );
}

/** `rows`: of the stream, impressions; it has seen those too that came too late. */
interface Day {
  dayMs: number;
  rows: number;
  micros: number;
  nulls: number;
}

/** Over the whole days of the scope; the truth's, where it is complete. `hasRun`: some run was applied before. */
export async function measure(
  client: PoolClient,
  scope: Scope,
  { completeMs, hasRun }: { completeMs: number; hasRun: boolean },
): Promise<Measures> {
  const values = [scope.fromMs, scope.toMs];
  const ask = async <Row>(text: string): Promise<Row[]> => (await client.query(text, values)).rows as Row[];
  const days = await ask<Day>(DAYS);
  const rows = days.reduce((sum, day) => sum + day.rows, 0);
  const stream = new Map((await ask<Omit<Day, 'nulls'>>(STREAM_DAYS)).map((day) => [day.dayMs, day]));
  const whole = wholeDays(days, scope.fromMs, Math.min(scope.toMs, completeMs));
  const [{ share: unassignedShare }] = await ask<{ share: number | null }>(UNASSIGNED);
  const [{ share: duplicateShare }] = await ask<{ share: number | null }>(DUPLICATES);
  return {
    rowCountRatio: nearerToOne(
      lastOverMedian(whole.map((day) => day.rows)),
      lastOverMedian(whole.map(({ dayMs }) => stream.get(dayMs)?.rows ?? 0)),
    ),
    nullShare: rows === 0 ? null : days.reduce((sum, { nulls }) => sum + nulls, 0) / rows,
    staleHours: completeMs > Number.NEGATIVE_INFINITY || hasRun ? Math.max(0, scope.toMs - completeMs) / HOUR_MS : null,
    wrongColumns: (await wrongColumns(client)).length,
    baselineRatio: nearerToOne(
      lastOverMedian(whole.map((day) => day.micros)),
      lastOverMedian(whole.map(({ dayMs }) => stream.get(dayMs)?.micros ?? 0)),
    ),
    unassignedShare,
    duplicateShare,
  };
}

/** Whole days before `toMs`, those without rows too: a truth that has fallen silent is no gap. From its first day on, which may have begun late. */
export function wholeDays(days: readonly Day[], fromMs: number, toMs: number): Omit<Day, 'nulls'>[] {
  const first = days.find(({ rows }) => rows > 0)?.dayMs ?? Number.POSITIVE_INFINITY;
  const known = new Map(days.map((day) => [day.dayMs, day]));
  const whole: Omit<Day, 'nulls'>[] = [];
  const startMs = Math.ceil(fromMs / DAY_MS) * DAY_MS;
  for (let dayMs = first <= startMs ? startMs : first + DAY_MS; dayMs + DAY_MS <= toMs; dayMs += DAY_MS)
    whole.push(known.get(dayMs) ?? { dayMs, rows: 0, micros: 0 });
  return whole;
}

/** A day on which all traffic grows is no fault of the truth: only what neither its own past nor the stream's day explains. */
export function nearerToOne(truth: number | null, stream: number | null): number | null {
  if (truth === null || stream === null || stream <= 0 || truth <= 0) return truth;
  return Math.abs(Math.log(truth)) <= Math.abs(Math.log(truth / stream)) ? truth : truth / stream;
}

const LEAST_DAYS = 3;

/** Null with fewer days before the last than say anything. */
export function lastOverMedian(days: readonly number[]): number | null {
  const before = days.slice(0, -1).sort((a, b) => a - b);
  if (before.length < LEAST_DAYS) return null;
  const middle = before.length / 2;
  const median = (before[Math.floor(middle)] + before[Math.ceil(middle) - 1]) / 2;
  return median <= 0 ? null : days[days.length - 1] / median;
}
