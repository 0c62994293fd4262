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

const RUN_COLUMNS = `run_id as "runId", status, ${ms('cut_event_time')} as "untilMs", ${ms('cut_booked_at')} as "bookedBeforeMs", positions, bounds,
  ${ms('scope_from')} as "fromMs", ${ms('scope_to')} as "toMs", is_backfill as "isBackfill", ${ms('locked_before')} as "lockedMs",
  ${ms('started_at')} as "startedMs", code_version as "codeVersion", config_version as "configVersion", summary`;

/** A backfill has looked at its own days only: what was booked elsewhere meanwhile is still new. */
export const LAST_RUN = `
  select ${RUN_COLUMNS}
  from exposure_stream.reconcile_run where status = 'applied' and not is_backfill order by cut_event_time desc, cut_booked_at desc limit 1`;

/** What runs have locked, and the first hour that one has looked at: see lock.ts. */
export const LOCK = `
  select (select ${ms('max(locked_before)')} from exposure_stream.reconcile_run where status <> 'dry_run') as "lockedMs",
    (select ${ms('min(scope_from)')} from exposure_stream.reconcile_run where status <> 'dry_run' and not is_backfill) as "beganMs"`;

/** Rows of cursors, by number: see rows.ts. $1 from, $2 to (epoch ms). */
const STREAM_COLUMNS = {
  spend: `entity_id, 0, '', ${ms('counted.hour')}, coalesce(adjusted_spend_micros, spend_micros)::float8,
    coalesce(adjusted_impressions, counted.impressions)::float8, spend_micros::float8, counted.impressions::float8, ${ms('adjusted_cut_event')},
    ${ms('adjusted_cut_booked')}, late_micros::float8, duplicate_micros::float8, suspected_micros::float8, invalid_traffic_micros::float8`,
  exposure: `entity_id, allocation_version, variant_id, ${ms('counted.hour')}, units::float8, units::float8, units::float8, units::float8, null, null,
    late_records::float8, duplicate_records::float8, suspected_records::float8, 0`,
} as const;

const CORRECTED = `left join lateral (
    select sum(spend_micros)::float8 as micros, sum(impressions)::float8 as impressions, count(*) > 0 as is_corrected
    from exposure_stream.reconcile_correction correction where correction.campaign_id = counted.entity_id and correction.hour = counted.hour
  ) later on true`;
const CORRECTED_COLUMNS = 'coalesce(later.micros, 0), coalesce(later.impressions, 0), later.is_corrected';

/** @param from what is joined to `counted` */
const streamOf = (kind: 'spend' | 'exposure', { from = '', where }: { from?: string; where: string }): string => `
  select ${STREAM_COLUMNS[kind]}, ${kind === 'spend' ? CORRECTED_COLUMNS : '0, 0, false'}
  from exposure_stream.stream_count counted ${from} ${kind === 'spend' ? CORRECTED : ''}
  where kind = '${kind}' and ${where}
  order by entity_id collate "C", allocation_version, variant_id collate "C", counted.hour`;

const inScope = (hour: string): string => `${hour} >= ${time('$1')} and ${hour} < ${time('$2')}`;

/** $1 from, $2 to */
export const STREAM = {
  spend: streamOf('spend', { where: inScope('counted.hour') }),
  exposure: streamOf('exposure', { where: inScope('counted.hour') }),
} as const;

