/**
 * Why an hour differs. A class is named only where its evidence explains at least 80 % of the difference, else `unknown`.
 * Evidence is of the hour's own unit: micros of spend, records of exposures.
 *
 * Evidence speaks about what was *counted*, so it is held against truth − raw; what was booked since the last run speaks about
 * what is *shown*, so it is held against truth − shown.
 */
import { timezoneHours } from './timezone.ts';
import {
  type Amounts,
  type ComparedEntity,
  type ComparedHour,
  type DeltaClass,
  type Entity,
  type ExplainedBy,
  HOUR_MS,
  type Kind,
} from './types.ts';

/** A source that began to count anew between two runs. */
export interface Reset {
  kind: Kind;
  /** Hours that end after this may have lost counts: its watermark at the run before; -Infinity where that is not known. */
  sinceMs: number;
}

export interface Context {
  /** E.g. .8. */
  explainedShare: number;
  resets: readonly Reset[];
  /** Hours that end at or before this were compared by the last applied run, or one before it: only there a booking is late. */
  settledMs: Record<Kind, number>;
  /** Units that corrections of assignments have moved to (+) or from (−) a variant, all versions and hours. */
  correctedUnits: (entity: Entity) => number;
}

export interface Classified {
  hour: ComparedHour;
  class: DeltaClass;
  /**
   * By whose word it may move without a person: the evidence is the stream's own, or the truth's for at most half of the campaign, and
   * where it is bookings alone, a fifth of it and half of the hour; null where no evidence bears it. What is only suspected from the shape of the numbers is named and is no explanation: a truth that shows ten times everything has that shape too.
   */
  explainedBy: ExplainedBy;
}

/** A campaign that moves by more than this share of its larger side does so for reasons that the truth alone does not give. */
const MOST_BY_TRUTH = 0.5;
/** Of what is shown: more than bookings alone explain, of a campaign and of an hour. A job that has loaded everything twice has booked it all. */
const MOST_BY_BOOKINGS = 0.2;
const MOST_OF_HOUR = 0.5;
/** What is worth fewer impressions than this says nothing of an hour. */
const FEW_IMPRESSIONS = 20;
/** A whole multiple is one within this; late records are not counted one by one here, so numbers are taken less exactly. */
const AMOUNT_WITHIN = 0.01;
const COUNT_WITHIN = 0.06;
const MULTIPLES = [2, 3] as const;

type Ground = 'stream' | 'truth' | 'bookings' | 'shape';
const GROUNDS: Record<DeltaClass, Ground> = {
  late_events: 'stream',
  invalid_traffic: 'stream',
  duplicate_suspected: 'stream',
  counter_reset: 'truth',
  late_bookings: 'bookings',
  assignment_correction: 'truth',
  timezone: 'truth',
  loss_suspected: 'shape',
  unknown: 'shape',
};

interface Candidate {
  class: DeltaClass;
  /** What this evidence would make the difference be, with its sign. */
  explains: number;
  of: number;
  ground?: Ground;
}

/** The drifted hours of one entity, each with its class. */
export function classifyEntity(entity: ComparedEntity, context: Context): Classified[] {
  const drifted = entity.hours.filter(({ state }) => state === 'drifted');
  if (drifted.length === 0) return [];
  const shifted = timezoneHours(entity.hours, context.explainedShare);
  const all = totalOf(entity.hours);
  const corrected = correctionShare(entity, drifted, context);
  return drifted.map((hour) => {
    const best = bestOf([...corrected(hour), ...candidatesOf(entity, hour, context)], context.explainedShare);
    const isShape = best === null || (best.ground ?? GROUNDS[best.class]) === 'shape';
    if (isShape && shifted.has(hour.hourMs)) return { hour, class: 'timezone', explainedBy: 'truth' };
    const name = best?.class ?? 'unknown';
    const ground = best?.ground ?? GROUNDS[name];
    return { hour, class: name, explainedBy: explainedBy(ground, hour, all) };
  });
}

function explainedBy(ground: Ground, hour: ComparedHour, all: Total): ExplainedBy {
  if (ground === 'stream') return 'stream';
  const moved = Math.abs(all.truth.amount - all.shown.amount);
  const larger = Math.max(Math.abs(all.truth.amount), Math.abs(all.shown.amount));
  if (ground === 'truth') return moved > MOST_BY_TRUTH * larger ? null : 'truth';
  return ground === 'shape' || movedShare(all) > MOST_BY_BOOKINGS || hourMovesMuch(hour, all) ? null : 'truth';
}

interface Total {
  shown: Amounts;
  truth: Amounts;
}

/** Of all compared hours. */
function totalOf(hours: readonly ComparedHour[]): Total {
  const total = { shown: { amount: 0, count: 0 }, truth: { amount: 0, count: 0 } };
  for (const { state, stream, truth, delta } of hours) {
    if (state !== 'matched' && state !== 'drifted') continue;
    const shown = stream?.shown ?? { amount: 0, count: 0 };
    total.shown.amount += shown.amount;
    total.shown.count += shown.count;
    total.truth.amount += truth?.amount ?? 0;
    total.truth.count += shown.count + delta.count;
  }
  return total;
}

/** |truth − shown| as a share of what is shown. */
function movedShare({ shown, truth }: Total): number {
  const moved = Math.abs(truth.amount - shown.amount);
  return moved === 0 ? 0 : moved / Math.abs(shown.amount);
}

