import { describe, expect, it } from 'vitest';
import { ageMs, asOfMs, type Counted, isStale, projectedMicros } from '../../src/gate/projection.ts';

const NOW = 1_800_000_000_000;
const counted: Counted = {
  spendMicros: 50_000_000,
  rateMicrosPerS: 1000,
  inflightMicros: 0,
  countedUntilMs: NOW - 2000,
  updatedMs: NOW - 1000,
};

describe('what is believed to be spent by now', () => {
  it('is counted spend, what is in flight, and the rate since the last impression that is surely counted', () => {
    expect(projectedMicros(counted, ageMs(counted, NOW))).toBe(50_002_000);
    expect(projectedMicros({ ...counted, inflightMicros: 300 }, 1)).toBe(50_000_301);
  });

  it('rounds against the spender, and never leaves the integers', () => {
    expect(projectedMicros({ ...counted, rateMicrosPerS: 1 }, 1)).toBe(50_000_001);
    expect(projectedMicros({ ...counted, rateMicrosPerS: Number.MAX_SAFE_INTEGER }, 1e9)).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('the age of values', () => {
  it('counts from the older of counted-until and updated', () => {
    expect(asOfMs(counted)).toBe(NOW - 2000);
    expect(asOfMs({ ...counted, updatedMs: NOW - 9000 })).toBe(NOW - 9000);
  });

  it('is stale after 30 s, not at 30 s', () => {
    expect(isStale(ageMs(counted, NOW + 28_000))).toBe(false);
    expect(isStale(ageMs(counted, NOW + 28_001))).toBe(true);
    expect(isStale(5001, 5000)).toBe(true);
  });

  it('is not negative where Redis is behind Kafka, and grows by the reader’s own clock then', () => {
    expect(ageMs(counted, NOW - 600_000)).toBe(0);
    expect(ageMs(counted, NOW - 600_000, 31_000)).toBe(31_000);
    expect(ageMs(counted, NOW, 500)).toBe(2000);
  });
});
