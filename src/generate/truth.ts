/** The known truth as it is written beside the traffic. */
import { DISPOSITIONS, type Disposition, STREAMS, type Stream } from '../topology/types.ts';
import type { TrafficSettings } from './settings.ts';
import { readCell, type StreamTruth } from './stream-truth.ts';
import type { World } from './world.ts';

export type Counts = Record<Disposition, number>;
export interface Spend {
  spend_micros: number;
  impressions: number;
}

/** Plain and JSON-able. Hours and days are UTC, of `event_ts`, in ISO form. */
export interface Truth {
  settings: TrafficSettings;
  /** By stream, then partition. */
  records: Record<Stream, Counts[]>;
  /** By campaign, then day (YYYY-MM-DD). */
  spend: Record<string, Record<string, Spend>>;
  /** By campaign, then start of the hour. */
  spend_hourly: Record<string, Record<string, Spend>>;
  /** By experiment: first exposures by variant, and units seen in more than one. */
  exposed: Record<string, { units: Record<string, number>; contaminated: number }>;
  /** Only what is not zero; ordered. */
  units_hourly: { experiment_id: string; allocation_version: number; variant_id: string; hour: string; units: number }[];
  /** Exposures that go to `.violations`. */
  violations: number;
  /** Of impressions, the judged record's own amount. Invalid traffic: accepted with is_valid false. */
  money: { late: number; duplicate: number; invalid_traffic: number; suspected: number };
  /** Accepted records whose who, what and second were accepted before. */
  suspected: Record<Stream, number>;
  restamped: Record<Stream, Restamped>;
}

/** Re-stamped copies, meant as such. */
export interface Restamped {
  meant: number;
  /** Accepted, as was their original, so that the second key can catch them. */
  catchable: number;
  /** Offsets by partition (ascending), of the catchable ones. */
  offsets: number[][];
}

const HOUR = 3_600_000;

const iso = (hour: number): string => new Date(hour * HOUR).toISOString();

/** The truth as a plain object. */
export const summarise = (settings: TrafficSettings, world: World, streams: Record<Stream, StreamTruth>): Truth => {
  const each = <V>(of: (truth: StreamTruth) => V) =>
    Object.fromEntries(STREAMS.map((stream) => [stream, of(streams[stream])])) as Record<Stream, V>;
  return {
    settings,
    records: each((truth) => truth.partitions.map(({ counts }) => ({ ...counts }))),
    spend: spendOf(world, streams.impressions, (hour) => iso(hour).slice(0, 10)),
    spend_hourly: spendOf(world, streams.impressions, iso),
    exposed: exposedOf(world, streams.exposures),
    units_hourly: unitsHourlyOf(world, streams.exposures),
    violations: streams.exposures.violations,
    money: { ...streams.impressions.money },
    suspected: each((truth) => truth.suspected),
    restamped: each((truth) => truth.restamped),
  };
};

const spendOf = (world: World, truth: StreamTruth, nameOf: (hour: number) => string): Record<string, Record<string, Spend>> => {
  const spend: Record<string, Record<string, Spend>> = {};
  for (const [campaign, hours] of ascending(truth.spend)) {
    const named: Record<string, Spend> = {};
    for (const [hour, amount] of ascending(hours)) {
      named[nameOf(hour)] ??= { spend_micros: 0, impressions: 0 };
      const total = named[nameOf(hour)];
      total.spend_micros += amount.spend_micros;
      total.impressions += amount.impressions;
    }
    spend[world.campaigns[campaign].id] = named;
  }
  return spend;
};

const exposedOf = (world: World, truth: StreamTruth): Truth['exposed'] => {
  const exposed: Truth['exposed'] = {};
  for (const [experiment, cells] of ascending(truth.units)) {
    const units: Record<string, number> = {};
    for (const [cell, count] of ascending(cells)) {
      const variant = world.variants[readCell(cell).variant];
      units[variant] = (units[variant] ?? 0) + count;
    }
    exposed[world.experiments[experiment]] = { units, contaminated: truth.contaminatedUnits(experiment) };
  }
  return exposed;
};

const unitsHourlyOf = (world: World, truth: StreamTruth): Truth['units_hourly'] =>
  ascending(truth.units).flatMap(([experiment, cells]) =>
    ascending(cells).map(([cell, units]) => {
      const { hour, allocationVersion, variant } = readCell(cell);
      return {
        experiment_id: world.experiments[experiment],
        allocation_version: allocationVersion,
        variant_id: world.variants[variant],
        hour: iso(hour),
        units,
      };
    }),
  );

const ascending = <V>(map: Map<number, V>): [number, V][] => [...map].sort(([a], [b]) => a - b);

/** A stream's counts over all partitions. */
export const totalOf = (counts: readonly Counts[]): Counts => {
  const total: Counts = { accepted: 0, duplicate: 0, late: 0, invalid: 0 };
  for (const partition of counts) for (const disposition of DISPOSITIONS) total[disposition] += partition[disposition];
  return total;
};
