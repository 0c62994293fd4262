/** What is wrong with a campaign's delivery, in numbers and words. Pure; when it is raised is evaluate's. */
import type { AlertDraft } from '../alerts/types.ts';
import { targetMicrosAt } from '../gate/curve.ts';
import { dayText } from '../operators/days.ts';
import type { Campaign, Decision } from './campaign.ts';
import { dayCurve } from './day-curve.ts';

/** Of what was planned; below it, delivery is called too low. */
const UNDER_SHARE = 0.7;
/** In the day's first half hour, or the campaign's, too little has happened to say anything. */
const FIRST_MS = 30 * 60_000;
/** More of the cap than this is overspend: one hundredth is what delays may cost. */
const OVER_SHARE = 1.01;
/** The gate holds a campaign back when it lets in less than this. */
const HELD_BACK = 0.5;
const NO_TRAFFIC_MS = 10 * 60_000;

const money = (micros: number): string => (micros / 1e6).toFixed(2);
const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Planned since the day, the campaign or its present cap began; null while that says nothing. `accelerated` is judged as if it were even. */
export function plannedMicros(campaign: Campaign, nowMs: number): number | null {
  const { plan, bounds, day } = campaign;
  const sinceMs = Math.max(bounds.startMs, plan.fromMs);
  if (nowMs < sinceMs + FIRST_MS) return null;
  const curve = plan.curve === 'accelerated' ? dayCurve({ ...plan, curve: 'even', shares: null, day }) : campaign.curve;
  return targetMicrosAt(curve, bounds, nowMs) - targetMicrosAt(curve, bounds, sinceMs);
}

/** @param floorMicros less than this planned is too little to be judged */
export function isUnderDelivered(campaign: Campaign, told: Decision, nowMs: number, floorMicros: number): boolean {
  if (campaign.plan.closed !== null) return false;
  const planned = plannedMicros(campaign, nowMs);
  return planned !== null && planned >= floorMicros && told.spendMicros < UNDER_SHARE * planned;
}

export type UnderDelivery = 'gate' | 'credit' | 'no_traffic' | 'bids_or_audience';

function causeOf(campaign: Campaign, told: Decision, nowMs: number): UnderDelivery {
  if (told.reason === 'credit_damped') return 'credit';
  if (told.multiplier < HELD_BACK) return 'gate';
  return nowMs - campaign.lastSpendMs > NO_TRAFFIC_MS ? 'no_traffic' : 'bids_or_audience';
}

const CAUSES: Record<UnderDelivery, (campaign: Campaign, told: Decision) => { why: string; nextStep: string }> = {
  gate: (_, { multiplier, reason }) => ({
    why: `The gate lets in ${percent(multiplier)} of its auctions (${reason}), which it opens by one tenth a minute at most.`,
    nextStep: 'Watch `exposure-stream gate`: the multiplier should rise. If it does not, the plan or the spend it follows is wrong.',
  }),
  credit: () => ({
    why: 'It was credited today, and four fifths of what remained are spent: the rest waits for the next reconciliation.',
    nextStep: 'See that `reconcile` runs; its next run ends this.',
  }),
  no_traffic: ({ lastSpendMs }) => ({
    why: `The gate is open, but no impression has come ${Number.isFinite(lastSpendMs) ? `since ${new Date(lastSpendMs).toISOString()}` : 'at all'}.`,
    nextStep: 'Look at the bidder: is the campaign live there, does it enter auctions, do its impressions reach Kafka?',
  }),
  bids_or_audience: (_, { multiplier }) => ({
    why: `The gate is open (${percent(multiplier)}) and impressions come, but too few. Whether bids are too low or the audience is too small cannot be told apart here.`,
    nextStep: 'Compare the campaign’s win rate and its reach in the bidder.',
  }),
};

