-- What the company registers. Read at start and every 2 s; a change bumps registry_version, so an unchanged registry costs one tiny query.

create domain exposure_stream.entity_id as text check (char_length(value) between 1 and 256);
create domain exposure_stream.micros as bigint check (value between 0 and 9007199254740991);

-- Equality of ids for exclusion constraints without the extension btree_gist: two ranges of one point each, 126 bits of hash.
create function exposure_stream.id_point(id text, seed bigint) returns int8range
  language sql immutable strict parallel safe
  as $$ select int8range(hashtextextended(id, seed) >> 1, hashtextextended(id, seed) >> 1, '[]') $$;

create table exposure_stream.campaign (
  campaign_id exposure_stream.entity_id not null,
  advertiser_id exposure_stream.entity_id,
  -- An IANA name. Offsets are refused: Postgres and the rest of the world read their sign differently.
  time_zone text not null default 'UTC' check (time_zone ~ '^[A-Za-z]'),
  pacing_policy text not null default 'graceful' check (pacing_policy in ('graceful', 'strict')),
  pacing_curve text not null default 'even' check (pacing_curve in ('even', 'accelerated', 'predicted')),
  status text not null default 'active' check (status in ('active', 'paused')),
  valid_from timestamptz not null default now(),
  valid_to timestamptz default 'infinity' check (valid_to > valid_from),
  retroactive_from timestamptz,
  primary key (campaign_id, valid_from),
  constraint campaign_rows_overlap exclude using gist (
    exposure_stream.id_point(campaign_id, 0) with &&, exposure_stream.id_point(campaign_id, 1) with &&,
    tstzrange(valid_from, valid_to) with &&)
);

create table exposure_stream.budget (
  campaign_id exposure_stream.entity_id not null,
  day_cap_micros exposure_stream.micros not null,
  valid_from timestamptz not null default now(),
  valid_to timestamptz default 'infinity' check (valid_to > valid_from),
  primary key (campaign_id, valid_from),
  constraint budget_rows_overlap exclude using gist (
    exposure_stream.id_point(campaign_id, 0) with &&, exposure_stream.id_point(campaign_id, 1) with &&,
    tstzrange(valid_from, valid_to) with &&)
);

create table exposure_stream.pacing_curve_weight (
  campaign_id exposure_stream.entity_id not null,
  -- ISO: 1 is Monday, 7 is Sunday, in the campaign's zone, as is the hour.
  day_of_week smallint not null check (day_of_week between 1 and 7),
  hour smallint not null check (hour between 0 and 23),
  share double precision not null check (share between 0 and 1),
  primary key (campaign_id, day_of_week, hour)
);

create table exposure_stream.forecast (
  hour timestamptz primary key,
  spend_micros exposure_stream.micros not null
);

create table exposure_stream.experiment (
  experiment_id exposure_stream.entity_id primary key,
  name text not null default '',
  owner text not null default '',
  status text not null default 'running',
  randomization_unit text not null default 'user',
  salt text,
  hash text check (hash = 'md5_mod_100'),
  started_at timestamptz,
  ended_at timestamptz
);

create table exposure_stream.variant (
  experiment_id exposure_stream.entity_id not null,
  variant_id exposure_stream.entity_id not null,
  position integer not null default 0,
  primary key (experiment_id, variant_id)
);

create table exposure_stream.allocation (
  experiment_id exposure_stream.entity_id not null,
  version integer not null default 1 check (version >= 1),
  variant_id exposure_stream.entity_id not null,
  share double precision not null check (share between 0 and 1),
  valid_from timestamptz not null default now(),
  valid_to timestamptz default 'infinity' check (valid_to > valid_from),
  primary key (experiment_id, version, variant_id, valid_from),
  constraint allocation_rows_overlap exclude using gist (
    exposure_stream.id_point(experiment_id, 0) with &&, exposure_stream.id_point(variant_id, 0) with &&,
    int8range(version, version, '[]') with &&, tstzrange(valid_from, valid_to) with &&)
);

create table exposure_stream.guardrail (
  experiment_id exposure_stream.entity_id not null,
  metric text not null,
  direction text not null,
  tolerance double precision not null default 0,
  severity text not null default 'warning',
  primary key (experiment_id, metric)
);

create table exposure_stream.registry_version (
  only_row boolean primary key default true check (only_row),
  version bigint not null default 0,
  bumped_by bigint
);
insert into exposure_stream.registry_version default values;

-- As its owner: who may change the registry need not be granted the version. Once a transaction: thousands of statements
-- in one would leave as many dead rows for each next one to step over.
create function exposure_stream.bump_registry_version() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp
  as $$
begin
  update exposure_stream.registry_version set version = version + 1, bumped_by = txid_current()
  where bumped_by is distinct from txid_current();
  return null;
end $$;

do $$
declare name text;
begin
  foreach name in array array['campaign', 'budget', 'pacing_curve_weight', 'forecast', 'experiment', 'variant', 'allocation', 'guardrail'] loop
    execute format('create trigger bump after insert or update or delete or truncate on exposure_stream.%I
      for each statement execute function exposure_stream.bump_registry_version()', name);
  end loop;
end $$;