/** $3 booked before, $4 booked since (null: none are new). The hours: $1 from, $2 to; or, of `locked`, those of TOUCHED as two arrays. */
const truthOf = (kind: 'spend' | 'exposure', locked = false): string => {
  const [key, amount, count] =
    kind === 'spend'
      ? ["truth.campaign_id, 0, ''", 'spend_micros', 'sum(impressions)::float8']
      : ['experiment_id, allocation_version, variant_id', 'units', 'sum(units)::float8'];
  const [group, order] =
    kind === 'spend'
      ? ['truth.campaign_id, truth.hour', 'truth.campaign_id collate "C", truth.hour']
      : [
          'experiment_id, allocation_version, variant_id, hour',
          'experiment_id collate "C", allocation_version, variant_id collate "C", hour',
        ];
  return `
    select ${key}, ${ms('truth.hour')}, sum(${amount})::float8, ${count},
      coalesce(-sum(${amount}) filter (where ${amount} < 0), 0)::float8,
      coalesce(sum(${amount}) filter (where booked_at >= ${time('$4')}), 0)::float8
    from exposure_stream.truth_${kind}_hourly truth ${locked ? `join ${TOUCHED_HOURS} on touched.campaign_id = truth.campaign_id and touched.hour = truth.hour` : ''}
    where booked_at < ${time('$3')} and ${kind === 'spend' ? 'truth.campaign_id' : 'experiment_id'} is not null ${locked ? '' : `and ${inScope('truth.hour')}`}
    group by ${group} order by ${order}`;
};
/** $1 campaigns and $2 hours, in pairs. */
const TOUCHED_HOURS = 'unnest($1::text[], $2::timestamptz[]) as touched (campaign_id, hour)';
export const TRUTH = { spend: truthOf('spend'), exposure: truthOf('exposure') } as const;

/** Locked hours of spend that were booked in again: $1 the lock, $2 booked before, $3 since; from hour $5 on also since $4, before that. Columns of arrays for what follows. */
export const TOUCHED = `
  select distinct campaign_id::text as "campaignId", hour::text as hour from exposure_stream.truth_spend_hourly
  where booked_at >= ${time('$4')} and booked_at < ${time('$2')} and hour < ${time('$1')} and campaign_id is not null
    and (booked_at >= ${time('$3')} or hour >= ${time('$5')})`;
export const LOCKED_STREAM = streamOf('spend', {
  from: `join ${TOUCHED_HOURS} on touched.campaign_id = counted.entity_id and touched.hour = counted.hour`,
  where: 'true',
});
export const LOCKED_TRUTH = truthOf('spend', true);

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
/** Of two runs the one decided later, where they look at some of the same hours, is the newer. */
const isNewer = (newer: string, held: string): string =>
  `${newer}.decided_at > ${held}.decided_at and ${newer}.scope_from < ${held}.scope_to and ${held}.scope_from < ${newer}.scope_to`;
export const SUPERSEDE = `
  update exposure_stream.reconcile_run held set status = 'superseded'
  from exposure_stream.reconcile_run newer
  where newer.run_id = $1 and held.status = 'held' and ${isNewer('newer', 'held')}`;
export const NEWER = `
  select held.status, (select newer.run_id from exposure_stream.reconcile_run newer
    where newer.status = 'applied' and ${isNewer('newer', 'held')} order by newer.decided_at desc limit 1) as newer
  from exposure_stream.reconcile_run held where held.run_id = $1`;
export const REJECT = `
  update exposure_stream.reconcile_run set status = 'rejected', finished_at = clock_timestamp() where run_id = $1 and status = 'held'`;
export const FAIL = `
  update exposure_stream.reconcile_run set status = 'failed', decided_at = clock_timestamp(), finished_at = clock_timestamp(),
    summary = jsonb_build_object('failedBecause', $2::text)
  where run_id = $1 and status = 'started'`;
export const APPROVE = `update exposure_stream.reconcile_run set status = 'applying' where run_id = $1 and status = 'held'`;

/**
 * What a run does to the views, from its own deltas: so that approving it later is the same statements. What is history is asked when
 * they run: hours that some run has locked meanwhile, and those that have been corrected, are adjusted no more.
 */
const IS_HISTORY = `(delta.hour < (select max(locked_before) from exposure_stream.reconcile_run where status <> 'dry_run')
    or exists (select from exposure_stream.reconcile_correction before where before.campaign_id = delta.entity_id and before.hour = delta.hour))`;
