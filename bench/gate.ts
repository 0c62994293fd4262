/**
 * `npm run bench:gate`: what the gate costs the bidder's process, and how it behaves before a real Redis that fails.
 * Starts a Redis of its own, or uses TEST_REDIS_URL. About a minute and a half.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openGate } from '../src/gate/index.ts';
import { PaceWriter } from '../test/gate/pace-writer.ts';
import { startServices } from '../test/services/index.ts';
import { figure, millions, print, printMachine, unmetTargets } from './figures.ts';
import { behaviour } from './gate-behaviour.ts';

const PREFIX = 'bench-gate:';
const CAMPAIGNS = 10_000;
const CHECK_MS = 2000;
const REFRESH_S = 20;

/**
 * Moves every campaign on, within Redis: who writes must cost this process nothing.
 * ARGV: prefix, first, last.
 */
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

const ids = Array.from({ length: CAMPAIGNS }, (_, at) => `campaign-${at}`);

async function checks(redisUrl: string): Promise<void> {
  const writer = new PaceWriter(
    redisUrl,
    ids.map((id) => `${PREFIX}pace:{${id}}`),
  );
  await writer.write();
  // Not refreshed while it is measured: this loop lets nothing else run.
  const gate = openGate({ redis: redisUrl, keyPrefix: PREFIX });
  await gate.preload(ids);
  let open = 0;
  let done = 0;
  const began = performance.now();
  const cpu = process.cpuUsage();
  while (performance.now() - began < CHECK_MS) {
    for (const id of ids) if (gate.check(id).multiplier > 0) open++;
    done += ids.length;
  }
  const { user, system } = process.cpuUsage(cpu);
  if (open === 0) throw new Error('no check was answered with more than 0: nothing was measured');
  print(`\nchecks of ${CAMPAIGNS.toLocaleString('en')} campaigns, from memory`);
  figure('checks a second of CPU, on one core', millions(done, (user + system) / 1000), 'M/s', { min: 1 });
  figure('one check', ((user + system) * 1000) / done, 'ns', { max: 1000 });
  await refreshes(writer, gate);
  gate.close();
  writer.close();
}

async function refreshes(writer: PaceWriter, gate: ReturnType<typeof openGate>): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let first = 0;
  const moving = setInterval(
    () => {
      void writer.client.eval(MOVE_ON, 0, PREFIX, first, first + MOVED_AT_ONCE - 1);
      first = (first + MOVED_AT_ONCE) % CAMPAIGNS;
    },
    1000 / (CAMPAIGNS / MOVED_AT_ONCE),
  );
  await sleep(3000);
  for (const id of ids) gate.check(id);
  const before = gate.stats;
  delay.enable();
  const cpu = process.cpuUsage();
  const began = performance.now();
  await sleep(REFRESH_S * 1000);
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  const after = gate.stats;
  clearInterval(moving);
  print(`\n${CAMPAIGNS.toLocaleString('en')} campaigns refreshed every second, every one changed in between, for ${REFRESH_S} s`);
  figure('share of one core', ((user + system) / 1e6 / seconds) * 100, '%', { max: 5 });
  figure('reads a second, of at most 500 campaigns each', (after.reads - before.reads) / seconds, '/s');
  figure('reads that failed', after.readsFailed - before.readsFailed, '', { max: 0 });
  figure('longest pause of the event loop', delay.max / 1e6, 'ms');
  if (after.refreshed !== CAMPAIGNS) throw new Error(`${after.refreshed} campaigns were refreshed, not ${CAMPAIGNS}`);
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const services = await startServices({ redis: true, own: true });
try {
  printMachine();
  await checks(services.redisUrl);
  await behaviour(services.redisUrl);
} finally {
  await services.stop();
}
process.exitCode = unmetTargets() > 0 ? 1 : 0;
