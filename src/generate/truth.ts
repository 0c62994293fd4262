/** The known truth, kept while the traffic is made from what each record means, never from its bytes. */
import { DISPOSITIONS, type Disposition, STREAMS, type Stream } from '../topology/types.ts';
import type { Meant } from './meant.ts';
import type { TrafficSettings } from './settings.ts';
import type { World } from './world.ts';

type Counts = Record<Disposition, number>;
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
const MINUTE = 60_000;

const zeroCounts = (): Counts => ({ accepted: 0, duplicate: 0, late: 0, invalid: 0 });

interface PartitionState {
  highestMs: number;
  nextOffset: number;
  counts: Counts;
  /** Who, what and second as one number, by minute of event time. */
  suspects: Map<number, Set<number>>;
}

export interface Judged {
  disposition: Disposition;
  offset: number;
}

/** One topic's truth. Plain rules of the contract, over numbers. */
export class StreamTruth {
  readonly partitions: PartitionState[];
  suspected = 0;
  violations = 0;
  readonly money = { late: 0, duplicate: 0, invalid_traffic: 0, suspected: 0 };
  readonly restamped: Restamped;
  /** By campaign, then hour number. */
  readonly spend = new Map<number, Map<number, Spend>>();
  /** (experiment, unit) → variant. */
  private readonly variantOf = new Map<number, number>();
  private readonly contaminated = new Map<number, Set<number>>();
  /** By experiment, then (hour, version, variant) as one number. */
  readonly units = new Map<number, Map<number, number>>();
  /** By number of the event: 1 + the bucket it was entered in. */
  private readonly seenIn: Float64Array;
  private readonly settings: TrafficSettings;
  private readonly stream: Stream;

  constructor(settings: TrafficSettings, stream: Stream) {
    this.settings = settings;
    this.stream = stream;
    this.seenIn = new Float64Array(settings[stream]);
    this.partitions = Array.from({ length: settings.partitions }, () => ({
      highestMs: Number.NEGATIVE_INFINITY,
      nextOffset: 0,
      counts: zeroCounts(),
      suspects: new Map(),
    }));
    this.restamped = { meant: 0, catchable: 0, offsets: this.partitions.map(() => []) };
  }

  /** -Infinity while nothing was accepted. */
  watermarkMs(partition: number): number {
    return this.partitions[partition].highestMs - this.settings.maxOutOfOrdernessMs;
  }

  /** What becomes of the partition's next record, which says what is meant; null: it is broken. */
  judge(partition: number, timestampMs: number, meant: Meant | null): Judged {
    const state = this.partitions[partition];
    const disposition = this.dispositionOf(state, timestampMs, meant);
    state.counts[disposition]++;
    if (meant !== null) {
      if (disposition === 'accepted') this.accept(state, meant);
      else if (disposition !== 'invalid' && this.stream === 'impressions') this.money[disposition] += meant.spendMicros;
    }
    return { disposition, offset: state.nextOffset++ };
  }

  noteRestamped(partition: number, offset: number, catchable: boolean): void {
    this.restamped.meant++;
    if (!catchable) return;
    this.restamped.catchable++;
    this.restamped.offsets[partition].push(offset);
  }

  contaminatedUnits(experiment: number): number {
    return this.contaminated.get(experiment)?.size ?? 0;
  }

  private dispositionOf(state: PartitionState, timestampMs: number, meant: Meant | null): Disposition {
    const { maxFutureSkewMs, dedupBucketMs, dedupTtlMs, windowMs, allowedLatenessMs, maxOutOfOrdernessMs } = this.settings;
    if (meant === null || meant.eventMs > timestampMs + maxFutureSkewMs) return 'invalid';
    const watermarkMs = state.highestMs - maxOutOfOrdernessMs;
    const isLive = (bucket: number) => (bucket + 1) * dedupBucketMs + dedupTtlMs > watermarkMs;
    const seenIn = this.seenIn[meant.event] - 1;
    if (seenIn >= 0 && isLive(seenIn)) return 'duplicate';
    const bucket = Math.floor(meant.eventMs / dedupBucketMs);
    if (isLive(bucket)) this.seenIn[meant.event] = bucket + 1;
    const windowEndMs = (Math.floor(meant.eventMs / windowMs) + 1) * windowMs;
    return windowEndMs + allowedLatenessMs <= watermarkMs ? 'late' : 'accepted';
  }