const ADJUSTED = `delta.run_id = $1 and delta.kind = 'spend' and delta.action = 'adjust' and not ${IS_HISTORY}`;
const LOCKED = `delta.run_id = $1 and delta.kind = 'spend' and (delta.action = 'correct' or delta.action = 'adjust' and ${IS_HISTORY})`;
const COUNTED_COLUMNS = `kind, entity_id, allocation_version, variant_id, hour, spend_micros, impressions, units, late_records, late_micros,
     duplicate_records, duplicate_micros, suspected_records, suspected_micros, invalid_traffic_records, invalid_traffic_micros,
     partials_partition, epoch, version`;
const NOTHING_COUNTED = `'spend', delta.entity_id, 0, '', delta.hour, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0`;

/** A truth that does not count impressions leaves the stream's. */
export const ADJUST = `
  insert into exposure_stream.stream_count as held
    (${COUNTED_COLUMNS}, adjusted_spend_micros, adjusted_impressions, adjusted_run, adjusted_cut_event, adjusted_cut_booked)
  select ${NOTHING_COUNTED}, coalesce(delta.truth_spend_micros, 0),
    case when delta.truth_spend_micros is null then 0 else coalesce(delta.truth_count, delta.stream_count, 0) end,
    run.run_id, run.cut_event_time, run.cut_booked_at
  from exposure_stream.reconcile_delta delta join exposure_stream.reconcile_run run using (run_id)
  where ${ADJUSTED}
  order by delta.entity_id, delta.hour
  on conflict (kind, entity_id, allocation_version, variant_id, hour) do update set
    adjusted_spend_micros = excluded.adjusted_spend_micros, adjusted_impressions = excluded.adjusted_impressions,
    adjusted_run = excluded.adjusted_run, adjusted_cut_event = excluded.adjusted_cut_event, adjusted_cut_booked = excluded.adjusted_cut_booked
  where held.adjusted_cut_event is null
    or (held.adjusted_cut_event, held.adjusted_cut_booked) <= (excluded.adjusted_cut_event, excluded.adjusted_cut_booked)`;

/** An hour that the stream never had gets an empty row, for the view to show its corrections on. */
export const CORRECT_ROWS = `
  insert into exposure_stream.stream_count (${COUNTED_COLUMNS})
  select ${NOTHING_COUNTED} from exposure_stream.reconcile_delta delta where ${LOCKED}
  order by delta.entity_id, delta.hour on conflict do nothing`;
/** What is missing now, whatever was missing when the run was computed; not where a run that knew more bookings has said so. */
export const CORRECT = `
  insert into exposure_stream.reconcile_correction (run_id, campaign_id, hour, spend_micros, impressions)
  select run_id, campaign_id, hour, spend_micros, impressions from (
    select run.run_id, delta.entity_id as campaign_id, delta.hour, coalesce(delta.truth_spend_micros, 0) - shown.spend_micros as spend_micros,
      case when delta.truth_spend_micros is null then 0 else coalesce(delta.truth_count, shown.impressions) end - shown.impressions as impressions
    from exposure_stream.reconcile_delta delta
    join exposure_stream.reconcile_run run using (run_id)
    join exposure_stream.stream_spend_hourly shown on shown.campaign_id = delta.entity_id and shown.hour = delta.hour
    where ${LOCKED} and not exists (
      select from exposure_stream.reconcile_correction newer join exposure_stream.reconcile_run by on by.run_id = newer.run_id
      where newer.campaign_id = delta.entity_id and newer.hour = delta.hour and by.cut_booked_at > run.cut_booked_at)) missing
  where spend_micros <> 0 or impressions <> 0
  on conflict do nothing`;

/** $1 the run, $2 epoch ms: what evaluate must hold. */
export const STANDING = `
  select entity_id, ${ms('hour')}, adjusted_spend_micros::float8, adjusted_impressions::float8, ${ms('adjusted_cut_event')}, ${ms('adjusted_cut_booked')}
  from exposure_stream.stream_count
  where kind = 'spend' and adjusted_cut_event is not null and (adjusted_run = $1 or hour >= ${time('$2')})
  order by entity_id collate "C", hour`;
