/** What was counted, in one object: printed by `replay`, `run --until-end` and `demo`. Same input, same bytes, however it came. */

import { dayText } from './operators/days.ts';
import { INVALID_REASONS } from './operators/decode.ts';
import type { EvaluateTask, IngestTask } from './topology/pipeline.ts';
import { DISPOSITIONS, STREAMS, type Stream } from './topology/types.ts';

export interface StreamSummary {
  records: Record<(typeof DISPOSITIONS)[number], number>;
  /** Invalid records by reason; only reasons that occurred. */
  invalid_reasons: Record<string, number>;
  suspected: number;
}

export interface Summary {
  streams: Record<Stream, StreamSummary>;
  /** Money of impressions that are not in `spend`, and of suspected duplicates, which are. */
  money: { late_micros: number; duplicate_micros: number; invalid_traffic_micros: number; suspected_micros: number };
  /** Campaign → day in its zone. */
  spend: Record<string, Record<string, { spend_micros: number; impressions: number }>>;
  /** Experiment → units by variant. */
  exposed: Record<string, { units: Record<string, number>; contaminated: number }>;
}

/** Out of the tasks' states; tasks without one are left out. */
export function summarise(ingest: readonly IngestTask[], evaluate: readonly EvaluateTask[]): Summary {
  const streams = Object.fromEntries(STREAMS.map((stream) => [stream, emptyStream()])) as Record<Stream, StreamSummary>;
  const money = { late_micros: 0, duplicate_micros: 0, invalid_traffic_micros: 0, suspected_micros: 0 };
  for (const { stage } of ingest) {
    if (stage === null) continue;
    const { dispositions, reasons, sums } = stage.state.totals;
    const summary = streams[stage.stream];
    DISPOSITIONS.forEach((name, i) => {
      summary.records[name] += dispositions[i];
    });
    INVALID_REASONS.forEach((name, i) => {
      if (reasons[i] > 0) summary.invalid_reasons[name] = (summary.invalid_reasons[name] ?? 0) + reasons[i];
    });
    summary.suspected += sums.suspected;
    money.late_micros += sums.lateMicros;
    money.duplicate_micros += sums.duplicateMicros;
    money.invalid_traffic_micros += sums.invalidTrafficMicros;
    money.suspected_micros += sums.suspectedMicros;
  }
  for (const summary of Object.values(streams)) summary.invalid_reasons = ordered(summary.invalid_reasons);
  return { streams, money, spend: spendOf(evaluate), exposed: exposedOf(evaluate) };
}

function spendOf(tasks: readonly EvaluateTask[]): Summary['spend'] {
  const spend = new Map<string, Map<string, { spend_micros: number; impressions: number }>>();
  for (const { stage } of tasks) {
    if (stage === null) continue;
    const {
      groups,
      days: { table: days },
    } = stage.state;
    for (let i = 0; i < days.size; i++) {
      const { entity } = groups[days.groupOf(i)];
      const ofCampaign = spend.get(entity) ?? new Map();
      spend.set(entity, ofCampaign);
      ofCampaign.set(dayText(days.timeOf(i)), { spend_micros: days.get(i, 0), impressions: days.get(i, 1) });
    }
  }
  return ordered(Object.fromEntries([...spend].map(([campaign, byDay]) => [campaign, ordered(Object.fromEntries(byDay))])));
}

function exposedOf(tasks: readonly EvaluateTask[]): Summary['exposed'] {
  const exposed: [string, Summary['exposed'][string]][] = [];
  for (const { stage } of tasks) {
    for (const { entity, units, contaminated } of stage?.state.experiments.all() ?? []) {
      exposed.push([entity.id, { units: ordered(Object.fromEntries(units)), contaminated }]);
    }
  }
  return ordered(Object.fromEntries(exposed));
}

const emptyStream = (): StreamSummary => ({
  records: { accepted: 0, duplicate: 0, late: 0, invalid: 0 },
  invalid_reasons: {},
  suspected: 0,
});

/** With its names in order; one called `__proto__` is kept. */
function ordered<Value>(object: Record<string, Value>): Record<string, Value> {
  const names = Object.keys(object).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}
