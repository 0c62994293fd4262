-- Pacing curves are many rows that change once a day: they are read again only when they, and not something else, have changed.
alter table exposure_stream.registry_version add column curve_version bigint not null default 0;

create function exposure_stream.bump_curve_version() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp
  as $$
begin
  update exposure_stream.registry_version set curve_version = curve_version + 1;
  return null;
end $$;

create trigger bump_curves after insert or update or delete or truncate on exposure_stream.pacing_curve_weight
  for each statement execute function exposure_stream.bump_curve_version();

-- When `exposure-stream curve` last learned a campaign's shares, from how many days; fewer than 14: none were written.
create table exposure_stream.pacing_curve (
  campaign_id exposure_stream.entity_id primary key,
  days integer not null,
  learned_at timestamptz not null default now(),
  used boolean not null
);
