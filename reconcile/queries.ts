/** What is asked of Postgres for a run. Amounts come as float8: exact up to 2^53 − 1, and checked to be so where they are read. */

const ms = (column: string): string => `extract(epoch from ${column})::float8 * 1000`;
const time = (parameter: string): string => `to_timestamp(${parameter}::float8 / 1000)`;

/** The clock that bounds bookings, and the epoch whose positions count. */
export const NOW = `
  select floor(extract(epoch from clock_timestamp())::float8 * 1000) as "nowMs", epoch::float8 as epoch from exposure_stream.stream_epoch`;

export const POSITIONS = `
  select partials_partition as "partialsPartition", topic, partition, origin::float8 as origin, position::float8 as position,
    watermark_ms::float8 as "watermarkMs", idle
  from exposure_stream.stream_position where epoch = $1 order by partials_partition, topic collate "C", partition`;

export const COMPLETE = `select kind, ${ms('complete_until')} as ms from exposure_stream.truth_complete`;

/** A backfill has looked at its own days only: what was booked elsewhere meanwhile is still new. */
export const LAST_RUN = `
  select ${ms('cut_event_time')} as "untilMs", ${ms('cut_booked_at')} as "bookedBeforeMs", positions
  from exposure_stream.reconcile_run where status = 'applied' and not is_backfill order by cut_event_time desc, cut_booked_at desc limit 1`;

/** Rows of cursors, by number: see rows.ts. $1 from, $2 to (epoch ms). */
const STREAM_COLUMNS = {
  spend: `entity_id, 0, '', ${ms('hour')}, coalesce(adjusted_spend_micros, spend_micros)::float8,
    coalesce(adjusted_impressions, impressions)::float8, spend_micros::float8, impressions::float8, ${ms('adjusted_cut_event')},
    ${ms('adjusted_cut_booked')}, late_micros::float8, duplicate_micros::float8, suspected_micros::float8, invalid_traffic_micros::float8`,
  exposure: `entity_id, allocation_version, variant_id, ${ms('hour')}, units::float8, units::float8, units::float8, units::float8, null, null,
    late_records::float8, duplicate_records::float8, suspected_records::float8, 0`,
} as const;

const CORRECTED = `(select coalesce(sum(later.spend_micros), 0)::float8 from exposure_stream.reconcile_correction later
    where later.campaign_id = counted.entity_id and later.hour = counted.hour)`;
const CORRECTED_COUNT = CORRECTED.replace('later.spend_micros', 'later.impressions');

const streamOf = (kind: 'spend' | 'exposure', where: string): string => `
  select ${STREAM_COLUMNS[kind]}${kind === 'spend' ? `, ${CORRECTED}, ${CORRECTED_COUNT}` : ', 0, 0'}
  from exposure_stream.stream_count counted
  where kind = '${kind}' and ${where}
  order by entity_id collate "C", allocation_version, variant_id collate "C", hour`;

const IN_SCOPE = `hour >= ${time('$1')} and hour < ${time('$2')}`;

/** $1 from, $2 to */
export const STREAM = { spend: streamOf('spend', IN_SCOPE), exposure: streamOf('exposure', IN_SCOPE) } as const;

/** $3 booked before, $4 booked since (null: none are new) */
const truthOf = (kind: 'spend' | 'exposure', where: string): string => {
  const [key, amount, count] =
    kind === 'spend'
      ? ["campaign_id, 0, ''", 'spend_micros', 'sum(impressions)::float8']
      : ['experiment_id, allocation_version, variant_id', 'units', 'sum(units)::float8'];
  const [group, order] =
    kind === 'spend'
      ? ['campaign_id, hour', 'campaign_id collate "C", hour']
      : [
          'experiment_id, allocation_version, variant_id, hour',
          'experiment_id collate "C", allocation_version, variant_id collate "C", hour',
        ];
  return `
    select ${key}, ${ms('hour')}, sum(${amount})::float8, ${count},
      coalesce(-sum(${amount}) filter (where ${amount} < 0), 0)::float8,
      coalesce(sum(${amount}) filter (where booked_at >= ${time('$4')}), 0)::float8
    from exposure_stream.truth_${kind}_hourly
    where booked_at < ${time('$3')} and ${kind === 'spend' ? 'campaign_id' : 'experiment_id'} is not null and ${where}
    group by ${group} order by ${order}`;
};
export const TRUTH = { spend: truthOf('spend', IN_SCOPE), exposure: truthOf('exposure', IN_SCOPE) } as const;

