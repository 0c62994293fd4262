/** Partitions that are added to a topic while a process runs: keys would lie in other partitions than their state, unseen until a restart. */
import { StreamError } from '../errors.ts';
import type { Clock } from '../topology/types.ts';

const LOOK_MS = 5000;

export interface PartitionWatch {
  /** By topic, as this process began with them. */
  began: ReadonlyMap<string, number>;
  count: () => Promise<ReadonlyMap<string, number>>;
  clock: Clock;
  stopping: AbortSignal;
}

/** Rejects with partition_count_changed; resolves when stopping. While Kafka is away it waits: others tell of that. */
export async function watchPartitions({ began, count, clock, stopping }: PartitionWatch): Promise<void> {
  while (!stopping.aborted) {
    await clock.sleep(LOOK_MS, stopping);
    const found = await count().catch(() => began);
    for (const [topic, partitions] of found) {
      if (partitions === began.get(topic)) continue;
      throw new StreamError(
        'partition_count_changed',
        `Topic ${topic} has ${partitions} partitions and had ${began.get(topic)} when this process began, so keys now lie in other partitions than their state. ` +
          'Recreate the topic with the old count, or begin a new state: another GROUP_ID and an empty state (after `migrate --new-epoch --confirm` where the topic is .partials).',
      );
    }
  }
}
