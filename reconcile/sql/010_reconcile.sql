-- The reconciler: runs and what they found, what they moved, and the cut under which each hour stands adjusted.
-- Expand only: programs of the version before work on, with or without these columns.
-- Before 0.1 was released it replaced a view that a company may have made its own, and made what may have been made by hand:
-- formerly: 14674693e2b19ab686301067c7f7af39b11e17a2a22f7bd2e92dd588d43f367f

-- A run is begun before it computes, so that one that is interrupted is finished under its id.
alter table exposure_stream.reconcile_run drop constraint reconcile_run_status_check;
alter table exposure_stream.reconcile_run add constraint reconcile_run_status_check
  check (status in ('started', 'computed', 'held', 'applying', 'applied', 'dry_run', 'superseded'));
alter table exposure_stream.reconcile_run
  add column decided_at timestamptz,
  -- Hours looked at, and those before which all is history.
  add column scope_from timestamptz,
  add column scope_to timestamptz,
  add column is_backfill boolean not null default false,
  add column locked_before timestamptz,
  -- Which hours were closed in the stream and booked in the truth, epoch ms by kind; null stands for for ever.
  add column bounds jsonb not null default '{}';
-- "What was interrupted?" at each start and "what was applied last?": few rows among the history of all runs.
create index reconcile_run_pending on exposure_stream.reconcile_run (started_at) where status in ('started', 'applying', 'held');
create index reconcile_run_last on exposure_stream.reconcile_run (cut_event_time desc, cut_booked_at desc) where status = 'applied';

alter table exposure_stream.reconcile_delta
  add column action text not null default 'report' check (action in ('adjust', 'correct', 'report', 'superseded')),
  add column explained boolean not null default true,
  add column raw_spend_micros bigint,
  add column raw_count bigint;
-- "What happened to this campaign?"; the primary key answers "what did this run find?".
create index if not exists reconcile_delta_entity on exposure_stream.reconcile_delta (kind, entity_id, hour);

-- The cut of the adjustment that stands: a lower one changes nothing.
alter table exposure_stream.stream_count
  add column adjusted_cut_event timestamptz,
  add column adjusted_cut_booked timestamptz;
-- "What stands adjusted since?", sent again with each run: few of all hours.
create index if not exists stream_count_adjusted on exposure_stream.stream_count (hour) where adjusted_cut_event is not null;

-- Differences found after the lock: further rows, each by its run; what stood before never changes.
create table exposure_stream.reconcile_correction (
  run_id text not null references exposure_stream.reconcile_run,
  campaign_id text not null,
  hour timestamptz not null,
  spend_micros bigint not null,
  impressions bigint not null,
  recorded_at timestamptz not null default now(),
  primary key (campaign_id, hour, run_id)
);

-- What drift meant in money, by campaign and its own day. Micros; catch-up is a proposal.
create table exposure_stream.reconcile_money (
  run_id text not null references exposure_stream.reconcile_run,
  campaign_id text not null,
  day date not null,
  cap_micros bigint,
  shown_micros bigint not null,
  truth_micros bigint not null,
  credited_micros bigint not null,
  unseen_micros bigint not null,
  absorbed_micros bigint not null,
  over_tolerance_micros bigint not null,
  make_good_micros bigint not null,
  under_delivered_micros bigint not null,
  catch_up_micros bigint[] not null,
  primary key (campaign_id, day, run_id)
);

-- "Since when is this check there?": at each run, for each check.
create index if not exists dq_result_check on exposure_stream.dq_result (check_name, check_version, checked_at);
alter table exposure_stream.dq_result add column sla_hours integer;

