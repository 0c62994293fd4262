import { describe, expect, it } from 'vitest';
import { generateTraffic, type SourceRecord, type Spend, type TrafficSettings, type Truth, totalOf } from '../../src/generate/index.ts';
import { STREAMS } from '../../src/topology/types.ts';
import { type Amount, Oracle } from '../oracle/oracle.ts';

const HOUR = 3_600_000;
const SMALL = { impressions: 12_000, exposures: 6000, assignments: 2000 };
/** Every fault often enough to be met in a few thousand records. */
const FAULTY = {
  ...SMALL,
  campaigns: 30,
  units: 1500,
  users: 800,
  malformedShare: 0.03,
  skewShare: 0.01,
  aheadShare: 0.01,
  lateShare: 0.03,
  twinShare: 0.01,
  reusedIdShare: 0.01,
  contaminatedShare: 0.1,
  unusualShare: 0.2,
  oddIdShare: 0.3,
  idlePartitions: 2,
};

/** The traffic, its truth, and the judge that has only seen its bytes. */
const judged = (settings: Partial<TrafficSettings>): { records: SourceRecord[]; truth: Truth; oracle: Oracle } => {
  const traffic = generateTraffic(settings);
  const records = [...traffic];
  const truth = traffic.truth();
  const { windowMs, allowedLatenessMs, maxOutOfOrdernessMs, maxFutureSkewMs, dedupTtlMs, dedupBucketMs } = truth.settings;
  const oracle = new Oracle({ windowMs, allowedLatenessMs, maxOutOfOrdernessMs, maxFutureSkewMs, dedupTtlMs, dedupBucketMs });
  for (const record of records) oracle.feed(record);
  return { records, truth, oracle };
};

const iso = (atMs: number) => new Date(atMs).toISOString();

const amounts = <K>(spend: Map<string, Map<K, Amount>>, nameOf: (key: K) => string): Record<string, Record<string, Spend>> =>
  Object.fromEntries(
    [...spend].map(([campaign, totals]) => [
      campaign,
      Object.fromEntries(
        [...totals].map(([key, { spendMicros, impressions }]) => [nameOf(key), { spend_micros: spendMicros, impressions }]),
      ),
    ]),
  );

/** The oracle's answer in the shape of the truth; without what only the generator can know. */
const answerOf = (oracle: Oracle, partitions: number): Omit<Truth, 'settings' | 'restamped'> => {
  const suspected = [...oracle.output('suspected').keys()];
  return {
    records: Object.fromEntries(
      STREAMS.map((stream) => [stream, Array.from({ length: partitions }, (_, p) => oracle.partition(stream, p).counts)]),
    ) as Truth['records'],
    spend: amounts(oracle.spend, (day) => day),
    spend_hourly: amounts(oracle.spendHourly, iso),
    exposed: Object.fromEntries(
      [...oracle.units].map(([experiment, units]) => [
        experiment,
        { units: Object.fromEntries(units), contaminated: oracle.contaminated.get(experiment) ?? 0 },
      ]),
    ),
    units_hourly: [...oracle.unitsHourly].map(([name, units]) => {
      const [experiment_id, allocation_version, variant_id, hourMs] = JSON.parse(name) as [string, number, string, number];
      return { experiment_id, allocation_version, variant_id, hour: iso(hourMs), units };
    }),
    violations: oracle.output('violations').size,
    money: {
      late: oracle.money.late,
      duplicate: oracle.money.duplicate,
      invalid_traffic: oracle.money.invalidTraffic,
      suspected: oracle.money.suspected,
    },
    suspected: Object.fromEntries(
      STREAMS.map((stream) => [stream, suspected.filter((source) => source.startsWith(`${stream}/`)).length]),
    ) as Truth['suspected'],
  };
};

const inOrder = (rows: Truth['units_hourly']) => rows.map((row) => JSON.stringify(row)).sort();

const TINY_TIMES = {
  spanMs: 10 * 60_000,
  maxOutOfOrdernessMs: 500,
  maxFutureSkewMs: 3000,
  windowMs: 1000,
  allowedLatenessMs: 4000,
  dedupTtlMs: 60_000,
  dedupBucketMs: 5000,
};

