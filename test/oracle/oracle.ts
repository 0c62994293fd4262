/**
 * What must come out, by the text of contract.md and design.md §4: one plain pass over each source partition, in offset order.
 * Shares no code with src. Feed every record; read the expected outside from the public attributes.
 */
import { decode, type Event, Invalid, type OracleRecord, type Topic } from './contract.ts';
import { dayOf } from './zones.ts';

export type { OracleRecord, Topic } from './contract.ts';

export interface OracleSettings {
  windowMs: number;
  allowedLatenessMs: number;
  maxOutOfOrdernessMs: number;
  maxFutureSkewMs: number;
  dedupTtlMs: number;
  dedupBucketMs: number;
  maxSpendMicros: number;
}

export const ORACLE_DEFAULTS: OracleSettings = {
  windowMs: 60_000,
  allowedLatenessMs: 15 * 60_000,
  maxOutOfOrdernessMs: 30_000,
  maxFutureSkewMs: 5 * 60_000,
  dedupTtlMs: 24 * 3_600_000,
  dedupBucketMs: 3_600_000,
  maxSpendMicros: 1e12,
};

export type OracleDisposition = 'accepted' | 'duplicate' | 'late' | 'invalid';

export interface Verdict {
  disposition: OracleDisposition;
  /** Of an invalid record, in the oracle's own words; else empty. */
  reason: string;
  /** Of a late record: the watermark that closed its window. Else null. */
  watermarkMs: number | null;
  /** Accepted, though its who, what and second were accepted before. */
  suspected: boolean;
  /** An accepted exposure of another variant than the unit's first. */
  violation: boolean;
}

/** Side outputs. A suspected duplicate travels in `.duplicates`, beside the true ones. */
export type Output = 'unique' | 'duplicates' | 'suspected' | 'late' | 'invalid' | 'violations';

export interface Amount {
  spendMicros: number;
  impressions: number;
}

/** One source partition: its verdicts by record, and what its rules remember. */
export class PartitionTruth {
  readonly topic: Topic;
  readonly partition: number;
  readonly offsets: number[] = [];
  readonly verdicts: Verdict[] = [];
  readonly counts: Record<OracleDisposition, number> = { accepted: 0, duplicate: 0, late: 0, invalid: 0 };
  watermarkMs = Number.NEGATIVE_INFINITY;
  /** event_id → end of the bucket it was entered in. */
  readonly seen = new Map<string, number>();
  readonly accepted = new Set<string>();
  /** (experiment, unit) → first variant. */
  readonly firstVariant = new Map<string, string>();
  readonly contaminated = new Set<string>();

  constructor(topic: Topic, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }
}

const HOUR = 3_600_000;
const plain = (disposition: OracleDisposition): Verdict =>
  Object.freeze({ disposition, reason: '', watermarkMs: null, suspected: false, violation: false });
const ACCEPTED = plain('accepted');
const DUPLICATE = plain('duplicate');

export class Oracle {
  /** Campaign → day of its zone → amount. */
  readonly spend = new Map<string, Map<string, Amount>>();
  /** Campaign → start of the UTC hour, ms → amount. */
  readonly spendHourly = new Map<string, Map<number, Amount>>();
  /** Experiment → variant → units whose first exposure it was. */
  readonly units = new Map<string, Map<string, number>>();
  /** Experiment → units seen in more than one variant. */
  readonly contaminated = new Map<string, number>();
  /** JSON of [experiment, allocation version, variant, start of the hour in ms] → units. */
  readonly unitsHourly = new Map<string, number>();
  /** Micros of impressions, each record's own amount. Invalid traffic: accepted, not valid. */
  readonly money = { late: 0, duplicate: 0, invalidTraffic: 0, suspected: 0 };
  /** By `topic/partition`. */
  readonly partitions = new Map<string, PartitionTruth>();
  private readonly settings: OracleSettings;
  private readonly zoneOf: (campaign: string) => string;

  constructor(settings: Partial<OracleSettings> = {}, zoneOf: (campaign: string) => string = () => 'UTC') {
    this.settings = { ...ORACLE_DEFAULTS, ...settings };
    this.zoneOf = zoneOf;
  }

  /** Judges the next record of its partition. Without an offset it has the one after the last. */
  feed(record: OracleRecord, offset?: number): Verdict {
    const partition = this.partition(record.topic, record.partition);
    const verdict = this.judge(partition, record);
    partition.offsets.push(offset ?? (partition.offsets.at(-1) ?? -1) + 1);
    partition.verdicts.push(verdict);
    partition.counts[verdict.disposition]++;
    return verdict;
  }

  partition(topic: Topic, number: number): PartitionTruth {
    const name = `${topic}/${number}`;
    const known = this.partitions.get(name);
    if (known !== undefined) return known;
    const partition = new PartitionTruth(topic, number);
    this.partitions.set(name, partition);
    return partition;
  }

