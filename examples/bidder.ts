/**
 * A small bidder that asks the gate before each auction, as yours would.
 *
 *     REDIS_URL=redis://localhost:6379/0 node examples/bidder.ts spring-sale summer-sale
 *
 * It bids 100 times a second for each campaign, wins a third of what it enters, and prints once a second what the gate
 * says and what it would do: with `exposure-stream run` on the same Redis, watch it slow down and stop.
 */
import { openGate } from 'exposure-stream/gate';

const AUCTIONS_PER_S = 100;
const campaigns = process.argv.slice(2);
const redis = process.env['REDIS_URL'];
if (campaigns.length === 0 || redis === undefined) {
  console.error('usage: REDIS_URL=redis://host:port node examples/bidder.ts CAMPAIGN...');
  process.exit(2);
}

const gate = openGate({
  redis,
  keyPrefix: process.env['REDIS_KEY_PREFIX'] ?? '',
  onEvent: (event) => {
    // A real bidder counts these in its metrics; only what a person should see is printed here.
    if (event.kind === 'redis_gone' || event.kind === 'redis_back' || event.kind === 'read_failed') console.error(event);
  },
});

// Without this the first auctions of each campaign would find it closed: nothing is known yet.
if (!(await gate.preload(campaigns))) console.error('Redis does not answer yet; campaigns stay closed until it does');

const tallies = new Map(campaigns.map((id) => [id, { entered: 0, won: 0 }]));

const auctions = setInterval(() => {
  for (const [id, tally] of tallies) {
    const { multiplier } = gate.check(id);
    if (Math.random() >= multiplier) continue;
    tally.entered += 1;
    // Here the bid would go out. What is won is no business of the gate: the impression comes back through Kafka.
    if (Math.random() < 1 / 3) tally.won += 1;
  }
}, 1000 / AUCTIONS_PER_S);

const report = setInterval(() => {
  for (const [id, tally] of tallies) {
    const { state, multiplier, reason } = gate.check(id);
    console.log(`${id}: ${state} (${reason}), multiplier ${multiplier.toFixed(3)}; entered ${tally.entered}, won ${tally.won}`);
    tally.entered = 0;
    tally.won = 0;
  }
}, 1000);

process.once('SIGINT', () => {
  clearInterval(auctions);
  clearInterval(report);
  gate.close();
});
