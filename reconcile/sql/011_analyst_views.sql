-- What an analyst asks of an experiment, over the reference tables. Each is read for one experiment at a time
-- (where experiment_id = …), which the indexes named below serve; docs/reconcile.md has the plans of those that a run asks.

-- A unit counts once, where it was exposed first (experiment_exposure_first).
create view exposure_stream.first_exposure as
  select distinct on (experiment_id, unit_id) experiment_id, unit_id, variant_id, allocation_version, event_ts, event_id
  from exposure_stream.experiment_exposure
  order by experiment_id, unit_id, event_ts, event_id;

-- Intention to treat: everybody assigned, by the assignment that is active; of them, who was exposed (to any variant).
create view exposure_stream.experiment_intention_to_treat as
  select assigned.experiment_id, assigned.allocation_version, assigned.variant_id, count(*) as assigned_units,
    count(first.unit_id) as exposed_units, count(first.unit_id) filter (where first.variant_id = assigned.variant_id) as exposed_as_assigned
  from exposure_stream.experiment_assignment assigned
  left join exposure_stream.first_exposure first using (experiment_id, unit_id)
  where assigned.active
  group by 1, 2, 3;

create view exposure_stream.experiment_exposed_units as
  select experiment_id, allocation_version, variant_id, count(*) as units, min(event_ts) as first_at, max(event_ts) as last_at
  from exposure_stream.first_exposure group by 1, 2, 3;

-- Outcomes that count: after the unit's assignment, within the window (experiment_outcome_unit). Ratios divide by all
-- assigned units, so that units without an outcome are in the denominator.
create function exposure_stream.outcomes_within(experiment text, within interval)
  returns table (variant_id text, metric text, assigned_units bigint, units bigint, events bigint, total double precision, mean double precision)
  language sql stable set search_path = pg_catalog, pg_temp as $$
  with assigned as materialized (
    select unit_id, variant_id, assigned_at from exposure_stream.experiment_assignment
    where experiment_id = outcomes_within.experiment and active),
  sizes as (select variant_id, count(*) as units from assigned group by 1),
  counted as (
    select assigned.variant_id, outcome.metric, count(distinct outcome.unit_id) as units, count(*) as events, sum(outcome.value) as total
    from assigned join exposure_stream.experiment_outcome outcome
      on outcome.experiment_id = outcomes_within.experiment and outcome.unit_id = assigned.unit_id
        and outcome.event_ts >= assigned.assigned_at and outcome.event_ts < assigned.assigned_at + within
    group by 1, 2)
  select counted.variant_id, counted.metric, sizes.units, counted.units, counted.events, counted.total, counted.total / sizes.units
  from counted join sizes using (variant_id)
$$;

-- Chi-squared against the registered shares by the day of first exposure: for the eye. Alerts come from the tests that may be
-- looked at always, never from here.
create view exposure_stream.experiment_srm_by_day as
  with counted as (
    select experiment_id, allocation_version, variant_id, date_trunc('day', event_ts, 'UTC') as day, count(*) as units
    from exposure_stream.first_exposure group by 1, 2, 3, 4),
  shares as (
    select distinct on (experiment_id, version, variant_id) experiment_id, version, variant_id, share
    from exposure_stream.allocation order by experiment_id, version, variant_id, valid_from desc),
  days as (select experiment_id, allocation_version, day, sum(units) as units from counted group by 1, 2, 3)
  select days.experiment_id, days.allocation_version, days.day, days.units::bigint as units,
    sum((coalesce(counted.units, 0) - days.units * shares.share) ^ 2 / nullif(days.units * shares.share, 0))::double precision as chi_squared,
    count(*) filter (where shares.share > 0) - 1 as degrees_of_freedom
  from days
  join shares on shares.experiment_id = days.experiment_id and shares.version = days.allocation_version
  left join counted on counted.experiment_id = days.experiment_id and counted.allocation_version = days.allocation_version
    and counted.day = days.day and counted.variant_id = shares.variant_id
  group by 1, 2, 3, 4;

-- Units that met more than one variant.
create view exposure_stream.experiment_cross_variant_units as
  select experiment_id, unit_id, array_agg(distinct variant_id::text) as variants, min(event_ts) as first_at, max(event_ts) as last_at
  from exposure_stream.experiment_exposure
  group by 1, 2 having count(distinct variant_id) > 1;

-- Exposed without an assignment that is active, or to another variant than assigned.
create view exposure_stream.experiment_unassigned_exposures as
  select first.experiment_id, first.unit_id, first.variant_id as exposed_to, assigned.variant_id as assigned_to, first.event_ts
  from exposure_stream.first_exposure first
  left join exposure_stream.experiment_assignment assigned
    on assigned.active and assigned.experiment_id = first.experiment_id and assigned.unit_id = first.unit_id
  where assigned.variant_id is distinct from first.variant_id;

-- From assignment to first exposure; below 0 where the unit was exposed before it was assigned.
create view exposure_stream.experiment_assignment_lag as
  select first.experiment_id, first.variant_id, count(*) as units,
    percentile_cont(array[0.5, 0.9, 0.99]) within group (order by extract(epoch from first.event_ts - assigned.assigned_at)::double precision) as lag_seconds,
    count(*) filter (where first.event_ts < assigned.assigned_at) as exposed_before_assigned
  from exposure_stream.first_exposure first
  join exposure_stream.experiment_assignment assigned
    on assigned.active and assigned.experiment_id = first.experiment_id and assigned.unit_id = first.unit_id
  group by 1, 2;

-- The reconciler's guardrails may pause an experiment and nothing else of the registry: a right of this function, not of a table.
create function exposure_stream.pause_experiment(experiment text) returns boolean
  language sql security definer set search_path = pg_catalog, pg_temp as $$
  with paused as (
    update exposure_stream.experiment set status = 'paused'
    where experiment_id = pause_experiment.experiment and status not in ('paused', 'ended', 'stopped') returning 1)
  select exists (select from paused)
$$;
revoke all on function exposure_stream.pause_experiment(text) from public;