-- Whether a guardrail may pause its experiment, and each look at it.
alter table exposure_stream.guardrail add column auto_pause boolean not null default true;
create table exposure_stream.guardrail_result (
  experiment_id text not null,
  metric text not null,
  variant_id text not null,
  looked_at timestamptz not null,
  run_id text not null,
  -- Units exposed, and those of them with at least one event, in this arm and in the control.
  control_units bigint not null,
  control_events bigint not null,
  units bigint not null,
  events bigint not null,
  -- Natural logs, one a ratio of the mixture: what the next look goes on from.
  log_e double precision[] not null,
  log_e_value double precision not null,
  verdict text not null check (verdict in ('PASS', 'WARNING', 'VIOLATED')),
  paused boolean not null,
  -- "What did the last look at this arm end with?"
  primary key (experiment_id, metric, variant_id, looked_at)
);

-- History is added to, never changed.
create function exposure_stream.refuse_change() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '%.% is history: rows are added, never changed', tg_table_schema, tg_table_name using errcode = 'insufficient_privilege';
end $$;
do $$
declare name text;
begin
  foreach name in array array['reconcile_delta', 'reconcile_correction', 'reconcile_money', 'dq_result', 'guardrail_result'] loop
    execute format('create trigger history before update or delete on exposure_stream.%I
      for each row execute function exposure_stream.refuse_change()', name);
  end loop;
end $$;
-- Of a run only its end may still change.
create function exposure_stream.refuse_run_change() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'UPDATE' and (old.decided_at is null or (to_jsonb(new) - 'status' - 'finished_at') = (to_jsonb(old) - 'status' - 'finished_at')) then
    return new;
  end if;
  raise exception 'reconcile_run is history: what a run has decided never changes' using errcode = 'insufficient_privilege';
end $$;
create trigger history before update or delete on exposure_stream.reconcile_run
  for each row execute function exposure_stream.refuse_run_change();

-- One row a campaign and hour still: what was corrected after the lock is added in.
create or replace view exposure_stream.stream_spend_hourly as
  select counted.entity_id as campaign_id, counted.hour,
    coalesce(counted.adjusted_spend_micros, counted.spend_micros) + coalesce(later.spend_micros, 0) as spend_micros,
    coalesce(counted.adjusted_impressions, counted.impressions) + coalesce(later.impressions, 0) as impressions
  from exposure_stream.stream_count counted
  left join lateral (
    select sum(correction.spend_micros)::bigint as spend_micros, sum(correction.impressions)::bigint as impressions
    from exposure_stream.reconcile_correction correction
    where correction.campaign_id = counted.entity_id and correction.hour = counted.hour
  ) later on true
  where counted.kind = 'spend';

-- Rows of one key and hour add up, so the default view need not add them up itself: a reader asks for one bound of booked_at
-- and groups once. The hour is an expression that an index can hold.
-- Only where the view is still the one of 004: what its company has made of it stays.
create view exposure_stream.truth_spend_hourly_of_004 as
  select campaign_id, date_trunc('hour', event_ts, 'UTC') as hour, sum(spend_micros)::bigint as spend_micros,
    sum(impressions)::bigint as impressions, booked_at
  from exposure_stream.billable_impression
  group by campaign_id, date_trunc('hour', event_ts, 'UTC'), booked_at;
do $$
begin
  if pg_get_viewdef('exposure_stream.truth_spend_hourly'::regclass) = pg_get_viewdef('exposure_stream.truth_spend_hourly_of_004'::regclass) then
    create or replace view exposure_stream.truth_spend_hourly as
      select campaign_id, date_bin('1 hour', event_ts, timestamptz '1970-01-01 00:00:00+00') as hour,
        spend_micros, impressions::bigint as impressions, booked_at
      from exposure_stream.billable_impression;
  end if;
end $$;
drop view exposure_stream.truth_spend_hourly_of_004;

-- "The hours of these seven days": read from the index alone, whatever the age of the table.
create index if not exists billable_impression_hour on exposure_stream.billable_impression
  (date_bin('1 hour', event_ts, timestamptz '1970-01-01 00:00:00+00'), campaign_id)
  include (spend_micros, impressions, booked_at);
