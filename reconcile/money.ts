/**
 * What drift means in money, by campaign and budget day (the campaign's own day). Integers: micros.
 *
 * Of a day: what the counters had too much is *credited* (given back to the budget), what they had too little was spent
 * unseen. What the truth has beyond the cap cannot be billed and is *absorbed*; beyond 2 % of the cap it is over tolerance,
 * beyond 5 % the whole of it is owed as make-good. Where counters that had too much stopped a campaign short of its cap, the
 * shortfall is ours, and a catch-up over the next three days is proposed (never done by itself).
 */
import type { ComparedEntity } from './types.ts';

const QUARTER_MS = 900_000;
const QUARTERS = 4;
/** Parts of the cap, as divisors: micros are whole and stay exact. */
const TOLERANCE = 50; // 2 %
const MAKE_GOOD = 20; // 5 %
/** From so little below the cap on the gate throttles (pacing: graceful). */
const THROTTLED = 20; // 95 %
const CATCH_UP_DAYS = 3;

export interface Budgets {
  /** Days since 1970-01-01 of the campaign's local day that holds this time. */
  dayOf(campaignId: string, atMs: number): number;
  /** The day's cap; null where it has none. */
  capMicros(campaignId: string, day: number): number | null;
}

export interface CampaignDay {
  campaignId: string;
  day: number;
  capMicros: number | null;
  /** Before the run. */
  shownMicros: number;
  truthMicros: number;
  creditedMicros: number;
  unseenMicros: number;
  absorbedMicros: number;
  overToleranceMicros: number;
  makeGoodMicros: number;
  underDeliveredMicros: number;
  /** A proposal for each of the next days. */
  catchUpMicros: readonly number[];
}

/** Days of a campaign that hold a drifted hour, ascending. Hours still open or not yet booked count as the stream shows them. */
export function moneyOf({ entityId, hours }: ComparedEntity, budgets: Budgets): CampaignDay[] {
  if (!hours.some(({ state }) => state === 'drifted')) return [];
  const days = new Map<number, { shown: number; truth: number; credited: number; unseen: number; drifted: boolean }>();
  for (const hour of hours) {
    const truthMicros = hour.state === 'matched' || hour.state === 'drifted' ? (hour.truth?.amount ?? 0) : (hour.stream?.shown.amount ?? 0);
    const isDrifted = hour.state === 'drifted';
    const [shown, truth] = [spreadEvenly(hour.stream?.shown.amount ?? 0, QUARTERS), spreadEvenly(truthMicros, QUARTERS)];
    for (let i = 0; i < QUARTERS; i++) {
      const day = budgets.dayOf(entityId, hour.hourMs + i * QUARTER_MS);
      const sums = days.get(day) ?? { shown: 0, truth: 0, credited: 0, unseen: 0, drifted: false };
      days.set(day, sums);
      sums.shown += shown[i];
      sums.truth += truth[i];
      if (!isDrifted) continue;
      sums.drifted = true;
      sums.credited += Math.max(0, shown[i] - truth[i]);
      sums.unseen += Math.max(0, truth[i] - shown[i]);
    }
  }
  return [...days]
    .filter(([, { drifted }]) => drifted)
    .sort(([a], [b]) => a - b)
    .map(([day, sums]) => dayOf(entityId, day, { ...sums, cap: budgets.capMicros(entityId, day) }));
}

interface Sums {
  shown: number;
  truth: number;
  credited: number;
  unseen: number;
  cap: number | null;
}

function dayOf(campaignId: string, day: number, { shown, truth, credited, unseen, cap }: Sums): CampaignDay {
  const over = cap === null ? 0 : Math.max(0, truth - cap);
  const under = cap === null || cap - shown > wholePart(cap, THROTTLED) ? 0 : Math.max(0, Math.min(credited, cap - truth));
  return {
    campaignId,
    day,
    capMicros: cap,
    shownMicros: shown,
    truthMicros: truth,
    creditedMicros: credited,
    unseenMicros: unseen,
    absorbedMicros: over,
    overToleranceMicros: cap === null ? 0 : Math.max(0, over - wholePart(cap, TOLERANCE)),
    makeGoodMicros: cap !== null && over > wholePart(cap, MAKE_GOOD) ? over : 0,
    underDeliveredMicros: under,
    catchUpMicros: under === 0 ? [] : spreadEvenly(under, CATCH_UP_DAYS),
  };
}

/** amount / parts without its remainder, exact for every whole number that is. */
const wholePart = (amount: number, parts: number): number => (amount - (amount % parts)) / parts;

/** Whole parts that add up; the remainder goes to the last. */
export function spreadEvenly(amount: number, parts: number): number[] {
  const each = Math.trunc(amount / parts);
  return Array.from({ length: parts }, (_, i) => (i < parts - 1 ? each : amount - each * (parts - 1)));
}

/** Sums over campaign-days. */
export type MoneyTotals = Record<
  'creditedMicros' | 'unseenMicros' | 'absorbedMicros' | 'overToleranceMicros' | 'makeGoodMicros' | 'underDeliveredMicros',
  number
>;

export const NO_MONEY: MoneyTotals = {
  creditedMicros: 0,
  unseenMicros: 0,
  absorbedMicros: 0,
  overToleranceMicros: 0,
  makeGoodMicros: 0,
  underDeliveredMicros: 0,
};

export const addMoney = (totals: MoneyTotals, day: CampaignDay): MoneyTotals =>
  Object.fromEntries(Object.entries(totals).map(([name, sum]) => [name, sum + day[name as keyof MoneyTotals]])) as MoneyTotals;
