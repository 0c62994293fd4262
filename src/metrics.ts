/** Every metric, declared once: name, type, labels, meaning. The reference page and the dashboards are held against this table. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const PREFIX = 'exposure_stream_';

interface MetricSpec {
  type: 'counter' | 'gauge' | 'histogram';
  labels: readonly string[];
  says: string;
  buckets?: number[];
}

export const METRICS = {
  records_total: {
    type: 'counter',
    labels: ['stream', 'partition', 'disposition'],
    says: 'Records judged since the log began, out of the partition’s committed state; exported by its owner only.',
  },
  invalid_records_total: { type: 'counter', labels: ['stream', 'reason'], says: 'Invalid records by reason, out of committed state.' },
  late_spend_micros_total: { type: 'counter', labels: ['partition'], says: 'Money of late impressions.' },
  duplicate_spend_micros_total: { type: 'counter', labels: ['partition'], says: 'Money of duplicate impressions.' },
  invalid_traffic_spend_micros_total: {
    type: 'counter',
    labels: ['partition'],
    says: 'Money of accepted impressions with is_valid false.',
  },
  suspected_duplicates_total: {
    type: 'counter',
    labels: ['stream', 'partition'],
    says: 'Accepted records that look like another one under a new event_id.',
  },
  suspected_duplicate_spend_micros_total: {
    type: 'counter',
    labels: ['partition'],
    says: 'Money of suspected duplicates; it is counted in spend.',
  },
  watermark_lag_seconds: { type: 'gauge', labels: ['stream', 'partition'], says: 'Wall clock minus the source partition’s watermark.' },
  watermark_ahead_seconds: {
    type: 'gauge',
    labels: ['stream'],
    says: 'How far the highest watermark is ahead of the wall clock; 0 when it is not.',
  },
  watermark_holder: {
    type: 'gauge',
    labels: ['stream', 'partition'],
    says: '1 for the source partition that holds the stream’s watermark back.',
  },
  consumer_lag_records: {
    type: 'gauge',
    labels: ['stream', 'partition'],
    says: 'Records between the task’s position and the end of the log it last saw.',
  },
  end_to_end_seconds: {
    type: 'histogram',
    labels: [],
    says: 'From a record’s Kafka timestamp until its effect is in Redis.',
    buckets: [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 300],
  },
  commit_duration_seconds: {
    type: 'histogram',
    labels: ['stage'],
    says: 'Time to deliver, append and commit.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
  },
  state_keys: { type: 'gauge', labels: ['store'], says: 'Keys held in memory by store.' },
  state_bytes: { type: 'gauge', labels: ['store'], says: 'Memory of the state by store.' },
  state_budget_bytes: { type: 'gauge', labels: [], says: 'STATE_MEMORY_BYTES.' },
  tasks: { type: 'gauge', labels: ['stage', 'state'], says: 'Tasks by what they are doing; `stopped` needs a person.' },
  restored_bytes: {
    type: 'gauge',
    labels: ['stage', 'topic', 'partition'],
    says: 'What a restore that is under way has read; absent when none is.',
  },
  restore_ratio: {
    type: 'gauge',
    labels: ['stage', 'topic', 'partition', 'phase'],
    says: 'How far a restore that is under way has come in its phase, 0 to 1: first `reading` what of the log counts, then `applying` it.',
  },
  task_failures_total: { type: 'counter', labels: ['stage', 'code'], says: 'Failures of tasks by error code.' },
  sources_with_lost_state: {
    type: 'gauge',
    labels: [],
    says: 'Source partitions that began counting again behind a truncated log: their counts may be too low.',
  },
  tasks_with_lost_state: {
    type: 'gauge',
    labels: ['stage'],
    says: 'Tasks that went on without state or records that were lost (--accept-state-loss): what they count may be too low.',
  },
  forgotten_cells_total: {
    type: 'counter',
    labels: [],
    says: 'Values of hours so old that evaluate keeps them no more, since it took its partitions: counted by ingest, shown nowhere. More than 0 needs a person.',
  },
  campaigns: {
    type: 'gauge',
    labels: ['state'],
    says: 'Registered campaigns by what their bidders are told: open, throttled, stopped, killed. Each is told of by the owner of its partition.',
  },
  spend_at_risk_micros: {
    type: 'gauge',
    labels: [],
    says: 'What is spent while it is not yet counted: over all campaigns, rate times how far counting is behind. Lag as money.',
  },
  counted_behind_seconds: {
    type: 'gauge',
    labels: [],
    says: 'Redis’ time minus the Kafka time up to which all impressions are counted. Above 30 the bidders’ gates turn conservative by themselves.',
  },
  platform_expected_spend_micros: {
    type: 'gauge',
    labels: ['from'],
    says: 'What all campaigns together should spend in this hour, from `forecast` or `median`; absent while there is neither (fewer than 7 days): platform_spend is off then.',
  },
  registry_age_seconds: { type: 'gauge', labels: [], says: 'Since the registry was last read.' },
  totals_pending_rows: { type: 'gauge', labels: [], says: 'Hourly totals that Postgres does not have yet.' },
  totals_flush_failures_total: { type: 'counter', labels: [], says: 'Flushes of hourly totals that failed and are tried again.' },
  alerts_open: {
    type: 'gauge',
    labels: ['kind', 'severity'],
    says: 'Alerts that nobody has acknowledged, as Postgres has them: every process that evaluates exports the same, so take the largest.',
  },
  alerts_suppressed: { type: 'gauge', labels: ['kind'], says: 'Alerts not raised because the stream itself lags.' },
  alerts_publish_failures_total: {
    type: 'counter',
    labels: [],
    says: 'Passes in which alerts did not reach `.alerts` or Postgres, or deliveries were not read there; tried again.',
  },
  alert_deliveries_total: {
    type: 'counter',
    labels: ['route', 'event'],
    says: 'Alerts that a receiver has taken; `raised` also when repeated.',
  },
  alert_delivery_failures_total: { type: 'counter', labels: ['route'], says: 'Deliveries that failed and are tried again.' },
  alert_oldest_undelivered_seconds: {
    type: 'gauge',
    labels: [],
    says: 'How long the oldest delivery of an alert has been waiting; 0 when none is. The same from every process: take the largest.',
  },
  srm_log_e_value: {
    type: 'gauge',
    labels: ['experiment'],
    says: 'ln of the e-value against the registered split; an alarm is at ln(1/alpha), 6.9 by default. Only of the 100 largest of a process.',
  },
  srm_experiments: {
    type: 'gauge',
    labels: ['state'],
    says: 'Experiments with units by what their tests say: healthy, alarm, recovered, untested, unversioned, unregistered.',
  },
  reconcile_last_success_timestamp_seconds: {
    type: 'gauge',
    labels: [],
    says: 'When the last `reconcile` was applied, epoch seconds, as Postgres has it; 0 before the first.',
  },
  reconcile_drift_ratio: {
    type: 'gauge',
    labels: [],
    says: 'Spend that differed from the truth, as a share of it, as the last `reconcile` found it (before it was repaired).',
  },
  reconcile_held_runs: { type: 'gauge', labels: [], says: 'Runs of `reconcile` that are held until a person approves them.' },
  redis_up: { type: 'gauge', labels: [], says: '1 when the last write went through.' },
  build_info: { type: 'gauge', labels: ['version', 'node'], says: 'Always 1.' },
} as const satisfies Record<string, MetricSpec>;

export type MetricName = keyof typeof METRICS;

/** All metrics of a process. Values that live in state are set when they are asked for. */
export class Metrics {
  readonly registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    for (const [name, spec] of Object.entries(METRICS) as [MetricName, MetricSpec][]) this.#declare(name, spec);
  }

  gauge(name: MetricName): Gauge {
    return this.#gauges.get(name) as Gauge;
  }

  counter(name: MetricName): Counter {
    return this.#counters.get(name) as Counter;
  }

  histogram(name: MetricName): Histogram {
    return this.#histograms.get(name) as Histogram;
  }

  /** A counter whose value is kept in the state: set, not added to. */
  setCounter(name: MetricName, labels: Record<string, string>, value: number): void {
    const counter = this.counter(name);
    counter.remove(labels);
    counter.inc(labels, value);
  }

  #declare(name: MetricName, spec: MetricSpec): void {
    const common = { name: PREFIX + name, help: spec.says, labelNames: [...spec.labels], registers: [this.registry] };
    if (spec.type === 'gauge') this.#gauges.set(name, new Gauge(common));
    else if (spec.type === 'counter') this.#counters.set(name, new Counter(common));
    else this.#histograms.set(name, new Histogram(spec.buckets ? { ...common, buckets: spec.buckets } : common));
  }
}
