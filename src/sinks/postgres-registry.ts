import type { Pool, PoolClient } from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../topology/types.ts';
import { inTransaction, namePostgresError } from './postgres-client.ts';
import {
  type AllocationRow,
  type BudgetRow,
  type CampaignRow,
  type ExperimentRow,
  HOURS_A_WEEK,
  makeRegistry,
  type Registry,
  type RegistryRows,
  type RegistrySource,
  type RunCut,
  type VariantRow,
  type WeekShares,
} from './registry.ts';

/** More bad rows than this are only counted in the log. */
const BAD_ROWS_NAMED = 20;

const ms = (column: string, as: string): string => `round(extract(epoch from ${column})::float8 * 1000) as "${as}"`;

/** Also the registry's own clock: "valid now" must mean the same to every process. */
const STAMP = `
  select r.version::float8 as version, r.curve_version::float8 as "curveVersion", e.epoch::float8 as epoch, floor(extract(epoch from clock_timestamp())::float8 * 1000) as "asOfMs",
    ${ms('run.cut_event_time', 'untilMs')}, ${ms('run.cut_booked_at', 'bookedBeforeMs')}
  from exposure_stream.registry_version r
  cross join exposure_stream.stream_epoch e
  left join lateral (
    select cut_event_time, cut_booked_at from exposure_stream.reconcile_run
    where status = 'applied' and not is_backfill order by cut_event_time desc, cut_booked_at desc limit 1) run on true`;
/** One row, asked for every other second: a server that hangs is noticed here first. */
const STAMP_SOON = { text: STAMP, query_timeout: 5_000 };

const VALIDITY = `${ms('valid_from', 'fromMs')}, ${ms("coalesce(valid_to, 'infinity')", 'toMs')}`;

const CAMPAIGNS = `
  select campaign_id as "campaignId", advertiser_id as "advertiserId", time_zone as "timeZone", pacing_policy as "pacingPolicy",
    pacing_curve as "pacingCurve", status, ${ms('retroactive_from', 'retroactiveFromMs')}, ${VALIDITY}
  from exposure_stream.campaign order by valid_from`;
const BUDGETS = `
  select campaign_id as "campaignId", day_cap_micros::float8 as "dayCapMicros", ${VALIDITY}
  from exposure_stream.budget order by valid_from`;
/** Only of campaigns that use them, a row a campaign: there are 168 hours in a week. */
const CURVE_SHARES = `
  select campaign_id as "campaignId", array_agg((day_of_week - 1) * 24 + hour) as hours, array_agg(share) as shares
  from exposure_stream.pacing_curve_weight
  where campaign_id in (select campaign_id from exposure_stream.campaign where pacing_curve = 'predicted')
  group by campaign_id`;
const FORECAST = `
  select ${ms('hour', 'hourMs')}, spend_micros::float8 as "spendMicros" from exposure_stream.forecast
  where hour >= now() - interval '2 days'`;
const EXPERIMENTS = `
  select experiment_id as "experimentId", name, owner, status, randomization_unit as "randomizationUnit", salt, hash,
    ${ms('started_at', 'startedAtMs')}, ${ms('ended_at', 'endedAtMs')}
  from exposure_stream.experiment`;
const VARIANTS = `
  select experiment_id as "experimentId", variant_id as "variantId", position from exposure_stream.variant order by position, variant_id`;
const ALLOCATIONS = `
  select experiment_id as "experimentId", version, variant_id as "variantId", share, ${VALIDITY}
  from exposure_stream.allocation order by valid_from, version, variant_id`;

interface Stamp {
  version: number;
  curveVersion: number;
  epoch: number;
  asOfMs: number;
  /** Of the reconciler's last run; null before the first. */
  untilMs: number | null;
  bookedBeforeMs: number | null;
}

const reconciledOf = ({ untilMs, bookedBeforeMs }: Stamp): RunCut | null =>
  untilMs === null || bookedBeforeMs === null ? null : { untilMs, bookedBeforeMs };

const groupBy = <Row>(rows: readonly Row[], idOf: (row: Row) => string): Map<string, Row[]> => {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(idOf(row));
    if (group) group.push(row);
    else groups.set(idOf(row), [row]);
  }
  return groups;
};

const isZone = (name: string): boolean => {
  try {
    // An offset is no zone, though Intl takes it.
    return /^[A-Za-z]/.test(name) && new Intl.DateTimeFormat('en', { timeZone: name }) !== null;
  } catch {
    return false;
  }
};