/** Locked hours of spend that were booked in again: $1 the lock, $2 unused bound kept for the same parameters, $3 before, $4 since. */
const TOUCHED = `
  select campaign_id, hour from exposure_stream.truth_spend_hourly
  where booked_at >= ${time('$4')} and booked_at < ${time('$3')} and hour < ${time('$1')} and $2::float8 is not null`;
export const LOCKED_STREAM = streamOf('spend', `(entity_id, hour) in (${TOUCHED})`);
export const LOCKED_TRUTH = truthOf('spend', `(campaign_id, hour) in (${TOUCHED})`);

/** An assignment that was deactivated has left its variant; the active one of the same unit, made since, has joined another. */
export const CORRECTED_UNITS = `
  select experiment_id as "experimentId", variant_id as "variantId", sum(units)::float8 as units from (
    select experiment_id, variant_id, -1 as units from exposure_stream.experiment_assignment where not active
    union all
    select now_in.experiment_id, now_in.variant_id, 1
    from exposure_stream.experiment_assignment left_one
    join exposure_stream.experiment_assignment now_in
      on now_in.experiment_id = left_one.experiment_id and now_in.unit_id = left_one.unit_id and now_in.active
    where not left_one.active
  ) moved group by 1, 2`;

export const FIRST_CHECKS = `
  select check_name || '/' || check_version as id, ${ms('min(checked_at)')} as ms from exposure_stream.dq_result group by 1`;

const RUN_COLUMNS = `run_id as "runId", status, ${ms('cut_event_time')} as "untilMs", ${ms('cut_booked_at')} as "bookedBeforeMs", positions, bounds,
  ${ms('scope_from')} as "fromMs", ${ms('scope_to')} as "toMs", is_backfill as "isBackfill", ${ms('locked_before')} as "lockedMs",
  ${ms('started_at')} as "startedMs", code_version as "codeVersion", config_version as "configVersion", summary`;

export const PENDING = `select ${RUN_COLUMNS} from exposure_stream.reconcile_run where status in ('started', 'applying') order by started_at, run_id`;
export const RUN = `select ${RUN_COLUMNS} from exposure_stream.reconcile_run where run_id = $1`;

export const BEGIN = `
  insert into exposure_stream.reconcile_run as kept
    (run_id, status, started_at, cut_event_time, cut_booked_at, positions, bounds, scope_from, scope_to, is_backfill, locked_before,
     code_version, config_version)
  values ($1, $2, ${time('$3')}, ${time('$4')}, ${time('$5')}, $6, $7, ${time('$8')}, ${time('$9')}, $10, ${time('$11')}, $12, $13)
  on conflict (run_id) do update set positions = excluded.positions, bounds = excluded.bounds where kept.status = 'started'`;

/** $2 status, $3 summary, $4 and $5 fingerprints; from `started` only. */
export const DECIDE = `
  update exposure_stream.reconcile_run set status = $2, summary = $3, input_fingerprint = $4, result_fingerprint = $5,
    decided_at = clock_timestamp(), finished_at = case when $2 = 'applying' then null else clock_timestamp() end
  where run_id = $1 and status = 'started'`;

export const MARK_APPLIED = `
  update exposure_stream.reconcile_run set status = 'applied', finished_at = clock_timestamp() where run_id = $1 and status = 'applying'`;