describe('the truth that the generator means', () => {
  it.each<[string, Partial<TrafficSettings>]>([
    ['default shares', { ...SMALL, seed: 2 }],
    ['every fault often', { ...FAULTY, seed: 3 }],
    ['every fault often, another seed', { ...FAULTY, seed: 4 }],
    ['two days with bursts', { ...FAULTY, seed: 5, spanMs: 48 * HOUR, bursts: 7 }],
    ['an hour, many variants', { ...FAULTY, seed: 6, spanMs: HOUR, variants: 4, experiments: 3 }],
    ['tiny time settings', { ...FAULTY, ...TINY_TIMES, seed: 7 }],
    ['one campaign, one unit, one partition', { ...FAULTY, seed: 8, campaigns: 1, units: 1, partitions: 1, idlePartitions: 0 }],
    ['all partitions but one idle', { ...FAULTY, seed: 9, partitions: 5, idlePartitions: 4 }],
  ])('is what an oracle finds in the bytes: %s', (_, settings) => {
    const { truth, oracle } = judged(settings);
    const answer = answerOf(oracle, truth.settings.partitions);
    const { settings: _settings, restamped: _restamped, units_hourly, ...meant } = truth;
    const { units_hourly: found, ...answered } = answer;
    expect(answered).toEqual(meant);
    expect(inOrder(found)).toEqual(inOrder(units_hourly));
    for (const stream of STREAMS)
      for (const [partition, offsets] of truth.restamped[stream].offsets.entries())
        for (const offset of offsets) expect(oracle.partition(stream, partition).verdicts[offset].suspected).toBe(true);
  });

  it('adds up to as many records as were asked for, in plain JSON', () => {
    const { records, truth } = judged({ ...FAULTY, seed: 10 });
    for (const stream of STREAMS) {
      const { accepted, duplicate, late, invalid } = totalOf(truth.records[stream]);
      expect(accepted + duplicate + late + invalid).toBe(SMALL[stream]);
    }
    expect(records).toHaveLength(20_000);
    expect(JSON.parse(JSON.stringify(truth))).toEqual(truth);
  });

  it('is refused before all traffic has been taken', () => {
    const traffic = generateTraffic({ ...SMALL });
    for (const _ of traffic) break;
    expect(() => traffic.truth()).toThrow('all traffic has been taken');
  });
});