  private accept(state: PartitionState, meant: Meant): void {
    const isSuspected = this.suspect(state, meant);
    if (isSuspected) this.suspected++;
    if (meant.eventMs > state.highestMs) this.advance(state, meant.eventMs);
    if (this.stream === 'impressions') this.countImpression(meant, isSuspected);
    else if (this.stream === 'exposures') this.countExposure(meant);
  }

  private advance(state: PartitionState, eventMs: number): void {
    const before = Math.floor(state.highestMs / MINUTE);
    state.highestMs = eventMs;
    if (Math.floor(eventMs / MINUTE) === before) return;
    const { allowedLatenessMs, windowMs, maxOutOfOrdernessMs } = this.settings;
    const lateBeforeMs = eventMs - maxOutOfOrdernessMs - allowedLatenessMs - windowMs - MINUTE;
    for (const minute of state.suspects.keys()) if (minute * MINUTE < lateBeforeMs) state.suspects.delete(minute);
  }

  private suspect(state: PartitionState, meant: Meant): boolean {
    if (meant.actor < 0) return false;
    const { settings } = this;
    const isImpression = this.stream === 'impressions';
    const minute = Math.floor(meant.eventMs / MINUTE);
    const second = Math.floor(meant.eventMs / 1000) - minute * 60;
    const who =
      (second * (isImpression ? settings.users : settings.units) + meant.actor) *
        (isImpression ? settings.campaigns : settings.experiments) +
      meant.entity;
    const what = who * 5 + (isImpression ? meant.detail + 1 : 0);
    let suspects = state.suspects.get(minute);
    if (suspects === undefined) {
      suspects = new Set();
      state.suspects.set(minute, suspects);
    }
    const before = suspects.size;
    return suspects.add(what).size === before;
  }

  private countImpression(meant: Meant, isSuspected: boolean): void {
    if (isSuspected) this.money.suspected += meant.spendMicros;
    if (!meant.isValid) {
      this.money.invalid_traffic += meant.spendMicros;
      return;
    }
    const hours = inner(this.spend, meant.entity);
    const hour = Math.floor(meant.eventMs / HOUR);
    const total = hours.get(hour);
    if (total === undefined) hours.set(hour, { spend_micros: meant.spendMicros, impressions: 1 });
    else {
      total.spend_micros += meant.spendMicros;
      total.impressions++;
    }
  }

  private countExposure(meant: Meant): void {
    const key = meant.entity * this.settings.units + meant.actor;
    const first = this.variantOf.get(key);
    if (first === undefined) {
      this.variantOf.set(key, meant.detail);
      const cells = inner(this.units, meant.entity);
      const cell = cellOf(Math.floor(meant.eventMs / HOUR), meant.allocationVersion, meant.detail);
      cells.set(cell, (cells.get(cell) ?? 0) + 1);
    } else if (first !== meant.detail) {
      this.violations++;
      let units = this.contaminated.get(meant.entity);
      if (units === undefined) {
        units = new Set();
        this.contaminated.set(meant.entity, units);
      }
      units.add(meant.actor);
    }
  }
}

const inner = <V>(outer: Map<number, Map<number, V>>, key: number): Map<number, V> => {
  const known = outer.get(key);
  if (known !== undefined) return known;
  const map = new Map<number, V>();
  outer.set(key, map);
  return map;
};

/** Versions are 1 and 2, variants fewer than 32. */
const cellOf = (hour: number, version: number, variant: number): number => (hour * 2 + version - 1) * 32 + variant;

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
    for (const [cell, count] of ascending(cells)) units[world.variants[cell % 32]] = (units[world.variants[cell % 32]] ?? 0) + count;
    exposed[world.experiments[experiment]] = { units, contaminated: truth.contaminatedUnits(experiment) };
  }
  return exposed;
};

const unitsHourlyOf = (world: World, truth: StreamTruth): Truth['units_hourly'] =>
  ascending(truth.units).flatMap(([experiment, cells]) =>
    ascending(cells).map(([cell, units]) => ({
      experiment_id: world.experiments[experiment],
      allocation_version: (Math.floor(cell / 32) % 2) + 1,
      variant_id: world.variants[cell % 32],
      hour: iso(Math.floor(cell / 64)),
      units,
    })),
  );

const ascending = <V>(map: Map<number, V>): [number, V][] => [...map].sort(([a], [b]) => a - b);

/** A stream's counts over all partitions. */
export const totalOf = (counts: readonly Counts[]): Counts => {
  const total = zeroCounts();
  for (const partition of counts) for (const disposition of DISPOSITIONS) total[disposition] += partition[disposition];
  return total;
};
