/** A version in Redis beyond the end of the log was not written from this log (design §3 must 10): an error, not a fence. */
import { StreamError } from '../errors.ts';
import type { CounterBatch } from './evaluate.ts';
import type { Sink } from './stage.ts';
import type { CounterOutcome, CounterSink, PartitionFeed } from './types.ts';

/** Delivers to the counters. Rejects with `redis_ahead` when what is stored there is ahead of the feed's log. */
export function fencedCounters(counters: CounterSink, feed: PartitionFeed): Sink<CounterBatch, CounterOutcome> {
  let knownEnd = 0;
  return {
    deliver: async ({ writer, writes }) => {
      const outcome = await counters.write(writer, writes);
      const ahead = outcome.refused.find((refused) => refused.epoch > writer.epoch || refused.version > knownEnd);
      if (ahead === undefined) return outcome;
      knownEnd = (await feed.bounds()).end;
      if (ahead.epoch > writer.epoch || ahead.version > knownEnd) {
        throw new StreamError(
          'redis_ahead',
          `${ahead.key} in Redis has epoch ${ahead.epoch}, version ${ahead.version}, but ${feed.topic}/${feed.partition} ends at ${knownEnd} in epoch ${writer.epoch}: the topic was recreated, or this Redis belongs to another deployment`,
        );
      }
      return outcome;
    },
  };
}
