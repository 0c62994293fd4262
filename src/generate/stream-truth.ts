/** One topic's truth, kept while its traffic is made from what each record means, never from its bytes. */
import type { Disposition, Stream } from '../topology/types.ts';
import type { Meant } from './meant.ts';
import type { TrafficSettings } from './settings.ts';
import type { Counts, Restamped, Spend } from './truth.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;

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
      counts: { accepted: 0, duplicate: 0, late: 0, invalid: 0 },
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

export const readCell = (cell: number): { hour: number; allocationVersion: number; variant: number } => ({
  hour: Math.floor(cell / 64),
  allocationVersion: (Math.floor(cell / 32) % 2) + 1,
  variant: cell % 32,
});