export function underDeliveryDraft(campaign: Campaign, told: Decision, at: { nowMs: number; sinceMs: number; lagMs: number }): AlertDraft {
  const planned = plannedMicros(campaign, at.nowMs) ?? 0;
  const cause = causeOf(campaign, told, at.nowMs);
  const { why, nextStep } = CAUSES[cause](campaign, told);
  return {
    ...common(campaign),
    kind: 'under_delivery',
    severity: 'ticket',
    summary: `${campaign.id} has delivered ${percent(told.spendMicros / planned)} of what its day’s plan says by now`,
    description: `${money(told.spendMicros)} of ${money(planned)} planned are spent, too little since ${new Date(at.sinceMs).toISOString()}; the cap of ${money(campaign.plan.capMicros)} is not reached. ${why} Counting is ${(at.lagMs / 1000).toFixed(0)} s behind.`,
    nextStep,
    facts: {
      cause,
      spend_micros: told.spendMicros,
      planned_micros: planned,
      cap_micros: campaign.plan.capMicros,
      curve: campaign.plan.curve,
      state: told.state,
      multiplier: told.multiplier,
      rate_micros_per_s: told.rateMicrosPerS,
      lag_ms: Math.round(at.lagMs),
    },
  };
}

/** Null when it is within its cap, or has none. */
export function overspendDraft(campaign: Campaign, told: Decision): AlertDraft | null {
  const { capMicros, closed } = campaign.plan;
  const isKilled = told.state === 'killed';
  if (closed === 'no_budget' || capMicros <= 0 || (!isKilled && told.spendMicros <= capMicros * OVER_SHARE)) return null;
  const over = told.spendMicros - capMicros;
  return {
    ...common(campaign),
    kind: 'overspend',
    severity: isKilled ? 'page' : 'ticket',
    summary: `${campaign.id} has spent ${percent(told.spendMicros / capMicros)} of its day’s cap`,
    description: `${money(told.spendMicros)} are counted against a cap of ${money(capMicros)}: ${money(over)} too much. ${isKilled ? 'It is closed until the next budget day, a credit, or a cap above what is spent.' : 'It is stopped.'}`,
    nextStep:
      'Was the cap lowered today? Does every bidder ask the gate, and stop at `stopped`? Did counting lag before (consumer_lag_records)?',
    facts: { spend_micros: told.spendMicros, cap_micros: capMicros, over_micros: over, state: told.state },
  };
}

export interface HourPair {
  /** Start of the UTC hour, and its impressions now and a day before. */
  hourMs: number;
  impressions: number;
  yesterday: number;
}

/** Fewer impressions the day before say nothing. */
const YESTERDAY_AT_LEAST = 100;

/** Two hours in a row below 70 % of the same hours yesterday. */
export const isUnhealthy = (hours: readonly HourPair[]): boolean =>
  hours.every(({ impressions, yesterday }) => yesterday > YESTERDAY_AT_LEAST && impressions < UNDER_SHARE * yesterday);

export function deliveryHealthDraft(campaign: Campaign, told: Decision, hours: readonly HourPair[], nowMs: number): AlertDraft {
  const cause = told.state === 'open' ? causeOf(campaign, told, nowMs) : 'cap';
  const texts = hours.map(
    ({ hourMs, impressions, yesterday }) => `${new Date(hourMs).toISOString().slice(0, 13)}h: ${impressions} of ${yesterday}`,
  );
  const why = cause === 'cap' ? `It is ${told.state} (${told.reason}).` : CAUSES[cause](campaign, told).why;
  return {
    ...common(campaign),
    kind: 'delivery_health',
    severity: 'ticket',
    summary: `${campaign.id} delivers less than 70 % of yesterday’s impressions, two hours in a row`,
    description: `Impressions of the hour, and of the same hour yesterday: ${texts.join(', ')}. ${why}`,
    nextStep: cause === 'cap' ? 'Is the cap, or its curve, what it was yesterday?' : CAUSES[cause](campaign, told).nextStep,
    facts: { cause, hours: hours.map(({ hourMs, impressions, yesterday }) => ({ hour_ms: hourMs, impressions, yesterday })) },
  };
}

const common = (campaign: Campaign): Pick<AlertDraft, 'subject' | 'phase' | 'owner'> => ({
  subject: { kind: 'campaign', id: campaign.id },
  phase: dayText(campaign.day),
  owner: '',
});
