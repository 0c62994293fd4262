-- Alerts: what evaluate writes them by, and an outbox in which each row knows what it has to say next, and when.

alter table exposure_stream.alert
  add column owner text not null default '',
  add column phase text not null default '',
  -- How often alerts of this subject, kind and phase have ended before.
  add column ordinal bigint not null default 0,
  add column summary text not null default '',
  -- Whether it was so when last looked at: an alert stays when it no longer is.
  add column holds boolean not null default true,
  add column ended_by text check (ended_by in ('acknowledged', 'new_phase', 'more_severe', 'withdrawn')),
  -- Of the writer, in its partition of .partials: a lower one changes nothing.
  add column epoch bigint not null default 0,
  add column version bigint not null default 0,
  -- The routes (their fingerprint) by which its deliveries were made; null before.
  add column routed text,
  add constraint alert_ended check ((ended_at is null) = (ended_by is null)),
  add constraint alert_acknowledged check (acknowledged_at is null or ended_at is not null);

-- What is looked at every other second: alerts that may need deliveries, and all that are open.
create index alert_to_route on exposure_stream.alert (raised_at) where routed is null or ended_at is null;

alter table exposure_stream.alert_delivery
  -- What is to be delivered, or was delivered last.
  add column event text not null default 'raised' check (event in ('raised', 'ended')),
  -- Since when it has been waiting, while delivered_at is null.
  add column due_since timestamptz not null default now(),
  -- Null: nothing is to be done. In the future: later, or somebody is at it and has until then.
  alter column next_attempt_at drop not null;

drop index exposure_stream.alert_delivery_due;
create index alert_delivery_due on exposure_stream.alert_delivery (next_attempt_at) where next_attempt_at is not null;
create index alert_delivery_raised on exposure_stream.alert_delivery (alert_id) where event = 'raised';
