/** What must be seen from outside, by two witnesses: the generator, which knows what it meant, and the oracle, which reads the bytes. */
import { generateTraffic, type TrafficSettings, type Truth } from '../../src/generate/index.ts';
import { DISPOSITIONS, STREAMS } from '../../src/topology/types.ts';
import { Oracle, type OracleRecord } from '../oracle/oracle.ts';

const HOUR_MS = 3_600_000;

/** Redis key, a line break, field → amount. */
export type Amounts = Map<string, number>;

export interface Expected {
  total: number;
  oracle: Oracle;
  amounts: Amounts;
  /** `campaign or experiment, version, variant, hour` as JSON → amounts; spend has version 0 and variant ''. */
  hours: Map<string, number[]>;
  /** `stream/partition/disposition` → records. */
  records: Map<string, number>;
  /** Where the two witnesses differ; must be empty. */
  disagreements: string[];
}

/** Judges generated traffic, which is made anew, the same, when it is produced. */
export function expectedOf(settings: Partial<TrafficSettings>): Expected {
  const traffic = generateTraffic(settings);
  const expected = judge(traffic);
  return { ...expected, disagreements: disagreements(traffic.truth(), expected) };
}

/** Records of source partitions, in order. */
export function judge(records: Iterable<OracleRecord>): Expected {
  const oracle = new Oracle();
  let total = 0;
  for (const record of records) {
    oracle.feed(record);
    total++;
  }
  return { total, oracle, amounts: amountsOf(oracle), hours: hoursOf(oracle), records: recordsOf(oracle), disagreements: [] };
}

function amountsOf(oracle: Oracle): Amounts {
  const amounts: Amounts = new Map();
  for (const [campaign, days] of oracle.spend) {
    for (const [day, { spendMicros, impressions }] of days) {
      amounts.set(`spend:{${campaign}}:${day}\nspend_micros`, spendMicros);
      amounts.set(`spend:{${campaign}}:${day}\nimpressions`, impressions);
    }
  }
  for (const [experiment, units] of oracle.units) {
    amounts.set(`exposed:{${experiment}}\ncontaminated`, oracle.contaminated.get(experiment) ?? 0);
    for (const [variant, count] of units) amounts.set(`exposed:{${experiment}}\nunits:${variant}`, count);
  }
  return amounts;
}

function hoursOf(oracle: Oracle): Map<string, number[]> {
  const hours = new Map<string, number[]>();
  for (const [campaign, byHour] of oracle.spendHourly) {
    for (const [hour, { spendMicros, impressions }] of byHour) {
      hours.set(JSON.stringify([campaign, 0, '', hour]), [spendMicros, impressions]);
    }
  }
  for (const [name, units] of oracle.unitsHourly) hours.set(name, [units]);
  return hours;
}

function recordsOf(oracle: Oracle): Map<string, number> {
  const records = new Map<string, number>();
  for (const [name, { counts }] of oracle.partitions) {
    for (const disposition of DISPOSITIONS) if (counts[disposition] > 0) records.set(`${name}/${disposition}`, counts[disposition]);
  }
  return records;
}

/** The generator's truth in the oracle's form, and what differs. */
function disagreements(truth: Truth, expected: Expected): string[] {
  const amounts: Amounts = new Map();
  for (const [campaign, days] of Object.entries(truth.spend)) {
    for (const [day, { spend_micros, impressions }] of Object.entries(days)) {
      amounts.set(`spend:{${campaign}}:${day}\nspend_micros`, spend_micros);
      amounts.set(`spend:{${campaign}}:${day}\nimpressions`, impressions);
    }
  }
  for (const [experiment, { units, contaminated }] of Object.entries(truth.exposed)) {
    amounts.set(`exposed:{${experiment}}\ncontaminated`, contaminated);
    for (const [variant, count] of Object.entries(units)) amounts.set(`exposed:{${experiment}}\nunits:${variant}`, count);
  }
  const { oracle } = expected;
  const violations = countOf(oracle, 'exposures', 'violation');
  const suspected = STREAMS.map((stream) => countOf(oracle, stream, 'suspected'));
  const { late, duplicate, invalid_traffic: invalidTraffic, suspected: suspectedMicros } = truth.money;
  return [
    ...differences('Redis', amounts, expected.amounts, 'generator'),
    ...differences('hours', hoursOfTruth(truth), expected.hours, 'generator'),
    ...differences('records', recordsOfTruth(truth), expected.records, 'generator'),
    ...differences(
      'totals',
      new Map(Object.entries({ violations: truth.violations, suspected: STREAMS.map((stream) => truth.suspected[stream]) })),
      new Map(Object.entries({ violations, suspected })),
      'generator',
    ),
    ...differences(
      'money',
      new Map(Object.entries({ late, duplicate, invalidTraffic, suspected: suspectedMicros })),
      new Map(Object.entries(oracle.money)),
      'generator',
    ),
  ];
}

function hoursOfTruth(truth: Truth): Map<string, number[]> {
  const hours = new Map<string, number[]>();
  for (const [campaign, byHour] of Object.entries(truth.spend_hourly)) {
    for (const [hour, { spend_micros, impressions }] of Object.entries(byHour)) {
      hours.set(JSON.stringify([campaign, 0, '', new Date(hour).getTime()]), [spend_micros, impressions]);
    }
  }
  for (const { experiment_id, allocation_version, variant_id, hour, units } of truth.units_hourly) {
    const startMs = new Date(hour).getTime();
    hours.set(JSON.stringify([experiment_id, allocation_version, variant_id, startMs - (startMs % HOUR_MS)]), [units]);
  }
  return hours;
}

function recordsOfTruth(truth: Truth): Map<string, number> {
  const records = new Map<string, number>();
  for (const stream of STREAMS) {
    truth.records[stream].forEach((counts, partition) => {
      for (const name of DISPOSITIONS) if (counts[name] > 0) records.set(`${stream}/${partition}/${name}`, counts[name]);
    });
  }
  return records;
}

function countOf(oracle: Oracle, stream: string, kind: 'suspected' | 'violation'): number {
  let count = 0;
  for (const { topic, verdicts } of oracle.partitions.values()) {
    if (topic === stream) for (const verdict of verdicts) if (verdict[kind]) count++;
  }
  return count;
}

/** Zero and absent are the same. Each line names what differs. */
export function differences<V extends number | number[]>(
  what: string,
  seen: Map<string, V>,
  truth: Map<string, V>,
  who = 'seen',
): string[] {
  const lines: string[] = [];
  for (const name of new Set([...seen.keys(), ...truth.keys()])) {
    const [a, b] = [seen.get(name), truth.get(name)];
    if (!isSame(a, b)) lines.push(`${what} ${JSON.stringify(name)}: ${who} ${String(a)}, truth ${String(b)}`);
  }
  return lines;
}

const isSame = (a: number | number[] | undefined, b: number | number[] | undefined): boolean => {
  const [left, right] = [[a ?? 0].flat(), [b ?? 0].flat()];
  const length = Math.max(left.length, right.length);
  return Array.from({ length }, (_, i) => (left[i] ?? 0) === (right[i] ?? 0)).every(Boolean);
};
