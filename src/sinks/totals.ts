/**
 * Hourly totals: what one task of evaluate knows about the hours of its entities, sent to Postgres aside of the path.
 * Never gates a commit: a flush that fails is tried again with fresher rows.
 */

/**
 * All of one (entity, UTC hour), absolute. Amounts are integers ≤ 2^53 − 1.
 * For `spend` the entity is a campaign, for `exposure` an experiment. Late and duplicate records are in none of
 * `spendMicros`, `impressions`, `units`; suspected ones are in them and are named again as evidence.
 */
export interface HourlyRow {
  kind: 'spend' | 'exposure';
  entityId: string;
  /** 0 for spend. */
  allocationVersion: number;
  /** '' for spend. */
  variantId: string;
  /** Start of the UTC hour of `event_ts`. */
  hourMs: number;
  spendMicros: number;
  impressions: number;
  units: number;
  lateRecords: number;
  lateMicros: number;
  duplicateRecords: number;
  duplicateMicros: number;
  suspectedRecords: number;
  suspectedMicros: number;
  invalidTrafficRecords: number;
  invalidTrafficMicros: number;
}

/** The columns of a row that count. */
export const HOURLY_AMOUNTS = [
  'spendMicros',
  'impressions',
  'units',
  'lateRecords',
  'lateMicros',
  'duplicateRecords',
  'duplicateMicros',
  'suspectedRecords',
  'suspectedMicros',
  'invalidTrafficRecords',
  'invalidTrafficMicros',
] as const satisfies readonly (keyof HourlyRow)[];

/** How far one source partition is, as the task that flushes has it. */
export interface PositionRow {
  topic: string;
  partition: number;
  origin: number;
  position: number;
  /** Null before the first accepted record. */
  watermarkMs: number | null;
  countedUntilMs: number | null;
  idle: boolean;
}

/** The dirty rows of one `.partials` partition, with the position in it that they were computed at. */
export interface HourlyBatch {
  partialsPartition: number;
  epoch: number;
  version: number;
  /** The task has lost state: of each amount the larger of stored and new is kept. */
  keepLarger?: boolean;
  /** At most one row for each (kind, entity, version, variant, hour). */
  rows: readonly HourlyRow[];
  /** At most one row for each source partition. */
  positions: readonly PositionRow[];
}

/** `fenced`: a higher (epoch, version) of this partition is already there; nothing was changed. */
export type FlushResult = 'written' | 'fenced';

export interface TotalsSink {
  /** All or nothing. Rejects with code `postgres_unreachable` or `schema_missing`; the caller tries again at its next flush. */
  flush(batch: HourlyBatch): Promise<FlushResult>;
  close(): Promise<void>;
}

/** Lower than, in the order of (epoch, version). */
export const isBehind = (a: { epoch: number; version: number }, b: { epoch: number; version: number }): boolean =>
  a.epoch < b.epoch || (a.epoch === b.epoch && a.version < b.version);
