/** How the state topic of a bed is worn: set so that it is compacted within seconds, and what that has left. */
import kafkajs from 'kafkajs';
import { SystemClock } from '../../src/topology/clock.ts';
import { KafkaStateTopic } from '../../src/topology/sources/kafka-state-topic.ts';
import type { Bed } from './bed.ts';

/** Snapshots as often as can be: of any log that has grown by so much. */
export const OFTEN = { snapshotBytes: 60_000, snapshotRatio: 0.01 };

/** As migrate makes it, but what a snapshot replaced is gone in seconds; the broker's cleaner looks every 15 s. */
const WORN = {
  'cleanup.policy': 'compact',
  'max.message.bytes': String(4 << 20),
  'segment.bytes': String(1 << 20),
  'segment.ms': '3000',
  'min.cleanable.dirty.ratio': '0.01',
  'delete.retention.ms': '3000',
};

export const wearOut = (bed: Bed): Promise<unknown> =>
  bed.withAdmin((admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.TOPIC,
          name: bed.output('state'),
          configEntries: Object.entries(WORN).map(([name, value]) => ({ name, value })),
        },
      ],
    }),
  );

export interface StateWear {
  /** Offsets that hold nothing any more: no key is written twice, so a snapshot's owner has named each of them. */
  compacted: number;
  /** What is still there. */
  records: number;
  /** Records that say that a snapshot replaced another, and are still there. */
  tombstones: number;
}

export async function wearOf(bed: Bed): Promise<StateWear> {
  const nothing = (): void => undefined;
  const logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
  const topic = new KafkaStateTopic(bed.kafka, { topic: bed.output('state'), clock: new SystemClock(), logger });
  const wear: StateWear = { compacted: 0, records: 0, tombstones: 0 };
  try {
    for (let partition = (await topic.partitionCount()) - 1; partition >= 0; partition--) {
      const end = await topic.end(partition);
      wear.compacted += end;
      for await (const records of topic.read(partition, 0, end)) {
        wear.compacted -= records.length;
        wear.records += records.length;
        wear.tombstones += records.filter(({ value }) => value === null).length;
      }
    }
  } finally {
    await topic.close();
  }
  return wear;
}
