-- What the stream has counted, written by evaluate aside of its path, each partition of .partials by one owner.

-- The deployment's epoch, raised by `migrate --new-epoch`.
create table exposure_stream.stream_epoch (
  only_row boolean primary key default true check (only_row),
  epoch bigint not null default 1
);
insert into exposure_stream.stream_epoch default values;

-- The highest (epoch, version) that has flushed; a lower one is refused.
create table exposure_stream.stream_fence (
  partials_partition integer primary key,
  epoch bigint not null,
  version bigint not null
);

create table exposure_stream.stream_position (
  partials_partition integer not null,
  topic text not null,
  partition integer not null,
  origin bigint not null,
  position bigint not null,
  -- Epoch ms; null before the first accepted record.
  watermark_ms bigint,
  counted_until_ms bigint,
  idle boolean not null,
  epoch bigint not null,
  version bigint not null,
  updated_at timestamptz not null default now(),
  primary key (partials_partition, topic, partition)
);

-- One row an entity and UTC hour of event_ts. Exposures have a version and a variant, spend has 0 and ''.
create table exposure_stream.stream_count (
  kind text not null check (kind in ('spend', 'exposure')),
  entity_id text not null,
  allocation_version integer not null,
  variant_id text not null,
  hour timestamptz not null,
  spend_micros bigint not null,
  impressions bigint not null,
  units bigint not null,
  -- The reconciler's word on the hour, null where it has none.
  adjusted_spend_micros bigint,
  adjusted_impressions bigint,
  adjusted_run text,
  late_records bigint not null,
  late_micros bigint not null,
  duplicate_records bigint not null,
  duplicate_micros bigint not null,
  suspected_records bigint not null,
  suspected_micros bigint not null,
  invalid_traffic_records bigint not null,
  invalid_traffic_micros bigint not null,
  partials_partition integer not null,
  epoch bigint not null,
  version bigint not null,
  updated_at timestamptz not null default now(),
  primary key (kind, entity_id, allocation_version, variant_id, hour)
) partition by range (hour);

-- Days far away from today, and days whose partition could not be made yet.
create table exposure_stream.stream_count_default partition of exposure_stream.stream_count default with (fillfactor = 80);

-- Makes the partition of a UTC day. False for days over 400 days back or 2 ahead, which stay in the default partition:
-- wrong clocks must not make thousands of tables. Attaching, unlike creating in place, lets readers and writers go on;
-- where a lock is not to be had soon it fails, and the default partition serves meanwhile.
create function exposure_stream.ensure_stream_count_day(day date) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s'
  set timezone = 'UTC' set datestyle = 'ISO'
as $$
declare
  name text := 'stream_count_' || to_char(day, 'YYYYMMDD');
  from_hour timestamptz := day::timestamptz;
  to_hour timestamptz := (day + 1)::timestamptz;
begin
  if day < current_date - 400 or day > current_date + 2 then return false; end if;
  if to_regclass('exposure_stream.' || name) is not null then return true; end if;
  perform pg_advisory_xact_lock(hashtextextended('exposure_stream.stream_count', 0));
  if to_regclass('exposure_stream.' || name) is not null then return true; end if;
  lock table exposure_stream.stream_count_default in access exclusive mode;
  execute format('create table exposure_stream.%I (like exposure_stream.stream_count including defaults including constraints) with (fillfactor = 80)', name);
  execute format('with moved as (delete from exposure_stream.stream_count_default where hour >= %L and hour < %L returning *)
    insert into exposure_stream.%I select * from moved', from_hour, to_hour, name);
  execute format('alter table exposure_stream.stream_count attach partition exposure_stream.%I for values from (%L) to (%L)', name, from_hour, to_hour);
  return true;
end $$;

create view exposure_stream.stream_spend_hourly as
  select entity_id as campaign_id, hour,
    coalesce(adjusted_spend_micros, spend_micros) as spend_micros,
    coalesce(adjusted_impressions, impressions) as impressions
  from exposure_stream.stream_count where kind = 'spend';

create view exposure_stream.stream_exposure_hourly as
  select entity_id as experiment_id, allocation_version, variant_id, hour, units
  from exposure_stream.stream_count where kind = 'exposure';
