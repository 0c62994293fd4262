/**
 * `npm run bench:gate [-- --costs]`: what the gate costs the bidder's process, and how it behaves before a real Redis that fails.
 * Starts a Redis of its own, or uses TEST_REDIS_URL. About a minute and a half; `--costs` leaves the behaviour out.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openGate, type PacingGate } from '../src/gate/index.ts';
import { PaceWriter } from '../test/gate/pace-writer.ts';
import { startServices } from '../test/services/index.ts';
import { figure, millions, print, printMachine, unmetTargets } from './figures.ts';
import { behaviour } from './gate-behaviour.ts';

const PREFIX = 'bench-gate:';
const CAMPAIGNS = 10_000;
const CHECK_MS = 2000;
const REFRESH_S = 20;
const PAUSE_S = 5;

const ids = Array.from({ length: CAMPAIGNS }, (_, at) => `campaign-${at}`);

async function costs(redisUrl: string): Promise<void> {
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
  writer.close();
  const mover = spawn(process.execPath, [join(import.meta.dirname, 'gate-mover.ts'), redisUrl, PREFIX, String(CAMPAIGNS)]);
  try {
    await refreshes(gate);
  } finally {
    mover.kill();
    gate.close();
  }
}

async function refreshes(gate: PacingGate): Promise<void> {
  await sleep(3000);
  for (const id of ids) gate.check(id);
  const before = gate.stats;
  const cpu = process.cpuUsage();
  const began = performance.now();
  await sleep(REFRESH_S * 1000);
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const after = gate.stats;
  print(`\n${CAMPAIGNS.toLocaleString('en')} campaigns refreshed every second, every one changed in between, for ${REFRESH_S} s`);
  figure('share of one core, by CPU seconds', ((user + system) / 1e6 / seconds) * 100, '%', { max: 5 });
  figure('reads a second, of at most 500 campaigns each', (after.reads - before.reads) / seconds, '/s');
  figure('reads that failed', after.readsFailed - before.readsFailed, '', { max: 0 });
  if (after.refreshed !== CAMPAIGNS) throw new Error(`${after.refreshed} campaigns were refreshed, not ${CAMPAIGNS}`);
  // By itself: a timer each millisecond costs more than the gate does.
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await sleep(PAUSE_S * 1000);
  delay.disable();
  figure('longest pause of the event loop', delay.max / 1e6, 'ms');
  if (!ids.every((id) => gate.check(id).state === 'open')) throw new Error('not every campaign was fresh');
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const services = await startServices({ redis: true, own: true });
try {
  printMachine();
  await costs(services.redisUrl);
  if (!process.argv.includes('--costs')) await behaviour(services.redisUrl);
} finally {
  await services.stop();
}
process.exitCode = unmetTargets() > 0 ? 1 : 0;
