/** Learns pacing curves from what the stream has counted: shares of a weekday's spend by local hour. */
import type { Pool } from 'pg';
import { inTransaction, namePostgresError } from './postgres-client.ts';

/** Days that a curve is learned from; a campaign with fewer stays even. */
export const CURVE_DAYS = 14;

export interface LearnedCurve {
  campaignId: string;
  /** Whole local days since its first spend, at most `CURVE_DAYS`. */
  days: number;
  /** False: too few days, or no spend in them. Its days are even. */
  learned: boolean;
  /** What is registered as its time zone and is none: its days are those of UTC, as everywhere else. Null: it has one. */
  unknownZone: string | null;
}

/**
 * Local quarter hours, since an hour of UTC is parts of two hours where zones have quarters. The day that is under way says
 * nothing yet of its later hours. A weekday without spend has the shares of all days together. Postgres refuses a zone that it
 * does not know, and with it the whole statement: one typo must not cost all others their curves.
 */
const LEARN = `
create temporary table learned_curve on commit drop as
  select c.campaign_id, c.time_zone, c.unknown_zone,
    date_trunc('day', now() at time zone c.time_zone) as today,
    (select min(date_trunc('day', h.hour at time zone c.time_zone))
      from exposure_stream.stream_spend_hourly h
      where h.campaign_id = c.campaign_id and h.spend_micros > 0 and h.hour >= now() - interval '60 days') as first_day,
    0 as days
  from (
    select r.campaign_id, case when z.name is null then 'UTC' else r.time_zone end as time_zone,
      case when z.name is null then r.time_zone end as unknown_zone
    from (
      select distinct on (campaign_id) campaign_id, time_zone from exposure_stream.campaign
      where pacing_curve = 'predicted' and coalesce(valid_to, 'infinity') > now()
      order by campaign_id, valid_from <= now() desc, valid_from desc
    ) r
    left join (select distinct lower(name) as name from pg_timezone_names) z on z.name = lower(r.time_zone)
  ) c;
update learned_curve set days = least($days, greatest(0, extract(day from today - first_day)))::integer where first_day is not null;

create temporary table learned_hour on commit drop as
  select l.campaign_id, extract(isodow from q.at)::integer as day_of_week, extract(hour from q.at)::integer as hour,
    sum(q.spend_micros) as spend_micros
  from learned_curve l
  cross join lateral (
    select (h.hour + part * interval '15 minutes') at time zone l.time_zone as at, h.spend_micros / 4.0 as spend_micros
    from exposure_stream.stream_spend_hourly h, generate_series(0, 3) part
    where h.campaign_id = l.campaign_id and h.spend_micros > 0
      and h.hour >= now() - interval '$days days' - interval '2 days'
  ) q
  where l.days >= $days and q.at >= l.today - interval '$days days' and q.at < l.today
  group by 1, 2, 3;

create temporary table learned_share on commit drop as
  with days as (select campaign_id, day_of_week, sum(spend_micros) as micros from learned_hour group by 1, 2),
    hours as (select campaign_id, hour, sum(spend_micros) as micros from learned_hour group by 1, 2),
    weeks as (select campaign_id, sum(micros) as micros from days group by 1)
  select w.campaign_id, dow.n as day_of_week, hh.n as hour,
    (coalesce(case when d.micros > 0 then coalesce(lh.spend_micros, 0) / d.micros end,
      coalesce(h.micros, 0) / w.micros))::double precision as share
  from weeks w
  cross join generate_series(1, 7) dow(n)
  cross join generate_series(0, 23) hh(n)
  left join days d on d.campaign_id = w.campaign_id and d.day_of_week = dow.n
  left join hours h on h.campaign_id = w.campaign_id and h.hour = hh.n
  left join learned_hour lh on lh.campaign_id = w.campaign_id and lh.day_of_week = dow.n and lh.hour = hh.n;

insert into exposure_stream.pacing_curve_weight as known (campaign_id, day_of_week, hour, share)
  select campaign_id, day_of_week, hour, share from learned_share
  on conflict (campaign_id, day_of_week, hour) do update set share = excluded.share where known.share is distinct from excluded.share;
delete from exposure_stream.pacing_curve_weight w
  using learned_curve l where l.campaign_id = w.campaign_id and not exists (select from learned_share s where s.campaign_id = l.campaign_id);
insert into exposure_stream.pacing_curve (campaign_id, days, learned_at, used)
  select campaign_id, days, now(), exists (select from learned_share s where s.campaign_id = l.campaign_id) from learned_curve l
  on conflict (campaign_id) do update set days = excluded.days, learned_at = excluded.learned_at, used = excluded.used;
`.replaceAll('$days', String(CURVE_DAYS));

const RESULT = `
  select c.campaign_id as "campaignId", c.days, c.used as learned, l.unknown_zone as "unknownZone"
  from exposure_stream.pacing_curve c join learned_curve l on l.campaign_id = c.campaign_id order by c.campaign_id`;

/** All campaigns with a `predicted` curve, in one transaction. Rejects with `postgres_unreachable` or `schema_missing`. */
export async function learnCurves(pool: Pool): Promise<LearnedCurve[]> {
  try {
    return await inTransaction(pool, async (client) => {
      // Thousands of campaigns take longer than what a counter may wait for.
      await client.query("set local statement_timeout = '10min'");
      await client.query(LEARN);
      return (await client.query<LearnedCurve>(RESULT)).rows;
    });
  } catch (error) {
    throw namePostgresError(error, 'The curves were not learned');
  }
}
