import { expect, test } from 'vitest';
import { addSpend, microsPerSecondAt, newRate, steadyMicrosPerSecondAt } from '../../src/pacing/spend-rate.ts';

const AVERAGE = 20_000;

/** 1,000 micros a second for two minutes, told in steps of that many ms. */
const steady = (stepMs: number) => {
  const rate = newRate();
  for (let ms = stepMs; ms <= 120_000; ms += stepMs) addSpend(rate, stepMs, { fromMs: ms - stepMs, toMs: ms }, AVERAGE);
  return microsPerSecondAt(rate, 120_000, AVERAGE);
};

test('a steady stream has its rate, however it is cut into steps', () => {
  for (const stepMs of [200, 1000, 5000, 60_000]) expect(steady(stepMs)).toBeCloseTo(1000, 5);
});

test('a backlog told at once is spread over the time in which it was spent, not taken for a rush', () => {
  const rate = newRate();
  addSpend(rate, 3_600_000, { fromMs: 0, toMs: 3_600_000 }, AVERAGE);
  expect(microsPerSecondAt(rate, 3_600_000, AVERAGE)).toBeCloseTo(1000, 5);
});

test('it fades as counting goes on without spend, and stays while counting stands still', () => {
  const rate = newRate();
  addSpend(rate, 20_000, { fromMs: Number.NaN, toMs: 1000 }, AVERAGE);
  const at = microsPerSecondAt(rate, 1000, AVERAGE);
  expect(microsPerSecondAt(rate, Number.NEGATIVE_INFINITY, AVERAGE)).toBe(at);
  expect(microsPerSecondAt(rate, 1000 + AVERAGE, AVERAGE)).toBeLessThan(at / Math.E + 1);
  expect(microsPerSecondAt(rate, 1000 + 20 * AVERAGE, AVERAGE)).toBeLessThan(0.001);
});

test('sources that are not equally far add up', () => {
  const rate = newRate();
  addSpend(rate, 100, { fromMs: 9000, toMs: 10_000 }, AVERAGE);
  addSpend(rate, 100, { fromMs: 4000, toMs: 5000 }, AVERAGE);
  const other = newRate();
  addSpend(other, 100, { fromMs: 4000, toMs: 5000 }, AVERAGE);
  addSpend(other, 100, { fromMs: 9000, toMs: 10_000 }, AVERAGE);
  expect(rate.slow).toBeCloseTo(other.slow, 12);
  expect(rate.fast).toBeCloseTo(other.fast, 12);
});

test('records without a Kafka time say nothing of a rate', () => {
  const rate = newRate();
  addSpend(rate, 100, { fromMs: Number.NaN, toMs: Number.NaN }, AVERAGE);
  expect(microsPerSecondAt(rate, 0, AVERAGE)).toBe(0);
});

test('a rush is seen within a few seconds of its beginning, the first and any later one', () => {
  const rate = newRate();
  const rush = (fromS: number, perS: number, seconds: number) => {
    for (let s = fromS; s < fromS + seconds; s++) addSpend(rate, perS, { fromMs: s * 1000, toMs: s * 1000 + 1000 }, AVERAGE);
    return microsPerSecondAt(rate, (fromS + seconds) * 1000, AVERAGE);
  };
  expect(rush(0, 1000, 4)).toBeGreaterThan(900);
  expect(rush(600, 1000, 4)).toBeGreaterThan(750);
  expect(steadyMicrosPerSecondAt(rate, 604_000, AVERAGE)).toBeLessThan(300);
});
