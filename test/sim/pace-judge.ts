/** Holds what the bidder is told against the truth: where the times are those of a live system. */
import { ladder, PACE_STATES, type PaceState } from '../../src/gate/ladder.ts';
import { dayAt, dayText } from '../../src/operators/days.ts';
import { type BudgetRow, budgetForever } from '../../src/sinks/registry.ts';
import { partitionOf } from '../../src/topology/sources/murmur2.ts';
import { decode } from '../oracle/contract.ts';
import type { Plan } from './plan.ts';
import type { SimRecord } from './traffic.ts';
import type { Truth } from './truth.ts';
import type { WatchedCounters } from './watched.ts';

/** Some are used up in the midst of the traffic, one at once, one never; the last is not registered with a budget. */
export const CAPS: Readonly<Record<string, number>> = { c1: 30_000, c2: 8000, ['__proto__']: 1e12 };

export const budgetsOf = (plan: Plan): Map<string, BudgetRow[]> =>
  new Map(plan.live ? Object.entries(CAPS).map(([id, cap]) => [id, [budgetForever(id, cap)]]) : []);

/** `pace:` is rewritten every 5 s, of marks that come every second; and here every answer takes its time. */
const FRESH_MS = 10_000;
/** A day begins with the first write after it; so long the day before may still be told. */
const ROLL_MS = 2000;
const utf8 = new TextEncoder();

interface Parts {
  plan: Plan;
  truth: Truth;
  zoneOf: (campaignId: string) => string;
  /** Campaigns that have been in two zones. */
  moved: ReadonlySet<string>;
  /** `.partials` partitions whose state was lost for good. */
  forgotten: ReadonlySet<number>;
  wrong: (what: string) => void;
}

interface Spent {
  offset: number;
  source: string;
  kafkaMs: number;
  day: string;
  micros: number;
}

export class PaceJudge {
  readonly #parts: Parts;
  readonly #impressions = new Map<string, Spent[]>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** A record is in the log from this Kafka time on. */
  appended(slot: SimRecord, kafkaMs: number): void {
    if (slot.stream !== 'impressions') return;
    const { time, limits } = this.#parts.plan.settings;
    const source = `${slot.stream}/${slot.partition}`;
    if (this.#parts.truth.partitions.get(source)?.countsSpend(slot.offset) !== true) return;
    const event = decode({ ...slot, topic: slot.stream }, { maxFutureSkewMs: time.maxFutureSkewMs, maxSpendMicros: limits.maxSpendMicros });
    const day = dayText(dayAt(event.eventMs, this.#parts.zoneOf(event.entity)));
    const known = this.#impressions.get(event.entity) ?? [];
    this.#impressions.set(event.entity, known);
    known.push({ offset: slot.offset, source, kafkaMs, day, micros: event.spendMicros });
  }

  /** At a write. */
  told(id: string, fields: Readonly<Record<string, string>>): void {
    const { plan, truth, moved, wrong } = this.#parts;
    const state = fields['state'] as PaceState;
    const [spend, cap, countedUntil] = ['spend_micros', 'cap_micros', 'counted_until_ms'].map((name) => Number(fields[name]));
    if (!PACE_STATES.includes(state)) wrong(`pace of ${id}: state ${state}`);
    if (fields['reason'] === 'no_budget') {
      if (state !== 'stopped' || Number(fields['multiplier']) > 0) wrong(`pace of ${id}: ${state} without a budget`);
      return;
    }
    const policy = fields['policy'] === 'strict' ? 'strict' : 'graceful';
    const worst = ladder({ spendMicros: spend, projectedMicros: spend }, { capMicros: cap, policy });
    if (PACE_STATES.indexOf(state) < PACE_STATES.indexOf(worst.state)) wrong(`pace of ${id}: ${state} with ${spend} of ${cap} spent`);
    if (Number(fields['multiplier']) > worst.multiplier) wrong(`pace of ${id}: multiplier ${fields['multiplier']} with ${spend} of ${cap}`);
    if (!plan.live || moved.has(id)) return;
    const most = truth.most.get(`spend:{${id}}:${fields['day']}`)?.get('spend_micros') ?? 0;
    if (spend > most) wrong(`pace of ${id}: ${spend} is told for ${fields['day']}, the truth is ${most}`);
    if (truth.suffixes.size > 0 || this.#isForgotten(id)) return;
    const least = (this.#impressions.get(id) ?? []).reduce(
      (sum, { day, kafkaMs, micros }) => (day === fields['day'] && kafkaMs < countedUntil ? sum + micros : sum),
      0,
    );
    if (spend < least)
      wrong(`pace of ${id}: ${spend} on ${fields['day']} counted until ${countedUntil}, but ${least} was spent before that`);
  }

  /** What is still wrong when all trouble is over; `spends`: the spend is what was counted, and no reconciler's. */
  differences(counters: WatchedCounters, { wallMs, spends }: { wallMs: number; spends: boolean }, registered: readonly string[]): string[] {
    const found: string[] = [];
    const { plan, truth, zoneOf } = this.#parts;
    for (const id of registered) {
      const fields = counters.get(`pace:{${id}}`)?.fields;
      if (fields === undefined) {
        found.push(`pace of ${id}: is missing`);
        continue;
      }
      if (wallMs - Number(fields['updated_ms']) > FRESH_MS)
        found.push(`pace of ${id}: was written ${wallMs - Number(fields['updated_ms'])} ms ago`);
      const days = [wallMs, wallMs - ROLL_MS].map((ms) => dayText(dayAt(ms, zoneOf(id))));
      const today = fields['day'];
      if (!days.includes(today)) found.push(`pace of ${id}: is of ${today}, today is ${days[0]}`);
      if (!plan.live) continue;
      if (fields['reason'] === 'no_budget' ? id in CAPS : !(id in CAPS)) found.push(`pace of ${id}: ${fields['reason']}`);
      const [low, high] = [truth.least, truth.most].map((sums) => sums.get(`spend:{${id}}:${today}`)?.get('spend_micros') ?? 0);
      const spend = Number(fields['spend_micros']);
      if (spends && (spend > high || (spend < low && !this.#isForgotten(id))))
        found.push(`pace of ${id}: ${spend} on ${today}, the truth is ${low} to ${high}`);
      const ageMs = Number(fields['updated_ms']) - Number(fields['counted_until_ms']);
      if (ageMs > FRESH_MS) found.push(`pace of ${id}: is counted until ${ageMs} ms before it was written`);
    }
    return found;
  }

  #isForgotten(id: string): boolean {
    const bytes = utf8.encode(id);
    return this.#parts.forgotten.has(partitionOf(bytes, 0, bytes.length, this.#parts.plan.partialsPartitions));
  }
}
