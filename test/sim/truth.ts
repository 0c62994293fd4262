/** What must come out of a seed's traffic, by the oracle: one a source partition, so that each can be counted anew. */
import type { HourlyRow } from '../../src/sinks/totals.ts';
import { decode } from '../oracle/contract.ts';
import { Oracle, type OracleDisposition, type Verdict } from '../oracle/oracle.ts';
import type { Plan } from './plan.ts';
import type { Slot, Traffic } from './traffic.ts';

/** Field → amount, of one Redis key. */
export type Fields = Map<string, number>;

/** A copy in a side output: topic's last word, and what stands in the headers. */
export interface Copy {
  output: string;
  offset: number;
  watermarkMs: number | null;
}

export type HourAmounts = Omit<HourlyRow, 'kind' | 'entityId' | 'allocationVersion' | 'variantId' | 'hourMs'>;

export const HOUR_AMOUNTS = [
  'spendMicros',
  'impressions',
  'units',
  'lateRecords',
  'lateMicros',
  'duplicateRecords',
  'duplicateMicros',
  'suspectedRecords',
  'suspectedMicros',
  'invalidTrafficRecords',
  'invalidTrafficMicros',
] as const satisfies readonly (keyof HourAmounts)[];

const NO_AMOUNTS = Object.fromEntries(HOUR_AMOUNTS.map((name) => [name, 0])) as unknown as HourAmounts;
const HOUR_MS = 3_600_000;

/** One source partition counted from an offset on, with no memory of what was before. */
export class PartitionTruth {
  readonly name: string;
  readonly origin: number;
  readonly spend = new Map<string, Fields>();
  readonly exposed = new Map<string, Fields>();
  /** By `hourName`. */
  readonly hours = new Map<string, HourAmounts>();
  /** By `<topic>/<partition>/<offset>/<suspected>`. */
  readonly copies = new Map<string, Copy>();
  readonly #spending = new Set<number>();
  readonly #prefixes: (Record<OracleDisposition, number> & { consumed: number })[] = [];

  constructor(plan: Plan, place: { name: string; slots: readonly Slot[]; origin: number; zoneOf: (campaignId: string) => string }) {
    const { name, slots, origin, zoneOf } = place;
    this.name = name;
    this.origin = origin;
    const { time, limits } = plan.settings;
    const oracle = new Oracle({ ...time, maxSpendMicros: limits.maxSpendMicros }, zoneOf);
    const [stream, partition] = name.split('/');
    const truth = oracle.partition(stream as 'impressions', Number(partition));
    let consumed = 0;
    slots.forEach((slot, offset) => {
      this.#prefixes.push({ ...truth.counts, consumed });
      if (slot === null || offset < origin) return;
      const record = { ...slot, topic: slot.stream };
      const watermarkMs = truth.watermarkMs;
      consumed++;
      const verdict = oracle.feed(record, offset);
      if (verdict.disposition === 'accepted') this.#spending.add(offset);
      this.#copies(plan, offset, verdict);
      if (verdict.disposition === 'invalid' || slot.stream === 'assignments') return;
      const event = decode(record, { maxFutureSkewMs: time.maxFutureSkewMs, maxSpendMicros: limits.maxSpendMicros });
      if (event.eventMs + limits.evidenceMs <= watermarkMs) return;
      const hourMs = Math.floor(event.eventMs / HOUR_MS) * HOUR_MS;
      const hour = this.#hour(
        slot.stream === 'impressions'
          ? ['spend', event.entity, 0, '', hourMs]
          : ['exposure', event.entity, event.allocationVersion, event.detail ?? '', hourMs],
      );
      addEvidence(hour, verdict, event);
      if (!event.isValid) this.#spending.delete(offset);
    });
    this.#prefixes.push({ ...truth.counts, consumed });
    this.#take(oracle);
  }

  /** Whether the record at this offset is an accepted impression whose money counts. */
  countsSpend(offset: number): boolean {
    return this.#spending.has(offset);
  }

  /** Counts of dispositions before an offset. */
  before(offset: number): Record<OracleDisposition, number> & { consumed: number } {
    return this.#prefixes[offset];
  }

  #take(oracle: Oracle): void {
    for (const [campaign, days] of oracle.spend)
      for (const [day, { spendMicros, impressions }] of days)
        this.spend.set(
          `spend:{${campaign}}:${day}`,
          new Map([
            ['spend_micros', spendMicros],
            ['impressions', impressions],
          ]),
        );
    for (const [experiment, variants] of oracle.units) {
      const fields = new Map([...variants].map(([variant, units]) => [`units:${variant}`, units]));
      this.exposed.set(`exposed:{${experiment}}`, fields.set('contaminated', oracle.contaminated.get(experiment) ?? 0));
    }
    for (const [campaign, hours] of oracle.spendHourly)
      for (const [hourMs, amount] of hours) Object.assign(this.#hour(['spend', campaign, 0, '', hourMs]), amount);
    for (const [name, units] of oracle.unitsHourly) {
      const [experiment, version, variant, hourMs] = JSON.parse(name);
      this.#hour(['exposure', experiment, version, variant, hourMs]).units = units;
    }
  }

  #hour(key: readonly unknown[]): HourAmounts {
    const name = JSON.stringify(key);
    let hour = this.hours.get(name);
    if (hour === undefined) {
      hour = { ...NO_AMOUNTS };
      this.hours.set(name, hour);
    }
    return hour;
  }

  #copies(plan: Plan, offset: number, { disposition, suspected, violation, watermarkMs }: Verdict): void {
    const put = (output: string, isSuspected = false): void => {
      this.copies.set(`${output} ${this.name}/${offset}/${isSuspected}`, { output, offset, watermarkMs });
    };
    if (disposition === 'accepted' && plan.outputUnique) put('unique');
    if (disposition === 'duplicate') put('duplicates');
    if (disposition === 'late' || disposition === 'invalid') put(disposition);
    if (suspected) put('duplicates', true);
    if (violation) put('violations');
  }
}