/** Held ones below this one's cut can be approved no more. */
export const SUPERSEDE = `
  update exposure_stream.reconcile_run held set status = 'superseded'
  from exposure_stream.reconcile_run newer
  where newer.run_id = $1 and held.status = 'held' and (held.cut_event_time, held.cut_booked_at) < (newer.cut_event_time, newer.cut_booked_at)`;
export const APPROVE = `update exposure_stream.reconcile_run set status = 'applying' where run_id = $1 and status = 'held'`;

/** What a run does to the views, from its own deltas: so that approving it later is the same statement. The cut is the run's. */
export const ADJUST = `
  insert into exposure_stream.stream_count as held
    (kind, entity_id, allocation_version, variant_id, hour, spend_micros, impressions, units, late_records, late_micros, duplicate_records,
     duplicate_micros, suspected_records, suspected_micros, invalid_traffic_records, invalid_traffic_micros,
     adjusted_spend_micros, adjusted_impressions, adjusted_run, adjusted_cut_event, adjusted_cut_booked,
     partials_partition, epoch, version)
  select 'spend', delta.entity_id, 0, '', delta.hour, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    coalesce(delta.truth_spend_micros, 0), coalesce(delta.truth_count, 0), run.run_id, run.cut_event_time, run.cut_booked_at, 0, 0, 0
  from exposure_stream.reconcile_delta delta join exposure_stream.reconcile_run run using (run_id)
  where delta.run_id = $1 and delta.kind = 'spend' and delta.action = 'adjust'
  order by delta.entity_id, delta.hour
  on conflict (kind, entity_id, allocation_version, variant_id, hour) do update set
    adjusted_spend_micros = excluded.adjusted_spend_micros, adjusted_impressions = excluded.adjusted_impressions,
    adjusted_run = excluded.adjusted_run, adjusted_cut_event = excluded.adjusted_cut_event, adjusted_cut_booked = excluded.adjusted_cut_booked
  where held.adjusted_cut_event is null
    or (held.adjusted_cut_event, held.adjusted_cut_booked) <= (excluded.adjusted_cut_event, excluded.adjusted_cut_booked)`;

/** Differences after the lock; an hour that the stream never had gets an empty row, for the view to show them on. */
export const CORRECT_ROWS = ADJUST.replace(/on conflict[\s\S]*$/, 'on conflict do nothing')
  .replace("delta.action = 'adjust'", "delta.action = 'correct'")
  .replace(/coalesce\(delta.truth_spend_micros[\s\S]*?run.cut_booked_at,/, 'null, null, null, null, null,');
export const CORRECT = `
  insert into exposure_stream.reconcile_correction (run_id, campaign_id, hour, spend_micros, impressions)
  select run_id, entity_id, hour, coalesce(truth_spend_micros, 0) - coalesce(stream_spend_micros, 0), coalesce(truth_count, 0) - coalesce(stream_count, 0)
  from exposure_stream.reconcile_delta where run_id = $1 and kind = 'spend' and action = 'correct'
  on conflict do nothing`;

/** $1 the run, $2 epoch ms: what evaluate must hold. */
export const STANDING = `
  select entity_id, ${ms('hour')}, adjusted_spend_micros::float8, adjusted_impressions::float8, ${ms('adjusted_cut_event')}, ${ms('adjusted_cut_booked')}
  from exposure_stream.stream_count
  where kind = 'spend' and adjusted_cut_event is not null and (adjusted_run = $1 or hour >= ${time('$2')})
  order by entity_id collate "C", hour`;

export const DELTAS = `
  select kind, entity_id as "entityId", allocation_version as "allocationVersion", variant_id as "variantId", ${ms('hour')} as "hourMs",
    stream_spend_micros::float8 as "streamMicros", truth_spend_micros::float8 as "truthMicros", stream_count::float8 as "streamCount",
    truth_count::float8 as "truthCount", raw_spend_micros::float8 as "rawMicros", raw_count::float8 as "rawCount", class, action, explained, evidence
  from exposure_stream.reconcile_delta where run_id = $1
  order by kind desc, entity_id collate "C", allocation_version, variant_id collate "C", hour`;