describe('the traffic', () => {
  it('is the same to the byte for one seed, and another for another', () => {
    const bytes = (seed: number) =>
      [...generateTraffic({ ...FAULTY, seed })].map(
        ({ value, key, ...rest }) =>
          `${JSON.stringify(rest)} ${key && Buffer.from(key).toString('hex')} ${value && Buffer.from(value).toString('hex')}`,
      );
    const first = bytes(11);
    expect(bytes(11)).toEqual(first);
    expect(bytes(12)).not.toEqual(first);
  });

  it('holds every fault in its share', () => {
    const { truth, oracle } = judged({ seed: 13, impressions: 50_000, exposures: 20_000, assignments: 5000 });
    for (const stream of STREAMS) {
      const { duplicate, late, invalid } = totalOf(truth.records[stream]);
      const total = truth.settings[stream];
      expect(duplicate / total).toBeGreaterThan(0.045);
      expect(late / total).toBeGreaterThan(0.008);
      expect(invalid / total).toBeGreaterThan(0.0015);
      expect(truth.restamped[stream].meant).toBe(Math.round(0.008 * total));
      expect(truth.restamped[stream].catchable).toBeGreaterThan(0.0075 * total);
    }
    expect(truth.violations).toBeGreaterThan(5);
    expect(truth.money.invalid_traffic).toBeGreaterThan(0);
    const reasons = new Set([...oracle.output('invalid').values()].map(({ reason }) => reason));
    expect(reasons).toContain('the clock is skewed');
    expect(reasons.size).toBeGreaterThan(5);
  });

  it('has copies that come within a minute and copies that come hours later, none beyond the TTL', () => {
    const delays: number[] = [];
    const seenAtMs = new Map<string, number>();
    for (const record of generateTraffic({ impressions: 30_000, exposures: 0, assignments: 0, malformedShare: 0, reusedIdShare: 0 })) {
      const { event_id: id } = JSON.parse(Buffer.from(record.value!).toString()) as { event_id: string };
      const seen = seenAtMs.get(id);
      if (seen === undefined) seenAtMs.set(id, record.timestampMs);
      else delays.push(record.timestampMs - seen);
    }
    expect(delays.filter((ms) => ms < 60_000).length).toBeGreaterThan(500);
    expect(delays.filter((ms) => ms > 3 * HOUR).length).toBeGreaterThan(50);
    expect(Math.max(...delays)).toBeLessThan(24 * HOUR);
  });

  it('takes up ids again after their TTL as new events', () => {
    const { records, oracle } = judged({ seed: 14, ...SMALL, spanMs: 60 * HOUR, skewShare: 0, malformedShare: 0, reusedIdShare: 0.01 });
    const bucketEnds = new Map<string, number>();
    let reused = 0;
    const offsets = new Map<string, number>();
    for (const { topic, partition, value } of records) {
      const { event_id: id } = JSON.parse(Buffer.from(value!).toString()) as { event_id: string };
      const place = `${topic}/${partition}`;
      const offset = offsets.get(place) ?? 0;
      offsets.set(place, offset + 1);
      if (oracle.partition(topic, partition).verdicts[offset].disposition !== 'accepted') continue;
      if (bucketEnds.has(id)) reused++;
      bucketEnds.set(id, 0);
    }
    expect(reused).toBeGreaterThan(20);
  });

  it('is silent in idle partitions: one pauses, one stays empty', () => {
    const settings = { ...SMALL, seed: 15, baseMs: 1_790_000_000_000, spanMs: 10 * HOUR, partitions: 4, idlePartitions: 2 };
    for (const stream of STREAMS) {
      const times = Array.from({ length: 4 }, (): number[] => []);
      for (const record of generateTraffic(settings)) if (record.topic === stream) times[record.partition].push(record.timestampMs);
      expect(times.filter((list) => list.length === 0)).toHaveLength(1);
      const longestPauses = times.filter((list) => list.length > 0).map((list) => Math.max(...list.slice(1).map((at, i) => at - list[i])));
      expect(longestPauses.filter((ms) => ms >= 3 * HOUR)).toHaveLength(1);
    }
  });

  it('never goes back in Kafka time, starts at its base and ends with its span', () => {
    const baseMs = 1_790_000_000_000;
    let lastMs = baseMs;
    for (const { timestampMs } of generateTraffic({ ...FAULTY, baseMs, spanMs: HOUR, bursts: 3 })) {
      expect(timestampMs).toBeGreaterThanOrEqual(lastMs);
      lastMs = timestampMs;
    }
    expect(lastMs).toBeLessThanOrEqual(baseMs + HOUR);
    expect(lastMs).toBeGreaterThan(baseMs + 0.99 * HOUR);
  });

  it('has impressions of the usual size and a hot campaign', () => {
    const sizes: number[] = [];
    const byCampaign = new Map<string, number>();
    for (const { plain, value, key } of generateTraffic({ impressions: 10_000, exposures: 0, assignments: 0 })) {
      if (plain) sizes.push(value!.length);
      const campaign = Buffer.from(key ?? []).toString();
      byCampaign.set(campaign, (byCampaign.get(campaign) ?? 0) + 1);
    }
    const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
    expect(mean).toBeGreaterThan(190);
    expect(mean).toBeLessThan(235);
    expect(byCampaign.get('cmp-00000')! / 10_000).toBeGreaterThan(0.14);
  });
});

describe('a wrong setting is refused by name', () => {
  it.each<[Partial<TrafficSettings>, string]>([
    [{ duplicateShare: 2 }, 'generate: duplicateShare is 2; expected a number from 0 to 0.9'],
    [{ lateShare: -0.1 }, 'generate: lateShare is -0.1'],
    [{ seed: 1.5 }, 'generate: seed is 1.5; expected a whole number from 0 to 4294967295'],
    [{ partitions: 0 }, 'generate: partitions is 0; expected a whole number from 1 to 1024'],
    [{ spanMs: Number.NaN }, 'generate: spanMs is NaN'],
    [{ partitions: 2, idlePartitions: 2 }, 'generate: idlePartitions is 2; expected fewer than partitions (2)'],
    [{ duplicateShare: 0.4, restampedShare: 0.2 }, 'expected at most 0.5'],
    [{ lateShare: 0.9, disorderShare: 0.5 }, 'expected at most 0.95'],
    [{ dedupTtlMs: 60_000 }, 'generate: dedupTtlMs is 60000; expected more than'],
    [{ impresions: 5 } as Partial<TrafficSettings>, 'generate: there is no setting impresions'],
  ])('%j', (settings, message) => {
    expect(() => generateTraffic(settings)).toThrow(message);
    expect(() => generateTraffic(settings)).toThrow(expect.objectContaining({ code: 'bad_setting' }));
  });
});