function addEvidence(hour: HourAmounts, { disposition, suspected }: Verdict, event: { spendMicros: number; isValid: boolean }): void {
  const add = (records: keyof HourAmounts, micros: keyof HourAmounts): void => {
    hour[records]++;
    hour[micros] += event.spendMicros;
  };
  if (disposition === 'late') add('lateRecords', 'lateMicros');
  if (disposition === 'duplicate') add('duplicateRecords', 'duplicateMicros');
  if (suspected) add('suspectedRecords', 'suspectedMicros');
  if (disposition === 'accepted' && !event.isValid) add('invalidTrafficRecords', 'invalidTrafficMicros');
}

/** All source partitions together. One that was lost behind a truncated log has two counts, and what is shown lies between. */
export class Truth {
  readonly #plan: Plan;
  readonly #traffic: Traffic;
  readonly #zoneOf: (campaignId: string) => string;
  readonly partitions = new Map<string, PartitionTruth>();
  readonly suffixes = new Map<string, PartitionTruth>();
  /** What must be shown at the end, at least and at most. */
  least = new Map<string, Fields>();
  most = new Map<string, Fields>();
  leastHours = new Map<string, HourAmounts>();
  mostHours = new Map<string, HourAmounts>();

  constructor(plan: Plan, traffic: Traffic, zoneOf: (campaignId: string) => string) {
    this.#plan = plan;
    this.#traffic = traffic;
    this.#zoneOf = zoneOf;
    this.count();
  }

  /** Everything by the zones of now. */
  count(): void {
    const zoneOf = this.#zoneOf;
    for (const [name, slots] of this.#traffic)
      this.partitions.set(name, new PartitionTruth(this.#plan, { name, slots, origin: 0, zoneOf }));
    for (const [name, { origin }] of this.suffixes) this.#countFrom(name, origin);
    this.#add();
  }

  /** Counting began anew at this offset, without a memory. */
  lose(name: string, origin: number): void {
    this.#countFrom(name, origin);
    this.#add();
  }

  #countFrom(name: string, origin: number): void {
    const place = { name, slots: this.#traffic.get(name) ?? [], origin, zoneOf: this.#zoneOf };
    this.suffixes.set(name, new PartitionTruth(this.#plan, place));
  }

  #add(): void {
    this.least = new Map();
    this.most = new Map();
    this.leastHours = new Map();
    this.mostHours = new Map();
    for (const [name, full] of this.partitions) {
      const suffix = this.suffixes.get(name);
      addKeys(this.most, full);
      addHours(this.mostHours, full);
      addKeys(this.least, suffix ?? full);
      addHours(this.leastHours, suffix ?? full);
      if (suffix === undefined) continue;
      addKeys(this.most, suffix);
      addHours(this.mostHours, suffix);
    }
  }
}

function addKeys(to: Map<string, Fields>, { spend, exposed }: PartitionTruth): void {
  for (const [key, fields] of [...spend, ...exposed]) {
    const sums = to.get(key) ?? new Map<string, number>();
    to.set(key, sums);
    for (const [field, amount] of fields) sums.set(field, (sums.get(field) ?? 0) + amount);
  }
}

function addHours(to: Map<string, HourAmounts>, { hours }: PartitionTruth): void {
  for (const [name, amounts] of hours) {
    const sums = to.get(name) ?? { ...NO_AMOUNTS };
    to.set(name, sums);
    for (const amount of HOUR_AMOUNTS) sums[amount] += amounts[amount];
  }
}
