import { describe, expect, it } from 'vitest';
import { generateTraffic, type SuspectSource, suspectReport } from '../../src/generate/index.ts';
import { Oracle } from '../oracle/oracle.ts';

const traffic = generateTraffic({ impressions: 60_000, exposures: 10_000, assignments: 2000, seed: 21 });
const oracle = new Oracle();
for (const record of traffic) oracle.feed(record);
const truth = traffic.truth();
const suspected: SuspectSource[] = [...oracle.output('suspected').keys()].map((source) => {
  const [topic, partition, offset] = source.split('/');
  return { topic, partition: Number(partition), offset: Number(offset) };
});

describe('the report on suspected duplicates', () => {
  it('finds every re-stamped copy caught, and few honest impressions suspected, with default settings', () => {
    const report = suspectReport(truth, suspected);
    expect(report.impressions.catchable).toBeGreaterThan(450);
    expect(report.impressions.catchRate).toBe(1);
    expect(report.exposures.catchRate).toBe(1);
    expect(report.impressions.falselySuspected).toBeGreaterThan(0);
    expect(report.impressions.falseRate).toBeLessThanOrEqual(0.001);
  });

  it('counts a source once, however often it is given', () => {
    expect(suspectReport(truth, [...suspected, ...suspected])).toEqual(suspectReport(truth, suspected));
  });

  it('sees what was not caught, and what was suspected wrongly', () => {
    expect(suspectReport(truth, []).impressions).toMatchObject({ caught: 0, catchRate: 0, falselySuspected: 0, falseRate: 0 });
    const partition = truth.restamped.impressions.offsets.findIndex((offsets) => offsets.length > 0);
    const [offset] = truth.restamped.impressions.offsets[partition];
    const report = suspectReport(truth, [
      { topic: 'impressions', partition, offset },
      { topic: 'impressions', partition, offset: 0 },
    ]).impressions;
    expect(report).toMatchObject({ caught: 1, falselySuspected: 1 });
    expect(report.falseRate).toBe(1 / report.honest);
  });

  it('does not divide by nothing', () => {
    const empty = generateTraffic({ impressions: 0, exposures: 0, assignments: 0 });
    expect([...empty]).toEqual([]);
    expect(suspectReport(empty.truth(), []).impressions).toMatchObject({ catchRate: 1, falseRate: 0 });
  });
});
