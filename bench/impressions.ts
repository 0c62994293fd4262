/** Seeded impressions as record sets of about a fetch each. */
import { encodePlainBatch } from '../test/kafka/record-batch.ts';

export interface ImpressionPlan {
  count: number;
  campaigns: number;
  baseMs: number;
}

const PER_BATCH = 1000;
const BATCHES_PER_SET = 4;
/** Of event time. */
const PER_SECOND = 20_000;

const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0');
const mixed = (n: number): number => {
  let h = Math.imul(n ^ (n >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

/** The JSON text of impression number `n`. */
export function impression(n: number, { campaigns, baseMs }: ImpressionPlan): string {
  const a = mixed(n * 2 + 1);
  const b = mixed(n * 2 + 2);
  const id = `${hex(a)}-${hex(n).slice(0, 4)}-4${hex(b).slice(0, 3)}-a${hex(b).slice(3, 6)}-${hex(n)}${hex(a).slice(0, 4)}`;
  return `{"event_id":"${id}","campaign_id":"campaign-${b % campaigns}","spend_micros":${1000 + (a % 9000)},"event_ts":${baseMs + Math.floor((n * 1000) / PER_SECOND) + (a % 5000)},"user_id":"user-${hex(mixed(a) % 5_000_000)}","surface":"home_feed"}`;
}

export function* impressionSets(plan: ImpressionPlan): Generator<Buffer> {
  let set: Buffer[] = [];
  for (let from = 0; from < plan.count; from += PER_BATCH) {
    const records = Array.from({ length: Math.min(PER_BATCH, plan.count - from) }, (_, i) => {
      const value = Buffer.from(impression(from + i, plan));
      return { key: value.subarray(13, 49), value, offsetDelta: i, timeDeltaMs: 0, headers: [] };
    });
    const baseTimeMs = plan.baseMs + Math.floor((from * 1000) / PER_SECOND) + 5000;
    set.push(encodePlainBatch(records, { baseOffset: from, baseTimeMs }));
    if (set.length < BATCHES_PER_SET && from + PER_BATCH < plan.count) continue;
    yield Buffer.concat(set);
    set = [];
  }
}
