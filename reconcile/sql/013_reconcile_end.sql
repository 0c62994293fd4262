-- Runs that end otherwise: what cannot be computed is given up (`failed`, the reason in its summary), and a person may say no to one
-- that is held (`rejected`). Expand only: the check takes all that it took.
alter table exposure_stream.reconcile_run drop constraint reconcile_run_status_check;
alter table exposure_stream.reconcile_run add constraint reconcile_run_status_check
  check (status in ('started', 'computed', 'held', 'applying', 'applied', 'dry_run', 'superseded', 'failed', 'rejected'));

comment on table exposure_stream.reconcile_money is
  'What a run says of a campaign''s day: its state then, so of several runs the last counts (reconcile_money_latest), and they do not add up.';

-- Of each campaign's day the last word of a run that was applied.
create view exposure_stream.reconcile_money_latest as
  select distinct on (campaign_id, day) money.*
  from exposure_stream.reconcile_money money join exposure_stream.reconcile_run run using (run_id)
  where run.status = 'applied'
  order by campaign_id, day, run.decided_at desc;

-- Making tables is for those who write the hours: the rights are given by deploy/roles.sql.
revoke all on function exposure_stream.ensure_stream_count_day(date) from public;
