/** Holds what is visible against the truth: at every write, at every commit, and at the end. */

import { INVALID_REASONS } from '../../src/operators/decode.ts';
import type { StoredCounter } from '../../src/sinks/memory-counters.ts';
import type { HourlyRow } from '../../src/sinks/totals.ts';
import type { IngestTotals } from '../../src/topology/ingest-totals.ts';
import type { MemoryBroker, MemoryRecord } from '../../src/topology/sources/memory-log.ts';
import { partitionOf } from '../../src/topology/sources/murmur2.ts';
import { PaceJudge } from './pace-judge.ts';
import type { Plan } from './plan.ts';
import type { Traffic } from './traffic.ts';
import { HOUR_AMOUNTS, type PartitionTruth, type Truth } from './truth.ts';
import { hourName, type WatchedCounters, type WatchedTotals, type Watcher } from './watched.ts';

const SIDE_OUTPUTS = ['duplicates', 'late', 'invalid', 'violations', 'unique'] as const;
/** What `srm --experiment` reads: made of counts that are held against the truth elsewhere. */
const isReport = (key: string): boolean => key.startsWith('srm:');
const TOLD_APART = new Set(['epoch', 'version', 'watermark_ms']);
const utf8 = new TextEncoder();

const REASONS: Readonly<Record<string, readonly string[]>> = {
  duplicates: ['duplicate_event_id'],
  late: ['window_closed'],
  invalid: INVALID_REASONS.slice(1),
  violations: ['variant_changed'],
  unique: [],
};

export class Judge implements Watcher {
  readonly problems: string[] = [];
  readonly #plan: Plan;
  readonly #truth: Truth;
  readonly #traffic: Traffic;
  /** `.partials` partitions whose owner lost its state behind a truncated log: there nothing goes down, no more is promised. */
  readonly forgotten = new Set<number>();
  /** Set where a reconciler takes part: then spend moves, and is what the reconciler says. */
  spend: { differences(): string[] } | null = null;
  /** Campaigns that have been in two zones: their days move. */
  readonly moved = new Set<string>();
  readonly pace: PaceJudge;

  constructor(plan: Plan, truth: Truth, traffic: Traffic, zoneOf: (campaignId: string) => string) {
    this.pace = new PaceJudge({ plan, truth, zoneOf, moved: this.moved, forgotten: this.forgotten, wrong: (what) => this.wrong(what) });
    this.#plan = plan;
    this.#truth = truth;
    this.#traffic = traffic;
  }

  wrong(what: string): void {
    if (this.problems.length < 20) this.problems.push(what);
  }

  counter(key: string, before: StoredCounter | null, after: StoredCounter): void {
    const fenceOf = (stored: StoredCounter): number => Number(stored.fields['epoch']) * 2 ** 40 + Number(stored.fields['version']);
    if (before !== null && fenceOf(after) < fenceOf(before))
      this.wrong(`${key}: version ${after.fields['version']} was written over ${before.fields['version']}`);
    if (key.startsWith('pace:') && this.spend === null) this.pace.told(entityOf(key), after.fields);
    if (
      isReport(key) ||
      key.startsWith('pace:') ||
      key.startsWith('marker:') ||
      this.moved.has(entityOf(key)) ||
      (this.spend !== null && key.startsWith('spend:'))
    )
      return;
    const most = this.#truth.most.get(key);
    for (const [field, text] of Object.entries(after.fields)) {
      if (TOLD_APART.has(field)) continue;
      const amount = Number(text);
      const was = Number(before?.fields[field] ?? 0);
      if (amount < was) this.wrong(`${key} ${field}: went back from ${was} to ${amount}`);
      const limit = most?.get(field) ?? 0;
      if (!(amount <= limit)) this.wrong(`${key} ${field}: ${amount} is visible, the truth is ${limit}`);
    }
  }

  hour(row: HourlyRow, before: HourlyRow | undefined): void {
    const most = this.#truth.mostHours.get(hourName(row));
    for (const amount of HOUR_AMOUNTS) {
      if (before && row[amount] < before[amount])
        this.wrong(`hour ${hourName(row)} ${amount}: went back from ${before[amount]} to ${row[amount]}`);
      if (row[amount] > (most?.[amount] ?? 0))
        this.wrong(`hour ${hourName(row)} ${amount}: ${row[amount]}, the truth is ${most?.[amount] ?? 0}`);
    }
  }

  /** A commit of ingest covers the log up to `position`: each record before it has one disposition, the oracle's. */
  committed(name: string, at: { origin: number; position: number }, totals: IngestTotals): string | null {
    const truth = at.origin === 0 ? this.#truth.partitions.get(name) : this.#truth.suffixes.get(name);
    if (truth === undefined || truth.origin !== at.origin) return `${name}: counts from offset ${at.origin}`;
    const { accepted, duplicate, late, invalid, consumed } = truth.before(at.position);
    const expected = [accepted, duplicate, late, invalid].join();
    const found = totals.dispositions.join();
    if (found === expected && totals.sums.consumed === consumed) return null;
    return `${name} at ${at.position}: accepted, duplicate, late, invalid are ${found} of ${totals.sums.consumed}, the truth is ${expected} of ${consumed}`;
  }

