import { expect, test } from 'vitest';
import { parsePace } from '../../src/gate/pace-text.ts';
import { Campaign } from '../../src/pacing/campaign.ts';
import { planOf } from '../../src/pacing/plan.ts';
import { budgetForever, campaignForever } from '../../src/sinks/registry.ts';
import { UTC_ALWAYS } from '../../src/topology/types.ts';
import { textOf } from '../gate/pace-key.ts';

const NOW = Date.UTC(2026, 2, 2, 12);
const MOST = Number.MAX_SAFE_INTEGER;
const TIMES = { reactionMs: 1500, rateMs: 20_000, creditMs: 7_200_000 };

test.each([
  ['a cap', 1e6],
  ['a cap above it', 2 ** 60],
])('amounts above 2^53 − 1 against %s are told as that: the bidder can read them, and stops', (_, capMicros) => {
  const campaign = new Campaign('c', 0);
  const rows = { campaign: [campaignForever('c', 'UTC')], budgets: [budgetForever('c', capMicros)], zones: UTC_ALWAYS };
  campaign.register(planOf(rows, NOW), null, NOW);
  campaign.spent(campaign.day, 2 ** 60, { fromMs: NOW - 1000, toMs: NOW }, TIMES);
  const decision = campaign.decide({ spendMicros: 2 ** 60, countedUntilMs: NOW, nowMs: NOW }, TIMES, true);
  expect(decision.inflightMicros).toBeGreaterThan(MOST);
  const read = parsePace(textOf({ ...campaign.fields(decision), updated_ms: String(NOW), epoch: '1', version: '1' }));
  expect(read).toMatchObject({ state: 'killed', spendMicros: MOST, inflightMicros: MOST, capMicros: Math.min(capMicros, MOST) });
});