/** By half or more, and by what is not just a few impressions at the campaign's price: hours of a small campaign double by chance. */
function hourMovesMuch(hour: ComparedHour, all: Total): boolean {
  const { amount, count } = all.shown.count > all.truth.count ? all.shown : all.truth;
  const atPrice = count > 0 && Math.abs(hour.delta.amount) < (FEW_IMPRESSIONS * amount) / count;
  const isLittle = atPrice && Math.abs(hour.delta.count) < FEW_IMPRESSIONS;
  return !isLittle && movedShare(totalOf([hour])) >= MOST_OF_HOUR;
}

function candidatesOf(entity: ComparedEntity, hour: ComparedHour, context: Context): Candidate[] {
  const { stream, truth, delta } = hour;
  const found: Candidate[] = [];
  const raw = (truth?.amount ?? 0) - (stream?.raw.amount ?? 0);
  // What was counted explains what is to move only where both differ the same way: an adjustment that no longer holds is not its doing.
  const speaks = Math.sign(raw) === Math.sign(delta.amount) && Math.abs(raw) >= context.explainedShare * Math.abs(delta.amount);
  if (stream && speaks) {
    const { late, suspected, invalidTraffic, duplicate } = stream.evidence;
    found.push({ class: 'late_events', explains: late, of: raw });
    found.push({ class: 'duplicate_suspected', explains: -suspected, of: raw });
    found.push({ class: 'invalid_traffic', explains: invalidTraffic, of: raw });
    // Copies are dropped all day and billing seldom wants them back: only where it has just these.
    if (duplicate * context.explainedShare <= Math.abs(raw)) found.push({ class: 'duplicate_suspected', explains: duplicate, of: raw });
  }
  const wasSettled = hour.hourMs + HOUR_MS <= context.settledMs[entity.kind];
  if (truth && wasSettled) found.push({ class: 'late_bookings', explains: truth.bookedSince, of: delta.amount });
  if (truth && speaks) found.push({ class: 'invalid_traffic', explains: -truth.credits, of: raw, ground: 'bookings' });
  return entity.kind === 'spend' && speaks ? [...found, ...shapesOf(hour, raw, context)] : found;
}

/** What only the numbers' shape suggests, of spend. */
function shapesOf({ hourMs, stream, truth }: ComparedHour, raw: number, { resets, explainedShare }: Context): Candidate[] {
  const counted = stream?.raw ?? { amount: 0, count: 0 };
  const missing = missingAmount(counted, truth);
  const wasReset = resets.some(({ kind, sinceMs }) => kind === 'spend' && hourMs + HOUR_MS > sinceMs);
  const found: Candidate[] = [];
  if (missing <= raw / explainedShare) found.push({ class: wasReset ? 'counter_reset' : 'loss_suspected', explains: missing, of: raw });
  if (truth && isMultiple(counted, truth, stream?.evidence.late ?? 0))
    found.push({ class: 'duplicate_suspected', explains: raw, of: raw, ground: 'shape' });
  return found;
}

/** The candidates in order: the first that explains enough. Where evidence is larger than the difference, all of it may be explained. */
function bestOf(candidates: readonly Candidate[], share: number): Candidate | null {
  const enough = ({ explains, of }: Candidate): boolean =>
    of !== 0 && Math.sign(explains) === Math.sign(of) && Math.abs(explains) >= share * Math.abs(of);
  return candidates.find(enough) ?? null;
}

/** What the impressions that the truth has and the stream has not would have cost, at the stream's price or else the truth's; 0 where none are missing. */
function missingAmount(raw: Amounts, truth: ComparedHour['truth']): number {
  const missing = (truth?.count ?? 0) - raw.count;
  if (truth === null || truth.count === null || missing <= 0) return 0;
  return raw.count > 0 ? (missing * raw.amount) / raw.count : (missing * truth.amount) / truth.count;
}

/** The stream has a whole multiple of what it should have counted, in money and in number; what came late it has not counted at all. */
function isMultiple(raw: Amounts, truth: { amount: number; count: number | null }, late: number): boolean {
  const near = (value: number, to: number, within: number): boolean => to > 0 && Math.abs(value - to) <= within * to;
  const isOf = (m: number): boolean =>
    near(raw.amount, m * truth.amount, AMOUNT_WITHIN) || near(raw.amount, m * (truth.amount - late), AMOUNT_WITHIN);
  return MULTIPLES.some((m) => isOf(m) && (truth.count === null || near(raw.count, m * truth.count, COUNT_WITHIN)));
}

/** Corrections have no hour: they are held against the whole difference of the entity, and name each of its hours of that sign. */
function correctionShare(entity: ComparedEntity, drifted: readonly ComparedHour[], context: Context): (hour: ComparedHour) => Candidate[] {
  if (entity.kind !== 'exposure') return () => [];
  const moved = context.correctedUnits(entity);
  const whole = drifted.reduce((sum, { delta }) => sum + delta.amount, 0);
  const explained = bestOf([{ class: 'assignment_correction', explains: moved, of: whole }], context.explainedShare) !== null;
  return ({ delta }) => (explained ? [{ class: 'assignment_correction', explains: delta.amount, of: delta.amount }] : []);
}
