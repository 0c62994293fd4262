/**
 * What drift means in money, by campaign and budget day (the campaign's own day). Integers: micros.
 *
 * Of a day: what the counters had too much is *credited* (given back to the budget), what they had too little was spent
 * unseen. What the truth has beyond the cap cannot be billed and is *absorbed*; beyond 2 % of the cap it is over tolerance,
 * beyond 5 % the whole of it is owed as make-good. Where counters that had too much stopped a campaign short of its cap, the
 * shortfall is ours, and a catch-up over the next three days is proposed (never done by itself).
 */
import { type ComparedEntity, type ComparedHour, compareTexts } from './types.ts';

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
  /** The first instant of that day. */
  startOf(campaignId: string, day: number): number;
  /** The day's cap; null where it has none. */
  capMicros(campaignId: string, day: number): number | null;
}

export interface CampaignDay {
  campaignId: string;
  day: number;
  capMicros: number | null;
  /** It began before the hours looked at: amounts are of those hours only, and nothing is said of the cap. */
  isPartial: boolean;
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

interface Sums {
  shown: number;
  truth: number;
  credited: number;
  unseen: number;
  isDrifted: boolean;
  /** All of its hours are closed and booked. */
  isFinal: boolean;
}

/**
 * Days of campaigns that hold a drifted hour, and those over their tolerance though both sides agree. A campaign may come twice: with
 * the hours of the scope, and with locked ones of the same day. Hours still open or not yet booked count as the stream shows them.
 */
export class MoneyBook {
  readonly #budgets: Budgets;
  readonly #fromMs: number;
  readonly #campaigns = new Map<string, Map<number, Sums>>();

  /** @param fromMs where the scope begins: what a day that began before has in all is not known, nor what it was over its cap */
  constructor(budgets: Budgets, fromMs: number) {
    this.#budgets = budgets;
    this.#fromMs = fromMs;
  }

  add({ entityId, hours }: ComparedEntity): void {
    const before = this.#campaigns.get(entityId);
    const days = new Map(before);
    for (const hour of hours) addHour(hour, (atMs) => this.#budgets.dayOf(entityId, atMs), days);
    for (const [day, sums] of days) if (!sums.isDrifted && !this.#isOver(entityId, day, sums)) days.delete(day);
    if (days.size > 0) this.#campaigns.set(entityId, days);
  }

  /** In the order of campaigns, then days. */
  take(): CampaignDay[] {
    return [...this.#campaigns]
      .sort(([a], [b]) => compareTexts(a, b))
      .flatMap(([id, days]) =>
        [...days]
          .sort(([a], [b]) => a - b)
          .map(([day, sums]) => dayOf(id, day, { ...sums, cap: this.#capOf(id, day), isPartial: this.#isPartial(id, day) })),
      );
  }

  #isOver(id: string, day: number, { truth, isFinal }: Sums): boolean {
    const cap = this.#capOf(id, day);
    return isFinal && cap !== null && !this.#isPartial(id, day) && truth - cap > wholePart(cap, TOLERANCE);
  }

  #isPartial(id: string, day: number): boolean {
    return this.#budgets.startOf(id, day) < this.#fromMs;
  }

  #capOf(id: string, day: number): number | null {
    return this.#budgets.capMicros(id, day);
  }
}

function addHour({ hourMs, state, stream, truth }: ComparedHour, dayOfTime: (atMs: number) => number, days: Map<number, Sums>): void {
  const isFinal = state === 'matched' || state === 'drifted';
  const shownMicros = stream?.shown.amount ?? 0;
  const [shown, theirs] = [spreadEvenly(shownMicros, QUARTERS), spreadEvenly(isFinal ? (truth?.amount ?? 0) : shownMicros, QUARTERS)];
  for (let i = 0; i < QUARTERS; i++) {
    const day = dayOfTime(hourMs + i * QUARTER_MS);
    const sums = days.get(day) ?? { shown: 0, truth: 0, credited: 0, unseen: 0, isDrifted: false, isFinal: true };
    days.set(day, sums);
    sums.shown += shown[i];
    sums.truth += theirs[i];
    if (!isFinal) sums.isFinal = false;
    if (state !== 'drifted') continue;
    sums.isDrifted = true;
    sums.credited += Math.max(0, shown[i] - theirs[i]);
    sums.unseen += Math.max(0, theirs[i] - shown[i]);
  }
}

/** Of one campaign, whose days are wholly there. */
export function moneyOf(entity: ComparedEntity, budgets: Budgets): CampaignDay[] {
  const book = new MoneyBook(budgets, Number.NEGATIVE_INFINITY);
  book.add(entity);
  return book.take();
}

function dayOf(
  campaignId: string,
  day: number,
  { shown, truth, credited, unseen, ...rest }: Sums & { cap: number | null; isPartial: boolean },
): CampaignDay {
  const cap = rest.isPartial ? null : rest.cap;
  const over = cap === null ? 0 : Math.max(0, truth - cap);
  const under = cap === null || cap - shown > wholePart(cap, THROTTLED) ? 0 : Math.max(0, Math.min(credited, cap - truth));
  return {
    campaignId,
    day,
    capMicros: rest.cap,
    isPartial: rest.isPartial,
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
