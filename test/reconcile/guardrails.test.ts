/** Guardrails: harm beyond the tolerance is seen, harm within it is not, however often one looks. */
import { describe, expect, test } from 'vitest';
import { FIRST_LOOK, type Guardrail, harmOf, type Look, logEOf, lookAgain, verdictOf } from '../../reconcile/guardrails.ts';
import { Random } from '../sim/random.ts';

const ALPHAS = { violated: 0.001, warning: 0.05 };
const GUARDRAIL: Pick<Guardrail, 'harm' | 'tolerance'> = { harm: 'increase', tolerance: 0.1 };

/** Looks of an experiment in which each unit has its first event with this chance an hour, while units come. */
function* looks(random: Random, rates: { control: number; arm: number }, guardrail = GUARDRAIL): Generator<Look> {
  let look = FIRST_LOOK;
  const arms = { control: { units: 0, events: 0 }, arm: { units: 0, events: 0 } };
  for (let hour = 0; hour < 100; hour++) {
    for (const name of ['control', 'arm'] as const) {
      const arm = { ...arms[name] };
      arm.units += 50;
      for (let waiting = arm.units - arm.events; waiting > 0; waiting--) if (random.chance(rates[name])) arm.events++;
      arms[name] = arm;
    }
    look = lookAgain(guardrail, look, arms.control, arms.arm);
    yield look;
  }
}

const worst = (seed: number, rates: { control: number; arm: number }, guardrail = GUARDRAIL): number => {
  let most = Number.NEGATIVE_INFINITY;
  for (const look of looks(new Random(seed), rates, guardrail)) most = Math.max(most, logEOf(look));
  return most;
};
const share = (runs: number, of: (seed: number) => boolean): number =>
  Array.from({ length: runs }, (_, i) => of(i + 1)).filter(Boolean).length / runs;

describe('a guardrail', () => {
  test('raises few false alarms at the edge of its tolerance, looked at every hour: at most alpha over the whole life', () => {
    const warned = share(200, (seed) => verdictOf(worst(seed, { control: 0.002, arm: 0.0022 }), ALPHAS) !== 'PASS');
    expect(warned).toBeLessThan(0.05);
  });

  test('sees twice the harm, and less than the tolerance never', () => {
    expect(share(20, (seed) => verdictOf(worst(seed, { control: 0.002, arm: 0.004 }), ALPHAS) === 'VIOLATED')).toBe(1);
    expect(share(20, (seed) => verdictOf(worst(seed, { control: 0.002, arm: 0.0018 }), ALPHAS) === 'PASS')).toBe(1);
  });

  test('where a decrease harms, sees a decrease only', () => {
    const decrease = { harm: 'decrease' as const, tolerance: 0.1 };
    expect(verdictOf(worst(1, { control: 0.004, arm: 0.002 }, decrease), ALPHAS)).toBe('VIOLATED');
    expect(verdictOf(worst(1, { control: 0.002, arm: 0.004 }, decrease), ALPHAS)).toBe('PASS');
  });

  test('of one step is the likelihood ratio, with expectation 1 at the tolerance', () => {
    // 2 of 6 units have an event, 3 of them in the arm: X is 0, 1, 2 with 3, 9, 3 of 15 ways when all are alike.
    const at = (x: number) =>
      lookAgain({ harm: 'increase', tolerance: 0 }, FIRST_LOOK, { units: 3, events: 2 - x }, { units: 3, events: x }).logE;
    const ways = [3 / 15, 9 / 15, 3 / 15];
    for (let i = 0; i < FIRST_LOOK.logE.length; i++)
      expect(ways.reduce((sum, way, x) => sum + way * Math.exp(at(x)[i]), 0)).toBeCloseTo(1, 10);
    const odds = Math.exp(0.4);
    expect(Math.exp(at(2)[3])).toBeCloseTo(odds ** 2 / ((3 + 9 * odds + 3 * odds ** 2) / 15), 10);
  });

  test('keeps its evidence where nothing is new or counts have fallen', () => {
    const look = lookAgain(GUARDRAIL, FIRST_LOOK, { units: 100, events: 5 }, { units: 100, events: 20 });
    expect(lookAgain(GUARDRAIL, look, look.control, look.arm).logE).toEqual(look.logE);
    expect(lookAgain(GUARDRAIL, look, { units: 90, events: 4 }, { units: 90, events: 18 }).logE).toEqual(look.logE);
  });
});

test('the direction that harms has several names, and others are none', () => {
  expect(['up', 'Increase', 'down', 'lower', 'sideways'].map(harmOf)).toEqual(['increase', 'increase', 'decrease', 'decrease', null]);
});