/** The registry in Postgres. A load that finds nothing changed costs one query of one row. */
export class PostgresRegistry implements RegistrySource {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #log: Pick<Logger, 'warn'>;
  #held: { version: number; rows: RegistryRows } | null = null;
  /** Curves of thousands of campaigns are large, and change once a day. */
  #curves: { of: string; shares: RegistryRows['curveShares'] } | null = null;

  /** The pool is ended by `close`. */
  constructor(pool: Pool, options: { clock: Clock; log: Pick<Logger, 'warn'> }) {
    this.#pool = pool;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  async load(): Promise<Registry> {
    const { wallMs: loadedWallMs, monotonicMs: loadedMonotonicMs } = this.#clock.now();
    try {
      const { rows } = await this.#pool.query<Stamp>(STAMP_SOON);
      const stamp = rows[0].version === this.#held?.version ? rows[0] : await this.#reload();
      const { version, epoch, asOfMs } = stamp;
      return makeRegistry(this.#held!.rows, { version, epoch, asOfMs, reconciled: reconciledOf(stamp), loadedWallMs, loadedMonotonicMs });
    } catch (error) {
      throw namePostgresError(error, 'The registry was not read');
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #reload(): Promise<Stamp> {
    const read = (client: PoolClient) => readAll(client, this.#curves);
    const { stamp, rows, curvesOf } = await inTransaction(this.#pool, read, 'begin isolation level repeatable read read only');
    this.#curves = { of: curvesOf, shares: rows.curveShares };
    const campaigns = this.#withKnownZones(rows.campaigns);
    this.#held = { version: stamp.version, rows: { ...rows, campaigns } };
    return stamp;
  }

  /** One company-wide typo must not stop the others' counting: UTC, and said. */
  #withKnownZones(campaigns: RegistryRows['campaigns']): RegistryRows['campaigns'] {
    const zones = new Set([...campaigns.values()].flatMap((rows) => rows.map((row) => row.timeZone)));
    const unknown = new Set([...zones].filter((zone) => !isZone(zone)));
    if (unknown.size === 0) return campaigns;
    let bad = 0;
    const read = (row: CampaignRow): CampaignRow => {
      if (!unknown.has(row.timeZone)) return row;
      bad += 1;
      if (bad <= BAD_ROWS_NAMED) this.#log.warn({ campaignId: row.campaignId, timeZone: row.timeZone }, 'Unknown time zone; UTC is used');
      return { ...row, timeZone: 'UTC' };
    };
    const known = new Map([...campaigns].map(([id, rows]) => [id, rows.map(read)]));
    if (bad > BAD_ROWS_NAMED) this.#log.warn({ rows: bad }, 'Campaign rows with an unknown time zone, not all named');
    return known;
  }
}

interface Read {
  stamp: Stamp;
  rows: RegistryRows;
  /** What the curves depend on. */
  curvesOf: string;
}

const readAll = async (client: PoolClient, known: { of: string; shares: RegistryRows['curveShares'] } | null): Promise<Read> => {
  const all = async <Row extends object>(query: string): Promise<Row[]> => (await client.query<Row>(query)).rows;
  const [stamp] = await all<Stamp>(STAMP);
  const campaigns = groupBy(await all<CampaignRow>(CAMPAIGNS), (row) => row.campaignId);
  const predicted = [...campaigns].flatMap(([id, rows]) => (rows.some((row) => row.pacingCurve === 'predicted') ? [id] : []));
  const curvesOf = JSON.stringify([stamp.curveVersion, predicted]);
  return {
    stamp,
    curvesOf,
    rows: {
      campaigns,
      budgets: groupBy(await all<BudgetRow>(BUDGETS), (row) => row.campaignId),
      curveShares: known?.of === curvesOf ? known.shares : await readShares(client),
      forecast: new Map((await all<{ hourMs: number; spendMicros: number }>(FORECAST)).map((row) => [row.hourMs, row.spendMicros])),
      experiments: new Map((await all<ExperimentRow>(EXPERIMENTS)).map((row) => [row.experimentId, row])),
      variants: groupBy(await all<VariantRow>(VARIANTS), (row) => row.experimentId),
      allocations: groupBy(await all<AllocationRow>(ALLOCATIONS), (row) => row.experimentId),
    },
  };
};

const readShares = async (client: PoolClient): Promise<Map<string, WeekShares>> => {
  const { rows } = await client.query<{ campaignId: string; hours: number[]; shares: number[] }>(CURVE_SHARES);
  return new Map(
    rows.map(({ campaignId, hours, shares }) => {
      const week = new Float64Array(HOURS_A_WEEK);
      hours.forEach((hour, i) => {
        week[hour] = shares[i];
      });
      return [campaignId, week];
    }),
  );
};
