/** Seeded impressions and exposures: number `n` is always the same one. */
import type { Stream } from '../../src/topology/types.ts';
import { encodePlainBatch } from '../../test/kafka/record-batch.ts';

export interface ImpressionPlan {
  count: number;
  campaigns: number;
  baseMs: number;
}

const PER_BATCH = 1000;
const BATCHES_PER_SET = 4;
/** Of event time. */
const PER_SECOND = 20_000;
/** One record in so many comes a second time. */
export const REPEAT_EVERY = 50;
const USERS = 5_000_000;
/** `{"event_id":"`, and a UUID. */
const ID_AT = 13;
const ID_BYTES = 36;

/** Whether record number `i` is there to be a duplicate: of the one 49 before it. */
export const isRepeat = (i: number): boolean => i % REPEAT_EVERY === REPEAT_EVERY - 1;

const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0');

const mixed = (n: number): number => {
  let h = Math.imul(n ^ (n >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

export const campaignOf = (n: number, campaigns: number): number => mixed(n * 2 + 2) % campaigns;
export const spendOf = (n: number): number => 1000 + (mixed(n * 2 + 1) % 9000);
export const campaignName = (campaign: number): string => `campaign-${campaign}`;

/** The JSON text of impression number `n`; its time is up to 5 s before `timeMs`. */
export function impression(n: number, { campaigns }: Pick<ImpressionPlan, 'campaigns'>, timeMs: number): string {
  const a = mixed(n * 2 + 1);
  const b = mixed(n * 2 + 2);
  return `{"event_id":"${idOf(n, a, b)}","campaign_id":"${campaignName(campaignOf(n, campaigns))}","spend_micros":${spendOf(n)},"event_ts":${Math.floor(timeMs) - (a % 5000)},"user_id":"user-${hex(mixed(a) % USERS)}","surface":"home_feed"}`;
}

/** An exposure, or an assignment: of a unit of its own, in one of 50 experiments. */
export function exposure(n: number, timeMs: number): string {
  const a = mixed(n * 2 + 1);
  const b = mixed(n * 2 + 2);
  return `{"event_id":"${idOf(n, a, b)}","experiment_id":"experiment-${b % 50}","variant_id":"${a % 2 === 0 ? 'control' : 'treatment'}","unit_id":"user-${hex(n)}","event_ts":${Math.floor(timeMs) - (a % 5000)},"attributes":{"country":"DE","device_os":"ios"}}`;
}

const idOf = (n: number, a: number, b: number): string =>
  `${hex(a)}-${hex(n).slice(0, 4)}-4${hex(b).slice(0, 3)}-a${hex(b).slice(3, 6)}-${hex(n)}${hex(a).slice(0, 4)}`;

/** Where its event id lies. */
export const idBytes = (value: Buffer): Buffer => value.subarray(ID_AT, ID_AT + ID_BYTES);

/** Record sets of about a fetch each, of which one record in fifty is there a second time. */
export function* recordSets(stream: Stream, plan: ImpressionPlan): Generator<Buffer> {
  let set: Buffer[] = [];
  for (let from = 0; from < plan.count; from += PER_BATCH) {
    const timeMs = plan.baseMs + Math.floor((from * 1000) / PER_SECOND) + 5000;
    const records = Array.from({ length: Math.min(PER_BATCH, plan.count - from) }, (_, i) => {
      const n = isRepeat(i) ? from + i - REPEAT_EVERY + 1 : from + i;
      const value = Buffer.from(stream === 'impressions' ? impression(n, plan, timeMs) : exposure(n, timeMs));
      return { key: idBytes(value), value, offsetDelta: i, timeDeltaMs: 0, headers: [] };
    });
    set.push(encodePlainBatch(records, { baseOffset: from, baseTimeMs: timeMs }));
    if (set.length < BATCHES_PER_SET && from + PER_BATCH < plan.count) continue;
    yield Buffer.concat(set);
    set = [];
  }
}
