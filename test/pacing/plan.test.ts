import { describe, expect, test } from 'vitest';
import { planOf } from '../../src/pacing/plan.ts';
import { type BudgetRow, budgetForever, type CampaignRow, campaignForever } from '../../src/sinks/registry.ts';
import { UTC_ALWAYS } from '../../src/topology/types.ts';

const planAt = (atMs: number, campaign: CampaignRow[], budgets: BudgetRow[] = [budgetForever('c', 500)]) =>
  planOf({ campaign, budgets, zones: UTC_ALWAYS }, atMs);
const forever = campaignForever('c', 'UTC');

describe('what is registered of a campaign', () => {
  test('is its row and budget valid now, until one of them ends or begins', () => {
    const budgets = [
      { ...budgetForever('c', 500), toMs: 100 },
      { ...budgetForever('c', 900), fromMs: 100 },
    ];
    const strict: CampaignRow = { ...forever, fromMs: 200, pacingPolicy: 'strict', pacingCurve: 'accelerated' };
    const rows = [{ ...forever, toMs: 200 }, strict];
    expect(planAt(99, rows, budgets)).toMatchObject({ closed: null, capMicros: 500, policy: 'graceful', untilMs: 100 });
    expect(planAt(100, rows, budgets)).toMatchObject({ closed: null, capMicros: 900, policy: 'graceful', untilMs: 200 });
    expect(planAt(200, rows, budgets)).toMatchObject({ policy: 'strict', curve: 'accelerated', untilMs: Number.POSITIVE_INFINITY });
  });

  test('closes it without a budget, while it is paused, and outside its validity: the first of these is said', () => {
    const later = [{ ...budgetForever('c', 500), fromMs: 100 }];
    const paused: CampaignRow = { ...forever, status: 'paused' };
    expect(planAt(0, [forever], later)).toMatchObject({ closed: 'no_budget', capMicros: 0, untilMs: 100 });
    expect(planAt(0, [paused])).toMatchObject({ closed: 'paused', capMicros: 500 });
    expect(planAt(0, [paused], [])).toMatchObject({ closed: 'paused', capMicros: 0 });
    expect(planAt(0, [{ ...paused, fromMs: 10 }], [])).toMatchObject({ closed: 'not_valid', untilMs: 10 });
    expect(planAt(10, [{ ...forever, toMs: 10 }])).toMatchObject({ closed: 'not_valid', capMicros: 500 });
  });

  test('changes by a budget that is entered for a time before: it counts as if it had been there', () => {
    expect(planAt(500, [forever], [{ ...budgetForever('c', 700), fromMs: 100 }])).toMatchObject({ closed: null, capMicros: 700 });
  });

  test('began when the campaign did, or when its budget was raised; a renewed or a lowered one does not begin anew', () => {
    const since = (...caps: number[]): number => {
      const budgets = caps.map((cap, i) => ({ ...budgetForever('c', cap), fromMs: i * 100, toMs: (i + 1) * 100 }));
      return planAt(caps.length * 100 - 1, [{ ...forever, fromMs: 50 }], budgets).fromMs;
    };
    expect(since(500)).toBe(50);
    expect(since(500, 500, 400)).toBe(50);
    expect(since(500, 501)).toBe(100);
    expect(since(400, 500, 500)).toBe(100);
    expect(since(500, 400, 500)).toBe(200);
  });
});
