import { describe, expect, it } from 'vitest';
import { confidenceIntervals, exceedsFloor } from '../../src/stats/confidence.ts';
import { DirichletMultinomial, leaks, pValueOf } from '../../src/stats/dirichlet-multinomial.ts';
import { lnMean } from '../../src/stats/log-space.ts';
import { TILTS, TiltedSplit } from '../../src/stats/tilts.ts';
import { error, relativeError, VECTORS } from './vectors.ts';

const lnE = (counts: number[], shares: number[]): number => new DirichletMultinomial(shares).lnE(counts);

/** The table of the method: counts, shares, ln e of each k, ln e of the mixture. */
const TABLE: [number[], number[], number[], number][] = [
  [[100, 0], [0.5, 0.5], [55.5747843176, 25.9589802087, 4.5082104011, 0.490131201, 0.0494508046], 53.9653464052],
  [[1000, 1200], [0.5, 0.5], [6.3423530801, 7.140301876, 5.6742854599, 1.5401221581, 0.1848159563], 6.0530718062],
  [[500, 500, 600], [0.34, 0.33, 0.33], [2.0988809058, 4.0293803466, 3.561343646, 0.8734520044, 0.101091331], 3.0262140893],
];

describe('the Dirichlet-multinomial e-value', () => {
  it.each(TABLE)('of %j against %j is the published one', (counts, shares, each, mixture) => {
    const test = new DirichletMultinomial(shares);
    expect(test.lnE(counts)).toBeCloseTo(mixture, 9);
    [...test.lnEByConcentration(counts)].forEach((value, k) => {
      expect(value).toBeCloseTo(each[k], 9);
    });
  });

  it('is that of Optimizely’s ssrm at k = 10⁴, look by look', () => {
    const test = new DirichletMultinomial([0.1, 0.5, 0.4]);
    const counts = [0, 0, 0];
    let p = 1;
    let last = 0;
    for (const draw of 'CCCCACCABC') {
      counts['ABC'.indexOf(draw)]++;
      last = test.lnEByConcentration(counts)[3];
      p = Math.min(p, pValueOf(last));
    }
    expect(Math.abs(Math.exp(last) - 1.001749612)).toBeLessThan(1e-9);
    expect(Math.abs(p - 0.998053415)).toBeLessThan(1e-9);
  });

  it.each(VECTORS.dirichlet_multinomial)('of %j against %j is what mpmath says with 60 digits', (counts, shares, each, mixture) => {
    const test = new DirichletMultinomial(shares);
    expect(error(test.lnE(counts), mixture)).toBeLessThan(1e-7);
    [...test.lnEByConcentration(counts)].forEach((value, k) => {
      expect(error(value, each[k])).toBeLessThan(1e-7);
    });
  });

  it('is 1 of no units and of one arm', () => {
    expect(lnE([0, 0], [0.5, 0.5])).toBe(0);
    expect(Math.abs(lnE([123456], [1]))).toBeLessThan(1e-12);
  });

  it('leaves out arms of share 0, which are leaks', () => {
    expect(lnE([7, 99, 5], [0.5, 0, 0.5])).toBe(lnE([7, 5], [0.5, 0.5]));
    expect(leaks([7, 99, 5], [0.5, 0, 0.5])).toEqual([1]);
    expect(leaks([7, 0, 5], [0.5, 0, 0.5])).toEqual([]);
  });

  it('has mean 1 after any number of units when the split holds', () => {
    for (const units of [1, 2, 7, 40]) {
      let mean = 0;
      let chance = 0.3 ** units; // of all units in the first arm
      for (let second = 0; second <= units; second++) {
        mean += chance * Math.exp(lnE([units - second, second], [0.3, 0.7]));
        chance *= ((units - second) / (second + 1)) * (0.7 / 0.3);
      }
      expect(mean).toBeCloseTo(1, 10);
    }
  });
});

describe('tilts', () => {
  it.each(VECTORS.tilts)('of %j against %j by the definition', (counts, shares, rows) => {
    const logs = new Float64Array(shares.length * TILTS.length);
    new TiltedSplit(shares).addLnLikelihood(counts, logs);
    expect(logs.length).toBe(rows.flat().length);
    rows.flat().forEach((expected, i) => {
      expect(error(logs[i], expected)).toBeLessThan(1e-12);
    });
  });

  it('find one cause over a ramp, and none in the ramp itself', () => {
    const logs = new Float64Array(2 * TILTS.length);
    new TiltedSplit([0.9, 0.1]).addLnLikelihood([9000, 1000], logs);
    new TiltedSplit([0.5, 0.5]).addLnLikelihood([5000, 5000], logs);
    expect(lnMean(logs)).toBeLessThan(0);
    new TiltedSplit([0.5, 0.5]).addLnLikelihood([5300, 4700], logs);
    expect(lnMean(logs)).toBeGreaterThan(3);
  });
});

describe('confidence intervals', () => {
  it.each(VECTORS.confidence)('of %j against %j at %d by maximising numerically', (counts, shares, alpha, expected) => {
    confidenceIntervals(counts, shares, alpha).forEach(([low, high], arm) => {
      expect(Math.abs(low - expected[arm][0])).toBeLessThan(1e-8);
      expect(Math.abs(high - expected[arm][1])).toBeLessThan(1e-8);
    });
  });

  it('leave out the expected share exactly where the alarm is, with two arms', () => {
    for (const more of [100, 120, 140, 160]) {
      const counts = [1000 - more, 1000 + more];
      const [[low, high]] = confidenceIntervals(counts, [0.5, 0.5], 0.001);
      expect(low > 0.5 || high < 0.5).toBe(lnE(counts, [0.5, 0.5]) > Math.log(1000));
    }
  });

  it('are everything without units, certain for one arm, and empty of a share of 0', () => {
    expect(confidenceIntervals([0, 0], [0.5, 0.5], 0.001)).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(confidenceIntervals([5], [1], 0.001)).toEqual([[1, 1]]);
    expect(confidenceIntervals([5, 3], [1, 0], 0.001)[1]).toEqual([0, 0]);
  });

  it('hold at counts of 2^53', () => {
    const [[low, high]] = confidenceIntervals([2 ** 53, 2 ** 53], [0.5, 0.5], 0.001);
    expect(relativeError(0.5 - low, high - 0.5)).toBeLessThan(1e-3);
    expect(high - low).toBeLessThan(1e-7);
    expect(high - low).toBeGreaterThan(1e-9);
  });

  it('say whether a deviation is worth a page', () => {
    const shares = [0.5, 0.5];
    expect(exceedsFloor(confidenceIntervals([821588, 815482], shares, 0.001), shares, 0.001)).toBe(false);
    expect(exceedsFloor(confidenceIntervals([600_000, 500_000], shares, 0.001), shares, 0.001)).toBe(true);
  });
});
