-- Alerts and what the reconciler did. Runs, deltas and check results are append-only history.

create table exposure_stream.alert (
  -- Deterministic: raising it again changes the row, never adds one.
  alert_id text primary key,
  kind text not null,
  severity text not null check (severity in ('page', 'ticket', 'info')),
  subject_kind text not null,
  subject_id text not null,
  raised_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  ended_at timestamptz,
  acknowledged_at timestamptz,
  acknowledged_note text,
  payload jsonb not null default '{}'
);
create index alert_open on exposure_stream.alert (raised_at) where acknowledged_at is null and ended_at is null;
create index alert_subject on exposure_stream.alert (subject_kind, subject_id);

-- The outbox: one row an alert and route, tried until delivered.
create table exposure_stream.alert_delivery (
  alert_id text not null references exposure_stream.alert on delete cascade,
  route text not null,
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  delivered_at timestamptz,
  last_error text,
  primary key (alert_id, route)
);
create index alert_delivery_due on exposure_stream.alert_delivery (next_attempt_at) where delivered_at is null;

create table exposure_stream.reconcile_run (
  run_id text primary key,
  status text not null check (status in ('computed', 'held', 'applying', 'applied', 'dry_run', 'superseded')),
  started_at timestamptz not null,
  finished_at timestamptz,
  -- The cut: hours before the first bound, bookings before the second, the stream's positions.
  cut_event_time timestamptz not null,
  cut_booked_at timestamptz not null,
  positions jsonb not null,
  code_version text not null,
  config_version text not null,
  input_fingerprint text,
  result_fingerprint text,
  summary jsonb not null default '{}'
);
create index reconcile_run_started on exposure_stream.reconcile_run (started_at desc);

create table exposure_stream.reconcile_delta (
  run_id text not null references exposure_stream.reconcile_run on delete cascade,
  kind text not null check (kind in ('spend', 'exposure')),
  entity_id text not null,
  allocation_version integer not null default 0,
  variant_id text not null default '',
  hour timestamptz not null,
  stream_spend_micros bigint,
  truth_spend_micros bigint,
  stream_count bigint,
  truth_count bigint,
  class text not null,
  adjusted boolean not null default false,
  evidence jsonb not null default '{}',
  primary key (run_id, kind, entity_id, allocation_version, variant_id, hour)
);

create table exposure_stream.dq_result (
  run_id text not null,
  check_name text not null,
  check_version integer not null default 1,
  priority text not null,
  mode text not null check (mode in ('shadow', 'gate')),
  passed boolean not null,
  measured double precision,
  threshold double precision,
  detail jsonb not null default '{}',
  checked_at timestamptz not null default now(),
  primary key (run_id, check_name, check_version)
);
