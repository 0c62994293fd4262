import { type FeedHome, KafkaFeed } from '../../../src/topology/sources/kafka-feed.ts';
import { HandClock } from '../hand-clock.ts';

const nothing = (): void => undefined;
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** A feed of t/0 whose broker only listens. `end` is what the broker says when it is asked. */
export const feedOf = (wake = nothing) => {
  const broker = { end: 0, asked: 0 };
  const clock = new HandClock(1_700_000_000_000);
  const home: FeedHome = {
    clock,
    logger: silent,
    mailboxBytes: 100,
    bounds: async () => {
      broker.asked++;
      return { first: 0, end: broker.end, committed: null };
    },
    wake,
  };
  const offsets = { commitOffsets: async () => undefined };
  return { feed: new KafkaFeed(home, offsets, { topic: 't', partition: 0 }), clock, broker };
};
