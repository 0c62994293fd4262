/** Raises what is wrong with campaigns' delivery, and holds back while the stream itself lags: then it would be our own delay. */
import type { AlertBook } from '../alerts/book.ts';
import type { PacingSettings } from '../config.ts';
import type { Campaign } from '../pacing/campaign.ts';
import {
  deliveryHealthDraft,
  type HourPair,
  isUnderDelivered,
  isUnhealthy,
  overspendDraft,
  underDeliveryDraft,
} from '../pacing/campaign-alerts.ts';
import type { Pacing } from './evaluate-pacing.ts';
import type { EvaluatePart } from './evaluate-part.ts';
import type { EvaluateState } from './evaluate-state.ts';
import { PlatformSpend } from './platform-spend.ts';
import type { Now } from './types.ts';

const LOOK_MS = 5000;
/** So many ticks make a whole look, where campaigns are many; fewer than these cost nothing to speak of. */
const SLICES = 25;
const LEAST_CAMPAIGNS = 500;
const UNDER_FOR_MS = 10 * 60_000;
const HOUR_MS = 3_600_000;
const DAY_HOURS = 24;
/** Impressions of an hour still come for a while after it. */
const HOUR_SETTLES_MS = 2 * 60_000;
const SLOTS_PER_HOUR = 4;

export interface PacingAlertParts {
  pacing: Pacing;
  state: EvaluateState;
  alerts: AlertBook;
  settings: PacingSettings;
}

export class PacingAlerts implements EvaluatePart {
  readonly #parts: PacingAlertParts;
  readonly #underSince = new Map<string, number>();
  #lookedMs = Number.NEGATIVE_INFINITY;
  #hour = Number.NEGATIVE_INFINITY;
  /** The look that is under way, or the last one. */
  #look: { campaigns: readonly Campaign[]; next: number; newHour: number | null } = { campaigns: [], next: 0, newHour: null };

  constructor(parts: PacingAlertParts) {
    this.#parts = parts;
  }

  ticked(now: Now): void {
    const { pacing, alerts, settings } = this.#parts;
    const nowMs = pacing.redisMs(now);
    if (nowMs === null) return;
    const { countedUntilMs } = pacing;
    const lagMs = Math.max(0, nowMs - (countedUntilMs ?? Number.NEGATIVE_INFINITY));
    if (this.#look.next >= this.#look.campaigns.length) {
      if (now.monotonicMs - this.#lookedMs < LOOK_MS) return;
      this.#lookedMs = now.monotonicMs;
      const hour = Math.floor(((countedUntilMs ?? 0) - HOUR_SETTLES_MS) / HOUR_MS) - 1;
      const isNewHour = hour > this.#hour;
      if (isNewHour) this.#hour = hour;
      this.#look = { campaigns: pacing.campaigns, next: 0, newHour: isNewHour ? hour : null };
    }
    alerts.suppress(lagMs > settings.alertLagMs ? lagText(lagMs) : null);
    this.#goOn(nowMs, lagMs);
  }

  #goOn(nowMs: number, lagMs: number): void {
    const look = this.#look;
    const { campaigns, newHour } = look;
    const end = Math.min(campaigns.length, look.next + Math.max(LEAST_CAMPAIGNS, Math.ceil(campaigns.length / SLICES)));
    for (; look.next < end; look.next++) {
      const campaign = campaigns[look.next];
      this.#underDelivery(campaign, nowMs, lagMs);
      this.#overspend(campaign, nowMs);
      if (newHour !== null) this.#health(campaign, newHour, nowMs);
    }
  }

  #underDelivery(campaign: Campaign, nowMs: number, lagMs: number): void {
    const { alerts, settings } = this.#parts;
    const { id, inForce: told } = campaign;
    if (told === null) return;
    if (!isUnderDelivered(campaign, told, nowMs, settings.underDeliveryFloorMicros)) {
      this.#underSince.delete(id);
      // Who raised it may have been another owner, before a restart.
      alerts.clear('under_delivery', { kind: 'campaign', id }, nowMs);
      return;
    }
    const sinceMs = this.#underSince.get(id) ?? nowMs;
    this.#underSince.set(id, sinceMs);
    if (nowMs - sinceMs >= UNDER_FOR_MS) alerts.raise(underDeliveryDraft(campaign, told, { nowMs, sinceMs, lagMs }), nowMs);
  }

  #overspend(campaign: Campaign, nowMs: number): void {
    const { alerts } = this.#parts;
    const { id, inForce: told } = campaign;
    const draft = told === null ? null : overspendDraft(campaign, told);
    if (draft !== null) alerts.raise(draft, nowMs);
    else if (told?.state === 'open') alerts.clear('overspend', { kind: 'campaign', id }, nowMs);
  }

  #health(campaign: Campaign, hour: number, nowMs: number): void {
    const { alerts } = this.#parts;
    const { id, told, plan, group } = campaign;
    const hours = [hour - 1, hour].map((one) => this.#hourPair(group, one));
    if (told !== null && plan.closed === null && isUnhealthy(hours)) alerts.raise(deliveryHealthDraft(campaign, told, hours, nowMs), nowMs);
    else alerts.clear('delivery_health', { kind: 'campaign', id }, nowMs);
  }

  #hourPair(group: number, hour: number): HourPair {
    const impressions = (of: number): number => {
      const { spend } = this.#parts.state.totals;
      let sum = 0;
      for (let slot = of * SLOTS_PER_HOUR; slot < (of + 1) * SLOTS_PER_HOUR; slot++) {
        const index = spend.find(group, 0, slot);
        if (index !== -1) sum += spend.get(index, 1);
      }
      return sum;
    };
    return { hourMs: hour * HOUR_MS, impressions: impressions(hour), yesterday: impressions(hour - DAY_HOURS) };
  }
}

/** What evaluate says of delivery and spend. */
export const pacingParts = (place: {
  pacing: Pacing;
  state: EvaluateState;
  partition: number;
  settings: PacingSettings;
}): EvaluatePart[] => [
  new PacingAlerts({ ...place, alerts: place.state.alerts }),
  new PlatformSpend({ ...place, alerts: place.state.alerts }),
];

const lagText = (lagMs: number): string =>
  Number.isFinite(lagMs)
    ? `counting of impressions is ${Math.round(lagMs / 1000)} s behind`
    : 'how far impressions are counted is not known yet';
