/** Writes a campaign's key as the stream does and reads it as a bidder does, over the URL that it is given; prints what came of it. */
import { pino } from 'pino';
import { openGate } from '../../src/gate/index.ts';
import { RedisCounters } from '../../src/sinks/redis-counters.ts';
import { SystemClock } from '../../src/topology/clock.ts';
import { paceHash } from '../gate/pace-key.ts';

const [url] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const counters = new RedisCounters({ url, keyPrefix: '', clock: new SystemClock(), log });
const { epoch: _, version: __, updated_ms, counted_until_ms, ...constant } = paceHash();
const nowMs = Date.now();
const fields = {
  ...constant,
  day_start_ms: String(nowMs - 43_200_000),
  day_end_ms: String(nowMs + 43_200_000),
  counted_until_ms: String(nowMs),
};
const write = { key: 'pace:{c}', fields, expiryMs: 60_000, stamped: true };
const wrote = counters.write({ epoch: 1, version: 1, partition: 0 }, [write]).then(
  ({ refused }) => ({ refused: refused.length }),
  (error: Error) => ({ error: error.message }),
);
const timer = setTimeout(() => void counters.close(), 4000);
const written = await wrote;
clearTimeout(timer);
await counters.close();
const failures: string[] = [];
const gate = openGate({ redis: url, onEvent: (event) => void (event.kind === 'read_failed' && failures.push(event.message)) });
await gate.preload(['c'], 3000);
console.log(JSON.stringify({ written, answer: gate.check('c'), failed: failures.length > 0 }));
gate.close();
