/** What a state and the process that opens it must agree on. */

import { StreamError } from '../errors.ts';
import type { StateHeader } from '../topology/types.ts';

/** Sums of the old layout lie in `.partials`, whichever topic has changed: they would be added to those of the new one. */
export const TODO_PARTITIONS =
  'Recreate the topic with the old count, or begin anew: stop all processes, recreate .partials (or set another outputs.prefix), empty the state (folders, and the topic .state with STATE_STORE=kafka), take a new GROUP_ID, `migrate --topics`, `migrate --new-epoch --confirm`, start';

/**
 * Throws `state_newer_format`, `state_other_seed` or `partition_count_changed`. Counts of topics that only one of the two
 * knows, the configuration and the epoch are not compared.
 */
export function checkHeader(previous: StateHeader, now: StateHeader): void {
  if (previous.formatVersion > now.formatVersion) {
    throw new StreamError(
      'state_newer_format',
      `The state has format ${previous.formatVersion}, this program writes ${now.formatVersion}: run the version that wrote it, or a newer one.`,
    );
  }
  if (previous.hashSeedId !== now.hashSeedId) {
    throw new StreamError(
      'state_other_seed',
      `The state was written with hash seed ${previous.hashSeedId}, this process has ${now.hashSeedId} (ids, not the seeds): set STATE_HASH_SEED to the seed it was written with.`,
    );
  }
  for (const [topic, count] of Object.entries(previous.partitionCounts)) {
    const found = now.partitionCounts[topic];
    if (found === undefined || found === count) continue;
    throw new StreamError(
      'partition_count_changed',
      `Topic ${topic} has ${found} partitions and had ${count} when this state began, so keys now lie in other partitions than their state. ` +
        `${TODO_PARTITIONS}.`,
    );
  }
}
