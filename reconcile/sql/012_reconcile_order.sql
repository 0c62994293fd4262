-- The order of runs is that of their decisions, and the lock never goes back. Expand only.

-- "How far is history?": at each run and each approval. Dry runs lock nothing.
create index reconcile_run_lock on exposure_stream.reconcile_run (locked_before desc) where status <> 'dry_run';
-- "Which applied run was decided after this one?"
create index reconcile_run_decided on exposure_stream.reconcile_run (decided_at) where status = 'applied';

-- "Which hours were booked in since?": a day of bookings is read from the index alone, each run. Takes the place of the one on booked_at.
create index if not exists billable_impression_booked_hour on exposure_stream.billable_impression (booked_at) include (event_ts, campaign_id);
drop index if exists exposure_stream.billable_impression_booked;

-- A unit counts once, where it was exposed first. The hour is asked of each exposure by itself, so that a run reads its own hours
-- (experiment_exposure_hour) and asks of each of their exposures whether there was one before (experiment_exposure_first).
-- Only where the view is still the one of 004: what its company has made of it stays.
create view exposure_stream.truth_exposure_hourly_of_004 as
  select experiment_id, allocation_version, variant_id, hour, count(*)::bigint as units, booked_at
  from (
    select distinct on (experiment_id, unit_id) experiment_id, allocation_version, variant_id,
      date_trunc('hour', event_ts, 'UTC') as hour, booked_at
    from exposure_stream.experiment_exposure
    order by experiment_id, unit_id, event_ts, event_id
  ) as first_exposure
  group by experiment_id, allocation_version, variant_id, hour, booked_at;
do $$
begin
  if pg_get_viewdef('exposure_stream.truth_exposure_hourly'::regclass) = pg_get_viewdef('exposure_stream.truth_exposure_hourly_of_004'::regclass) then
    create or replace view exposure_stream.truth_exposure_hourly as
      select experiment_id, allocation_version, variant_id, date_bin('1 hour', event_ts, timestamptz '1970-01-01 00:00:00+00') as hour,
        1::bigint as units, booked_at
      from exposure_stream.experiment_exposure exposed
      where not exists (
        select from exposure_stream.experiment_exposure before
        where before.experiment_id = exposed.experiment_id and before.unit_id = exposed.unit_id
          and (before.event_ts, before.event_id) < (exposed.event_ts, exposed.event_id));
  end if;
end $$;
drop view exposure_stream.truth_exposure_hourly_of_004;
create index if not exists experiment_exposure_hour on exposure_stream.experiment_exposure
  (date_bin('1 hour', event_ts, timestamptz '1970-01-01 00:00:00+00'));
