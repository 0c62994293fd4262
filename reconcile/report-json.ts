/** A run for machines: one object, names as in Postgres, times in ISO form. What depends on the clock only stands in `timing`. */
import type { CampaignDay, MoneyTotals } from './money.ts';
import type { RunReport } from './run.ts';
import type { KindTotal } from './tally.ts';
import { DAY_MS, type Delta } from './types.ts';

/** Null where it is infinite. */
const iso = (ms: number): string | null => (Number.isFinite(ms) ? new Date(ms).toISOString() : null);

export function reportJson(report: RunReport, seconds: number): Record<string, unknown> {
  const { head, status, summary, deltas, money, checks, alerts, finished, failed, guardrails } = report;
  const { cut, scope } = head;
  return {
    run: head.runId,
    status: status === 'applying' ? 'applied' : status,
    held_because: summary.heldBecause,
    finished_before: finished,
    failed_before: failed.map(({ runId, because }) => ({ run: runId, because })),
    cut: {
      event_time: iso(cut.untilMs),
      closed_until: { spend: iso(cut.closedMs.spend), exposure: iso(cut.closedMs.exposure) },
      complete_until: { spend: iso(cut.completeMs.spend), exposure: iso(cut.completeMs.exposure) },
      positions: cut.positions.map(positionJson),
    },
    scope: { from: iso(scope.fromMs), to: iso(scope.toMs), backfill: scope.isBackfill, locked_before: iso(head.lockedMs) },
    drift_ratio: summary.driftRatio,
    adjusted: summary.adjusted,
    corrected: summary.corrected,
    superseded: summary.superseded,
    spend: totalJson(summary.kinds.spend, 'micros'),
    exposure: totalJson(summary.kinds.exposure, 'units'),
    money: { ...moneyJson(summary.money), campaign_days: money.map(dayJson) },
    deltas: deltas.map(deltaJson),
    deltas_left_off: summary.kinds.spend.states.drifted + summary.kinds.exposure.states.drifted - deltas.length,
    checks: checks.map(({ check, mode, passed, measured }) => ({
      check: check.name,
      version: check.version,
      priority: `P${check.priority}`,
      sla_hours: check.slaHours,
      mode,
      passed,
      measured: Number.isFinite(measured) ? measured : null,
    })),
    guardrails: guardrails.map((look) => ({
      experiment_id: look.experimentId,
      metric: look.metric,
      variant_id: look.variantId,
      verdict: look.verdict,
      because: look.because,
      paused: look.paused,
      log_e: look.logE,
      control: look.control,
      arm: { units: look.arm.units, events: look.arm.events },
    })),
    alerts: alerts.map(({ kind, severity }) => ({ kind, severity })),
    fingerprints: { input: report.inputFingerprint, result: report.resultFingerprint, before: summary.before, after: summary.after },
    moved_share: summary.movedShare,
    versions: { code: head.codeVersion, config: head.configVersion },
    timing: { started_at: iso(head.startedMs), booked_before: iso(cut.bookedBeforeMs), seconds },
  };
}

const positionJson = (at: RunReport['head']['cut']['positions'][number]) => ({
  partials_partition: at.partialsPartition,
  topic: at.topic,
  partition: at.partition,
  origin: at.origin,
  position: at.position,
  watermark: at.watermarkMs === null ? null : iso(at.watermarkMs),
  idle: at.idle,
});

const totalJson = (total: KindTotal, unit: 'micros' | 'units') => ({
  hours: total.states,
  missing_in_stream: total.missingInStream,
  missing_in_truth: total.missingInTruth,
  entities: total.entities,
  drifted_entities: total.driftedEntities,
  [`shown_${unit}`]: total.shown,
  [`truth_${unit}`]: total.truth,
  [`absolute_delta_${unit}`]: total.absoluteDelta,
  [`net_delta_${unit}`]: total.netDelta,
  [`max_delta_${unit}`]: total.maxDelta,
  classes: total.classes,
});

const moneyJson = (totals: MoneyTotals) => ({
  credited_micros: totals.creditedMicros,
  unseen_micros: totals.unseenMicros,
  absorbed_micros: totals.absorbedMicros,
  over_tolerance_micros: totals.overToleranceMicros,
  make_good_micros: totals.makeGoodMicros,
  under_delivered_micros: totals.underDeliveredMicros,
});

const dayJson = (day: CampaignDay) => ({
  campaign_id: day.campaignId,
  day: new Date(day.day * DAY_MS).toISOString().slice(0, 10),
  cap_micros: day.capMicros,
  partial: day.isPartial,
  shown_micros: day.shownMicros,
  truth_micros: day.truthMicros,
  ...moneyJson(day),
  catch_up_micros: day.catchUpMicros,
});

function deltaJson({
  kind,
  entityId,
  allocationVersion,
  variantId,
  hourMs,
  stream,
  truth,
  delta,
  class: name,
  action,
  explainedBy,
}: Delta) {
  const common = { hour: iso(hourMs), class: name, explained: explainedBy !== null, action };
  if (kind === 'exposure') {
    const key = { experiment_id: entityId, allocation_version: allocationVersion, variant_id: variantId };
    return {
      kind,
      ...key,
      ...common,
      shown_units: stream?.shown.amount ?? null,
      truth_units: truth?.amount ?? null,
      delta_units: delta.amount,
    };
  }
  return {
    kind,
    campaign_id: entityId,
    ...common,
    shown_micros: stream?.shown.amount ?? null,
    raw_micros: stream?.raw.amount ?? null,
    truth_micros: truth?.amount ?? null,
    delta_micros: delta.amount,
    delta_impressions: delta.count,
  };
}