  /** What is still missing or wrong; empty when all is as it must be at the end. */
  differences(counters: WatchedCounters, totals: WatchedTotals): string[] {
    const { least, most, leastHours, mostHours } = this.#truth;
    const found: string[] = [];
    const outside = (where: string, amount: number, range: [number, number]): void => {
      if (amount < range[0] || amount > range[1])
        found.push(`${where}: ${amount}, the truth is ${range[0]}${range[0] === range[1] ? '' : ` to ${range[1]}`}`);
    };
    for (const key of new Set([...most.keys(), ...counters.keys()])) {
      if (isReport(key) || key.startsWith('marker:') || key.startsWith('pace:') || (this.spend !== null && key.startsWith('spend:')))
        continue;
      const stored = counters.get(key)?.fields ?? {};
      for (const field of new Set([...(most.get(key)?.keys() ?? []), ...Object.keys(stored)])) {
        if (TOLD_APART.has(field)) continue;
        const low = this.isForgotten(entityOf(key)) ? 0 : (least.get(key)?.get(field) ?? 0);
        outside(`${key} ${field}`, Number(stored[field] ?? 0), [low, most.get(key)?.get(field) ?? 0]);
      }
    }
    const rows = new Map(totals.rows().map((row) => [hourName(row), row]));
    for (const name of new Set([...mostHours.keys(), ...rows.keys()])) {
      const isForgotten = this.isForgotten(JSON.parse(name)[1]);
      for (const amount of HOUR_AMOUNTS) {
        const low = isForgotten ? 0 : (leastHours.get(name)?.[amount] ?? 0);
        outside(`hour ${name} ${amount}`, rows.get(name)?.[amount] ?? 0, [low, mostHours.get(name)?.[amount] ?? 0]);
      }
    }
    found.push(...(this.spend?.differences() ?? []));
    return found;
  }

  /** Side outputs: distinct by source and suspected they are the oracle's, copied byte for byte, each time alike. */
  sideOutputs(broker: MemoryBroker): string[] {
    const found: string[] = [];
    const seen = new Map<string, string>();
    for (const output of SIDE_OUTPUTS)
      for (const partition of broker.topic(`exposure-stream.${output}`))
        for (const copy of partition.records()) {
          const problem = this.#checkCopy(output, copy, seen);
          if (problem !== null) found.push(problem);
        }
    for (const truth of this.#truth.partitions.values()) {
      if (this.#truth.suffixes.has(truth.name)) continue;
      for (const name of truth.copies.keys()) if (!seen.has(name)) found.push(`${name}: is missing in the side output`);
    }
    return found;
  }

  #checkCopy(output: string, copy: MemoryRecord, seen: Map<string, string>): string | null {
    const { headers } = copy;
    const source = `${headers['source_topic']}/${headers['source_partition']}`;
    const offset = Number(headers['source_offset']);
    const isSuspected = headers['suspected'] === 'true';
    const name = `${output} ${source}/${offset}/${isSuspected}`;
    const slot = this.#traffic.get(source)?.[offset];
    if (!slot) return `${name}: a copy of no record`;
    if (!sameBytes(copy.key, slot.key) || !sameBytes(copy.value, slot.value)) return `${name}: is not the source record`;
    const reason = headers['reason'];
    const allowed = isSuspected ? ['suspected_duplicate'] : REASONS[output];
    if (reason === undefined ? allowed.length > 0 : !allowed.includes(reason)) return `${name}: reason ${reason}`;
    const lost = this.#truth.suffixes.get(source);
    const matches = (truth: PartitionTruth | undefined): boolean => {
      const expected = truth?.copies.get(name);
      return (
        expected !== undefined &&
        (headers['watermark_ms'] ?? null) === (expected.watermarkMs === null ? null : String(expected.watermarkMs))
      );
    };
    if (!matches(this.#truth.partitions.get(source)) && !matches(lost)) return `${name}: ${JSON.stringify(headers)} does not belong there`;
    const text = JSON.stringify(headers);
    if (!lost && (seen.get(name) ?? text) !== text) return `${name}: once ${seen.get(name)}, once ${text}`;
    seen.set(name, text);
    return null;
  }

  /** Whether its owner may have lost some of it. */
  isForgotten(entity: string): boolean {
    const bytes = utf8.encode(entity);
    return this.forgotten.size > 0 && this.forgotten.has(partitionOf(bytes, 0, bytes.length, this.#plan.partialsPartitions));
  }
}

/** The campaign or experiment of `spend:{<id>}:<day>` or `exposed:{<id>}`. */
const entityOf = (key: string): string => key.slice(key.indexOf('{') + 1, key.lastIndexOf('}'));

const sameBytes = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a === b || (a !== null && b !== null && a.length === b.length && a.every((byte, i) => byte === b[i]));