  /** What a side output must hold: source `topic/partition/offset` → verdict. */
  output(output: Output): Map<string, Verdict> {
    const sources = new Map<string, Verdict>();
    for (const [name, partition] of this.partitions)
      partition.verdicts.forEach((verdict, i) => {
        if (isIn(output, verdict)) sources.set(`${name}/${partition.offsets[i]}`, verdict);
      });
    return sources;
  }

  private judge(partition: PartitionTruth, record: OracleRecord): Verdict {
    let event: Event;
    try {
      event = decode(record, this.settings);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      return { ...plain('invalid'), reason: error.message };
    }
    const { dedupBucketMs, dedupTtlMs, windowMs, allowedLatenessMs, maxOutOfOrdernessMs } = this.settings;
    const { watermarkMs } = partition;
    const isGone = (bucketEndMs: number) => bucketEndMs + dedupTtlMs <= watermarkMs;

    const seenUntilMs = partition.seen.get(event.eventId);
    if (seenUntilMs !== undefined && !isGone(seenUntilMs)) {
      this.money.duplicate += event.spendMicros;
      return DUPLICATE;
    }
    const bucketEndMs = endOf(event.eventMs, dedupBucketMs);
    if (!isGone(bucketEndMs)) partition.seen.set(event.eventId, bucketEndMs);
    if (endOf(event.eventMs, windowMs) + allowedLatenessMs <= watermarkMs) {
      this.money.late += event.spendMicros;
      return { ...plain('late'), watermarkMs };
    }
    partition.watermarkMs = Math.max(watermarkMs, event.eventMs - maxOutOfOrdernessMs);
    return this.accept(partition, event);
  }

  private accept(partition: PartitionTruth, event: Event): Verdict {
    const suspected = isSuspected(partition, event);
    if (suspected) this.money.suspected += event.spendMicros;
    if (partition.topic === 'impressions') this.countImpression(event);
    const violation = partition.topic === 'exposures' && this.countExposure(partition, event);
    return suspected || violation ? { ...ACCEPTED, suspected, violation } : ACCEPTED;
  }

  private countImpression({ entity: campaign, eventMs, spendMicros, isValid }: Event): void {
    if (!isValid) {
      this.money.invalidTraffic += spendMicros;
      return;
    }
    add(inner(this.spend, campaign), dayOf(eventMs, this.zoneOf(campaign)), spendMicros);
    add(inner(this.spendHourly, campaign), eventMs - (eventMs % HOUR), spendMicros);
  }

  /** Counts a first exposure; true when the unit was first seen in another variant. */
  private countExposure(partition: PartitionTruth, event: Event): boolean {
    const { entity: experiment, detail, eventMs, allocationVersion } = event;
    const variant = detail ?? '';
    const unit = pair(experiment, event.actor ?? '');
    const first = partition.firstVariant.get(unit);
    if (first === undefined) {
      partition.firstVariant.set(unit, variant);
      increment(inner(this.units, experiment), variant);
      increment(this.unitsHourly, JSON.stringify([experiment, allocationVersion, variant, eventMs - (eventMs % HOUR)]));
      return false;
    }
    if (first === variant) return false;
    if (!partition.contaminated.has(unit)) {
      partition.contaminated.add(unit);
      increment(this.contaminated, experiment);
    }
    return true;
  }
}

const isIn = (output: Output, { disposition, suspected, violation }: Verdict): boolean => {
  switch (output) {
    case 'unique':
      return disposition === 'accepted';
    case 'duplicates':
      return disposition === 'duplicate';
    case 'suspected':
      return suspected;
    case 'violations':
      return violation;
    default:
      return disposition === output;
  }
};

/** Whether who, what and second were accepted before; they are from now on. */
const isSuspected = (partition: PartitionTruth, event: Event): boolean => {
  if (event.actor === null) return false;
  const { topic, accepted } = partition;
  const who = pair(event.entity, event.actor);
  // An absent surface is told apart from every surface there is.
  const what = topic === 'impressions' ? (event.detail === null ? 'no surface' : `surface ${event.detail}`) : '';
  const before = accepted.size;
  return accepted.add(`${Math.floor(event.eventMs / 1000)} ${who} ${what}`).size === before;
};

/** Two ids as one key that no other pair has. */
const pair = (a: string, b: string): string => `${a.length}:${a}${b.length}:${b}`;

/** The exclusive end of the stretch of that width that holds the moment. */
const endOf = (atMs: number, widthMs: number): number => (Math.floor(atMs / widthMs) + 1) * widthMs;

const inner = <A, B, V>(outer: Map<A, Map<B, V>>, key: A): Map<B, V> => {
  const known = outer.get(key);
  if (known !== undefined) return known;
  const map = new Map<B, V>();
  outer.set(key, map);
  return map;
};

const increment = <K>(counts: Map<K, number>, key: K): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1);
};

const add = <K>(amounts: Map<K, Amount>, key: K, spendMicros: number): void => {
  const amount = amounts.get(key);
  if (amount === undefined) amounts.set(key, { spendMicros, impressions: 1 });
  else {
    amount.spendMicros += spendMicros;
    amount.impressions++;
  }
};
