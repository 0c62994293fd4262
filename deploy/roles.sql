-- Least privilege: three roles, each with what its program does and nothing else. Run by the owner of the schema, after
-- `migrate` and again after each new migration; needs CREATEROLE. Then give logins to them:
--   create role my_stream login password '…' in role exposure_stream_stream;
-- `migrate` itself runs as the owner. A test (test/integration/roles.test.ts) works as each of them.
do $$
declare name text;
begin
  foreach name in array array['exposure_stream_stream', 'exposure_stream_reconciler', 'exposure_stream_reader'] loop
    if not exists (select from pg_roles where rolname = name) then execute format('create role %I nologin', name); end if;
    execute format('grant usage on schema exposure_stream to %I', name);
    -- Everybody may look: totals, runs, registry, truth. Nobody may create or drop.
    execute format('grant select on all tables in schema exposure_stream to %I', name);
  end loop;
end $$;

-- `run`: hourly totals, positions, alerts. No truth is written, no run, no registry.
grant insert, update on exposure_stream.stream_count, exposure_stream.stream_position, exposure_stream.stream_fence,
  exposure_stream.alert, exposure_stream.alert_delivery to exposure_stream_stream;
grant execute on function exposure_stream.ensure_stream_count_day(date) to exposure_stream_stream, exposure_stream_reconciler;

-- `reconcile`: history is added to; of an hour only what is adjusted, of a run only where it stands.
grant insert on exposure_stream.reconcile_run, exposure_stream.reconcile_delta, exposure_stream.reconcile_correction,
  exposure_stream.reconcile_money, exposure_stream.dq_result, exposure_stream.guardrail_result to exposure_stream_reconciler;
grant update (status, positions, bounds, summary, input_fingerprint, result_fingerprint, decided_at, finished_at)
  on exposure_stream.reconcile_run to exposure_stream_reconciler;
grant insert on exposure_stream.stream_count to exposure_stream_reconciler;
grant update (adjusted_spend_micros, adjusted_impressions, adjusted_run, adjusted_cut_event, adjusted_cut_booked)
  on exposure_stream.stream_count to exposure_stream_reconciler;
grant insert, update on exposure_stream.alert, exposure_stream.alert_delivery to exposure_stream_reconciler;
grant execute on function exposure_stream.pause_experiment(text) to exposure_stream_reconciler;
-- With `srm.pauses: true` the stream pauses experiments too:
-- grant execute on function exposure_stream.pause_experiment(text) to exposure_stream_stream;

-- `curve`, daily: as the reconciler, besides.
grant insert, update, delete on exposure_stream.pacing_curve, exposure_stream.pacing_curve_weight to exposure_stream_reconciler;

-- Analysts and dashboards: exposure_stream_reader reads, and that is all.
