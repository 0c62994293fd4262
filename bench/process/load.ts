/** Seeded impressions in a topic, and what must be counted of them. */

import { writeRecordBatch } from '../../src/topology/sources/record-batch-writer.ts';
import type { Stream } from '../../src/topology/types.ts';
import { RawProducer } from '../../test/kafka/raw-producer.ts';
import { campaignOf, exposure, type ImpressionPlan, idBytes, impression, isRepeat, REPEAT_EVERY, spendOf } from './impressions.ts';

const PER_BATCH = 1000;
export interface LoadPlan extends ImpressionPlan {
  topic: string;
  partitions: number;
  stream: Stream;
  /** Kafka's number of a codec, 0 for none. */
  codec: number;
}

/** What is right: records, and spend by number of the campaign. */
export interface Expected {
  records: number;
  accepted: number;
  duplicates: number;
  spendMicros: Float64Array;
}

/** Which impression record number `i` of a partition is: most their own, some one that was there before. */
const numberAt = (i: number, partition: number, partitions: number): number =>
  (isRepeat(i) ? i - REPEAT_EVERY + 1 : i) * partitions + partition;

/** The batch of a stretch. @param timeMs event time by number in the partition; the last record's is the Kafka time of all */
export function batchOf(plan: LoadPlan, { partition, from, count }: Stretch, timeMs: (i: number) => number): Promise<Buffer> {
  const records = Array.from({ length: count }, (_, k) => {
    const i = from + k;
    const first = isRepeat(i) ? i - REPEAT_EVERY + 1 : i;
    const number = numberAt(i, partition, plan.partitions);
    const text = plan.stream === 'impressions' ? impression(number, plan, timeMs(first)) : exposure(number, timeMs(first));
    const value = Buffer.from(text);
    return { key: idBytes(value), value };
  });
  return writeRecordBatch(records, { timestampMs: timeMs(from + count - 1), codec: plan.codec });
}

export interface Stretch {
  partition: number;
  /** Numbers of records within the partition. */
  from: number;
  count: number;
}

/** Adds up what a stretch must come to. */
export function expect(plan: LoadPlan, { partition, from, count }: Stretch, into: Expected): void {
  into.records += count;
  for (let i = from; i < from + count; i++) {
    if (isRepeat(i)) {
      into.duplicates++;
      continue;
    }
    const number = numberAt(i, partition, plan.partitions);
    into.accepted++;
    into.spendMicros[campaignOf(number, plan.campaigns)] += spendOf(number);
  }
}

export const nothingExpected = (campaigns: number): Expected => ({
  records: 0,
  accepted: 0,
  duplicates: 0,
  spendMicros: new Float64Array(campaigns),
});

/** Produces `count` records, in turn to every partition, so many a second of event time. */
export async function load(broker: string, plan: LoadPlan & { perSecond: number }): Promise<Expected> {
  const expected = nothingExpected(plan.campaigns);
  const producer = await RawProducer.open(broker);
  const perPartition = Math.floor(plan.count / plan.partitions);
  const timeMs = (i: number): number => plan.baseMs + Math.floor((i * plan.partitions * 1000) / plan.perSecond);
  for (let from = 0; from < perPartition; from += PER_BATCH) {
    for (let partition = 0; partition < plan.partitions; partition++) {
      const stretch = { partition, from, count: Math.min(PER_BATCH, perPartition - from) };
      expect(plan, stretch, expected);
      await producer.append(plan.topic, partition, await batchOf(plan, stretch, timeMs));
    }
  }
  producer.close();
  return expected;
}
