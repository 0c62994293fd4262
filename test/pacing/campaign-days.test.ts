import { describe, expect, test } from 'vitest';
import { Campaign, type Decision } from '../../src/pacing/campaign.ts';
import type { CampaignPlan } from '../../src/pacing/plan.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
const NOON = Date.UTC(2026, 2, 2, 12);
const CAP = 1_000_000;
const TIMES = { reactionMs: 1500, rateMs: 10_000, creditMs: 60 * MINUTE };
const PLAN: CampaignPlan = {
  closed: null,
  policy: 'graceful',
  curve: 'even',
  zone: 'UTC',
  capMicros: CAP,
  fromMs: Number.NEGATIVE_INFINITY,
  untilMs: Number.POSITIVE_INFINITY,
};

function campaign(multiplier = 0.8): Campaign {
  const one = new Campaign('c', 0);
  const undamped = { killed: false, dampedMicros: Number.POSITIVE_INFINITY, dampedUntilMs: 0 };
  one.resume({ day: NOON / DAY - 0.5, multiplier, steeredMs: NOON, ...undamped });
  one.register(PLAN, null, NOON);
  return one;
}

/** What the bidder is told at that time, when so much is counted of the day that it is then. */
function tell(one: Campaign, nowMs: number, spendMicros: number): Decision {
  one.roll(nowMs);
  one.told = one.decide({ spendMicros, countedUntilMs: nowMs, nowMs }, TIMES, false);
  return one.told;
}

describe.each([
  ['ahead', DAY],
  ['back', -DAY],
])('Redis’ clock leaps a day %s and returns', (_, leapMs) => {
  test('the multiplier is what it was', () => {
    const one = campaign();
    expect(tell(one, NOON, 0).multiplier).toBe(0.8);
    tell(one, NOON + leapMs, 0);
    expect(tell(one, NOON + MINUTE, 0).multiplier).toBe(0.8);
  });

  test('who was killed is killed still, though a late correction has brought it to the cap', () => {
    const one = campaign();
    expect(tell(one, NOON, 1.03 * CAP).state).toBe('killed');
    expect(tell(one, NOON + leapMs, 0).state).toBe('open');
    expect(tell(one, NOON + MINUTE, CAP).state).toBe('killed');
  });

  test('a credit is damped still, by a cap that was raised meanwhile too', () => {
    const one = campaign();
    tell(one, NOON, CAP);
    one.credited(one.day);
    expect(tell(one, NOON, CAP / 2).state).toBe('open');
    tell(one, NOON + leapMs, 0);
    one.register({ ...PLAN, capMicros: CAP + 1000 }, null, NOON + leapMs);
    expect(tell(one, NOON + MINUTE, 0.9 * CAP + 999).state).toBe('open');
    expect(tell(one, NOON + MINUTE, 0.9 * CAP + 1000)).toMatchObject({ state: 'stopped', reason: 'credit_damped' });
  });
});

test('the next day begins at half of the multiplier, with nobody killed', () => {
  const one = campaign();
  expect(tell(one, NOON, 1.03 * CAP).state).toBe('killed');
  expect(tell(one, NOON + DAY, 0)).toMatchObject({ state: 'open', multiplier: 0.4 });
});

test('steering goes on at once after a leap ahead: its time is not in the future', () => {
  const one = campaign(0.1);
  tell(one, NOON + DAY, 0);
  tell(one, NOON, 0);
  tell(one, NOON + DAY / 2, 0);
  expect(one.steered.steeredMs).toBe(NOON + DAY / 2);
});
