/** What the registry says of one campaign at one moment. */
import { zoneAt } from '../operators/days.ts';
import { type BudgetRow, type CampaignRow, validAt } from '../sinks/registry.ts';
import type { ZoneSpans } from '../topology/types.ts';

/** Why a campaign may not spend, whatever it has spent. */
export type ClosedReason = 'not_valid' | 'paused' | 'no_budget';

export interface CampaignPlan {
  closed: ClosedReason | null;
  policy: CampaignRow['pacingPolicy'];
  curve: CampaignRow['pacingCurve'];
  zone: string;
  /** 0 without a budget; at most what the bidder can read. */
  capMicros: number;
  /** Since when so much could be spent: the row's beginning, or that of the budget where there was a lower one before. */
  fromMs: number;
  /** Until then, by the registry's clock, the same rows say the same. */
  untilMs: number;
}

export interface CampaignRows {
  /** At least one; in order of time, as are the budgets. */
  campaign: readonly CampaignRow[];
  budgets: readonly BudgetRow[] | undefined;
  zones: ZoneSpans;
}

/** Of several reasons the first: not valid, paused, no budget. Outside its validity a campaign's last row that has begun is shown. */
export function planOf({ campaign, budgets, zones }: CampaignRows, atMs: number): CampaignPlan {
  const valid = validAt(campaign, atMs);
  const row = valid ?? campaign.findLast(({ fromMs }) => fromMs <= atMs) ?? campaign[0];
  const budget = validAt(budgets, atMs);
  return {
    closed: valid === null ? 'not_valid' : valid.status === 'paused' ? 'paused' : budget === null ? 'no_budget' : null,
    policy: row.pacingPolicy,
    curve: row.pacingCurve,
    zone: zoneAt(zones, atMs),
    capMicros: Math.min(budget?.dayCapMicros ?? 0, Number.MAX_SAFE_INTEGER),
    fromMs: Math.max(row.fromMs, raisedMs(budgets, budget)),
    untilMs: nextChangeMs([campaign, budgets ?? [], zones.map(({ fromMs }) => ({ fromMs, toMs: fromMs }))], atMs),
  };
}

/** Since when a budget is at least as high as this one; -Infinity without one. */
function raisedMs(budgets: readonly BudgetRow[] = [], budget: BudgetRow | null): number {
  if (budget === null) return Number.NEGATIVE_INFINITY;
  let sinceMs = budget.fromMs;
  for (const { fromMs, toMs, dayCapMicros } of budgets.toReversed())
    if (toMs === sinceMs && dayCapMicros >= budget.dayCapMicros) sinceMs = fromMs;
  return sinceMs;
}

function nextChangeMs(lists: readonly (readonly { fromMs: number; toMs: number }[])[], afterMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const rows of lists)
    for (const { fromMs, toMs } of rows) {
      if (fromMs > afterMs && fromMs < next) next = fromMs;
      if (toMs > afterMs && toMs < next) next = toMs;
    }
  return next;
}
