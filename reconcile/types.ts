/** The nouns of reconciliation. Everything here is a plain value: what is done with them is pure and is what the simulation judges with. */

export const KINDS = ['spend', 'exposure'] as const;
export type Kind = (typeof KINDS)[number];

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** A campaign (version 0, variant ''), or a variant of an experiment under one allocation version. */
export interface Entity {
  kind: Kind;
  entityId: string;
  allocationVersion: number;
  variantId: string;
}

/** How much of one hour: of spend `amount` is micros and `count` impressions; of exposures both are units. Whole numbers. */
export interface Amounts {
  amount: number;
  count: number;
}

/** What the stream itself says of records that may make it differ from the truth; in the hour's own unit (micros, or records). */
export interface Evidence {
  late: number;
  /** Dropped under a known event_id. */
  duplicate: number;
  /** Counted, though it looks like another one. */
  suspected: number;
  invalidTraffic: number;
}

/** Orders adjustments: the one with the higher cut stands. Compared by `untilMs`, then by `bookedBeforeMs`. */
export interface CutPoint {
  /** Event-time bound, exclusive: epoch ms, a whole hour. */
  untilMs: number;
  /** Booking bound, exclusive: epoch ms. */
  bookedBeforeMs: number;
}

/** One UTC hour as the stream has it. */
export interface StreamHour extends Entity {
  hourMs: number;
  /** What the views show: adjusted where a run has adjusted it, corrections after the lock included. */
  shown: Amounts;
  /** What was counted. */
  raw: Amounts;
  /** The adjustment that stands; null where there is none. */
  adjustedAt: CutPoint | null;
  /** It was corrected after its lock: history, whatever the lock is now. */
  isCorrected: boolean;
  evidence: Evidence;
}

/** One UTC hour as the truth has it: the sum of its bookings before the cut. */
export interface TruthHour extends Entity {
  hourMs: number;
  amount: number;
  /** Null where the company's view does not say. */
  count: number | null;
  /** Sum of its negative bookings, as a positive number: what billing has taken back. */
  credits: number;
  /** Of `amount`, what was booked since the last run that was applied; 0 where there was none. */
  bookedSince: number;
}

/** How far one source partition is, as Postgres has it from one task of evaluate. */
export interface SourcePosition {
  partialsPartition: number;
  topic: string;
  partition: number;
  origin: number;
  position: number;
  watermarkMs: number | null;
  idle: boolean;
}

/** Persisted with the run: everything that decides what is compared with what. */
export interface Cut extends CutPoint {
  positions: readonly SourcePosition[];
  /** Hours that end later are still open in some source partition. */
  closedMs: Record<Kind, number>;
  /** Hours that end later are not wholly booked. */
  completeMs: Record<Kind, number>;
}

export const CLASSES = [
  'late_events',
  'duplicate_suspected',
  'loss_suspected',
  'invalid_traffic',
  'timezone',
  'counter_reset',
  'assignment_correction',
  'late_bookings',
  'unknown',
] as const;
export type DeltaClass = (typeof CLASSES)[number];

/** `not_yet_booked` and `in_flight_at_cut` are shown, never adjusted. */
export type HourState = 'matched' | 'drifted' | 'not_yet_booked' | 'in_flight_at_cut';

export interface ComparedHour {
  hourMs: number;
  state: HourState;
  /** Null where that side has no row. */
  stream: StreamHour | null;
  truth: TruthHour | null;
  /** Truth − what the stream shows. */
  delta: Amounts;
}

/** All compared hours of one entity, ascending. */
export interface ComparedEntity extends Entity {
  hours: readonly ComparedHour[];
}

/**
 * What becomes of a drifted hour. `adjust`: the truth replaces it. `correct`: it is locked, so the difference becomes a row of
 * its own. `report`: exposures, which are never adjusted. `superseded`: an adjustment with a higher cut stands.
 */
export type Action = 'adjust' | 'correct' | 'report' | 'superseded';

/** By the stream's own evidence, by the truth's word alone, or by nothing. */
export type ExplainedBy = 'stream' | 'truth' | null;

export interface Delta extends Entity {
  hourMs: number;
  stream: StreamHour | null;
  truth: TruthHour | null;
  delta: Amounts;
  class: DeltaClass;
  /** What nothing explains, or too much by the truth's word alone, may hold the run. */
  explainedBy: ExplainedBy;
  action: Action;
}

export const NO_EVIDENCE: Readonly<Evidence> = { late: 0, duplicate: 0, suspected: 0, invalidTraffic: 0 };

/** By (untilMs, bookedBeforeMs). */
export const compareCuts = (a: CutPoint, b: CutPoint): number => a.untilMs - b.untilMs || a.bookedBeforeMs - b.bookedBeforeMs;

/**
 * Order of Postgres' collation "C", which is that of the UTF-8 bytes, which is that of code points; JavaScript's own `<` goes by
 * UTF-16 units and differs above U+FFFF.
 */
export function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return inCodePointOrder(x) - inCodePointOrder(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for what lies above every other unit. */
const inCodePointOrder = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);

export const compareEntities = (a: Entity, b: Entity): number =>
  compareTexts(a.kind, b.kind) ||
  compareTexts(a.entityId, b.entityId) ||
  a.allocationVersion - b.allocationVersion ||
  compareTexts(a.variantId, b.variantId);
