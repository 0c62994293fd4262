-- The truth. The views are the contract: a company points them at its own tables. The tables are a reference to start from,
-- spread by hash of the event id, so that an event id is unique over all of time.

create table exposure_stream.experiment_assignment (
  assignment_id bigint generated always as identity primary key,
  experiment_id exposure_stream.entity_id not null,
  unit_id exposure_stream.entity_id not null,
  variant_id exposure_stream.entity_id not null,
  allocation_version integer not null default 1,
  assigned_at timestamptz not null default now(),
  -- A correction deactivates a row and inserts another; nothing is changed in place.
  active boolean not null default true,
  deactivated_at timestamptz,
  check (active = (deactivated_at is null))
);
create unique index experiment_assignment_one_active on exposure_stream.experiment_assignment (experiment_id, unit_id) where active;
create index experiment_assignment_corrected on exposure_stream.experiment_assignment (experiment_id, deactivated_at) where not active;

create table exposure_stream.experiment_exposure (
  event_id exposure_stream.entity_id primary key,
  experiment_id exposure_stream.entity_id not null,
  unit_id exposure_stream.entity_id not null,
  variant_id exposure_stream.entity_id not null,
  allocation_version integer not null default 1,
  event_ts timestamptz not null,
  booked_at timestamptz not null default now()
) partition by hash (event_id);
create index experiment_exposure_first on exposure_stream.experiment_exposure (experiment_id, unit_id, event_ts);
create index experiment_exposure_time on exposure_stream.experiment_exposure (event_ts);

create table exposure_stream.experiment_outcome (
  event_id exposure_stream.entity_id primary key,
  experiment_id exposure_stream.entity_id not null,
  unit_id exposure_stream.entity_id not null,
  metric text not null,
  value double precision not null default 1,
  event_ts timestamptz not null,
  booked_at timestamptz not null default now()
) partition by hash (event_id);
create index experiment_outcome_unit on exposure_stream.experiment_outcome (experiment_id, unit_id);

create table exposure_stream.billable_impression (
  event_id exposure_stream.entity_id primary key,
  campaign_id exposure_stream.entity_id not null,
  -- A correction is a further row with an event id of its own; both amounts may be negative there.
  spend_micros bigint not null,
  impressions integer not null default 1,
  event_ts timestamptz not null,
  booked_at timestamptz not null default now()
) partition by hash (event_id);
create index billable_impression_time on exposure_stream.billable_impression (event_ts, campaign_id);
create index billable_impression_booked on exposure_stream.billable_impression (booked_at);

do $$
declare name text;
begin
  foreach name in array array['experiment_exposure', 'experiment_outcome', 'billable_impression'] loop
    for part in 0..7 loop
      execute format('create table exposure_stream.%I partition of exposure_stream.%I for values with (modulus 8, remainder %s)',
        name || '_' || part, name, part);
    end loop;
  end loop;
end $$;

create table exposure_stream.truth_progress (
  kind text primary key check (kind in ('spend', 'exposure')),
  complete_until timestamptz not null default '-infinity'
);
insert into exposure_stream.truth_progress (kind) values ('spend'), ('exposure');

create view exposure_stream.truth_spend_hourly as
  select campaign_id, date_trunc('hour', event_ts, 'UTC') as hour, sum(spend_micros)::bigint as spend_micros,
    sum(impressions)::bigint as impressions, booked_at
  from exposure_stream.billable_impression
  group by campaign_id, date_trunc('hour', event_ts, 'UTC'), booked_at;

-- A unit counts once, where it was exposed first.
create view exposure_stream.truth_exposure_hourly as
  select experiment_id, allocation_version, variant_id, hour, count(*)::bigint as units, booked_at
  from (
    select distinct on (experiment_id, unit_id) experiment_id, allocation_version, variant_id,
      date_trunc('hour', event_ts, 'UTC') as hour, booked_at
    from exposure_stream.experiment_exposure
    order by experiment_id, unit_id, event_ts, event_id
  ) as first_exposure
  group by experiment_id, allocation_version, variant_id, hour, booked_at;

create view exposure_stream.truth_complete as select kind, complete_until from exposure_stream.truth_progress;
