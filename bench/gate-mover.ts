/**
 * A process of its own for `bench:gate`, so that who writes costs the measured one nothing: moves every campaign on each
 * second, until it is told to end.
 */
import { Redis } from 'ioredis';

/** Every campaign's amount, position and times, within Redis. ARGV: prefix, first, last. */
const MOVE_ON = `
local time = redis.call('TIME')
local ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for at = ARGV[2], ARGV[3] do
  local key = ARGV[1] .. 'pace:{campaign-' .. string.format('%.0f', at) .. '}'
  redis.call('HINCRBY', key, 'version', 1)
  redis.call('HINCRBY', key, 'spend_micros', 100)
  redis.call('HSET', key, 'updated_ms', ms, 'counted_until_ms', ms)
end
`;
const MOVED_AT_ONCE = 1000;

const [url, prefix, campaigns] = process.argv.slice(2);
const client = new Redis(url);
let first = 0;
setInterval(
  () => {
    void client.eval(MOVE_ON, 0, prefix, first, first + MOVED_AT_ONCE - 1);
    first = (first + MOVED_AT_ONCE) % Number(campaigns);
  },
  1000 / (Number(campaigns) / MOVED_AT_ONCE),
);
process.once('SIGTERM', () => process.exit(0));
