import { describe, expect, it } from 'vitest';
import { eBenjaminiHochberg } from '../../src/stats/e-bh.ts';
import { lnExcessRate } from '../../src/stats/excess-rate.ts';
import { addLnLogRank } from '../../src/stats/log-rank.ts';
import { OnsetProcesses } from '../../src/stats/onset.ts';
import { TILTS } from '../../src/stats/tilts.ts';
import { error, VECTORS } from './vectors.ts';

describe('the onset process', () => {
  it('goes as published for q = .6 against .5 and 1, 1, 0, 1', () => {
    const process = new OnsetProcesses(1);
    const seen = [1, 1, 0, 1].map((x) => {
      process.step([Math.log((x === 1 ? 0.6 : 0.4) / 0.5)]);
      return Math.exp(process.lnE(0));
    });
    [1.1, 1.25333333, 1.05266667, 1.2232].forEach((expected, i) => {
      expect(seen[i]).toBeCloseTo(expected, 8);
    });
  });

  it('is the sum over all beginnings that it stands for', () => {
    const [increments, expected] = VECTORS.onset;
    const process = new OnsetProcesses(2);
    increments.forEach((lnL, i) => {
      process.step([lnL, 0]);
      expect(error(process.lnE(0), expected[i])).toBeLessThan(1e-12);
      expect(process.lnE(1)).toBeCloseTo(0, 12);
    });
  });

  it('takes a hypothesis later as if it had had nothing to say before', () => {
    const early = new OnsetProcesses(2);
    const late = new OnsetProcesses(1);
    for (const lnL of [0.3, -0.2, 0.5]) {
      early.step([lnL, 0]);
      late.step([lnL]);
    }
    late.grow(2);
    for (const process of [early, late]) process.step([0.1, 0.7]);
    expect(late.lnE(1)).toBeCloseTo(early.lnE(1), 14);
    expect(late.lnE(0)).toBe(early.lnE(0));
    expect(late.beganAfter).toEqual(early.beganAfter);
  });

  it('starts at 1, and dates a beginning by where the sum last stood at 0', () => {
    const process = new OnsetProcesses(1);
    expect(process.lnE(0)).toBe(0);
    for (const lnL of [1, -2, -1, 0.5, 0.5]) process.step([lnL]);
    expect(process.beganAfter[0]).toBe(3);
    expect(process.cusum[0]).toBe(1);
    process.step([-1]);
    expect(process.beganAfter[0]).toBe(6);
  });
});

describe('e-BH', () => {
  it('rejects the largest two of the published example', () => {
    expect(eBenjaminiHochberg([100, 50, 10, 2, 1].map(Math.log), 0.05)).toEqual([0, 1]);
    expect(eBenjaminiHochberg([1, 50, 2, 100, 10].map(Math.log), 0.05)).toEqual([3, 1]);
  });

  it('rejects all up to the last that clears its bound, also one that alone would not have', () => {
    expect(eBenjaminiHochberg([21, 21].map(Math.log), 0.05)).toEqual([0, 1]);
    expect(eBenjaminiHochberg([21, 1].map(Math.log), 0.05)).toEqual([]);
    expect(eBenjaminiHochberg([], 0.05)).toEqual([]);
  });
});

describe('the excess rate', () => {
  it.each(VECTORS.excess_rate)('%d of %d against %d', (events, units, tolerated, expected) => {
    expect(error(lnExcessRate(events, units, tolerated), expected)).toBeLessThan(1e-12);
  });

  it('has a mean of at most 1 at the tolerated rate, and of 1 there exactly', () => {
    const units = 30;
    for (const rate of [0.05, 0.02]) {
      let mean = 0;
      let chance = (1 - rate) ** units;
      for (let events = 0; events <= units; events++) {
        mean += chance * Math.exp(lnExcessRate(events, units, 0.05));
        chance *= ((units - events) / (events + 1)) * (rate / (1 - rate));
      }
      expect(mean).toBeLessThan(1 + 1e-12);
      if (rate === 0.05) expect(mean).toBeCloseTo(1, 12);
    }
  });
});

describe('the log-rank test', () => {
  const lnFactors = (exposed: number[], waiting: number[]): Float64Array => {
    const logs = new Float64Array(waiting.length * TILTS.length);
    addLnLogRank(exposed, waiting, logs);
    return logs;
  };

  it.each(VECTORS.log_rank)('%j exposed of %j waiting', (exposed, waiting, rows) => {
    const logs = lnFactors(exposed, waiting);
    rows.flat().forEach((expected, i) => {
      expect(error(logs[i], expected)).toBeLessThan(1e-9);
    });
  });

  it('of a single exposure is p1/p0', () => {
    const [up] = lnFactors([1, 0], [30, 70]);
    const r = Math.exp(TILTS[0]);
    expect(up).toBeCloseTo(Math.log((r * 30) / (r * 30 + 70) / 0.3), 12);
  });

  it('has mean exactly 1 when all arms are exposed alike', () => {
    const [waiting, drawn] = [[12, 8], 7];
    const choose = (n: number, k: number): number => (k < 0 || k > n ? 0 : k === 0 ? 1 : (choose(n, k - 1) * (n - k + 1)) / k);
    const means = new Float64Array(2 * TILTS.length);
    for (let first = 0; first <= drawn; first++) {
      const chance = (choose(12, first) * choose(8, drawn - first)) / choose(20, drawn);
      if (chance === 0) continue;
      lnFactors([first, drawn - first], waiting).forEach((lnE, i) => {
        means[i] += chance * Math.exp(lnE);
      });
    }
    for (const mean of means) expect(mean).toBeCloseTo(1, 12);
  });

  it('says nothing where nobody or everybody waiting is exposed, or one arm is alone', () => {
    expect(lnFactors([0, 0], [5, 5])).toEqual(new Float64Array(2 * TILTS.length));
    expect(lnFactors([5, 5], [5, 5])).toEqual(new Float64Array(2 * TILTS.length));
    expect(lnFactors([3, 0], [5, 0])).toEqual(new Float64Array(2 * TILTS.length));
  });

  it('holds for a catch-up of a million exposures', () => {
    const logs = lnFactors([505_000, 495_000], [1_000_000, 1_000_000]);
    expect(Math.max(...logs)).toBeGreaterThan(40);
    expect(logs.every(Number.isFinite)).toBe(true);
  });
});
