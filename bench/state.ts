/**
 * The state's figures beside their targets: `npm run bench:state -- [--keys N] [--no-kafka]`. Rates in memory are per second of
 * CPU time of this process, so that busy neighbours matter less; with a disk or a broker, by the clock.
 */
import { parseArgs } from 'node:util';
import { SeededHash } from '../src/state/hash.ts';
import { UnitStore } from '../src/state/units.ts';
import { BLOCK, check, figure, fillKeys, his, los, Meter, millions, print, printMachine, unmetTargets } from './figures.ts';
import { fingerprints } from './fingerprints.ts';
import { measureFolder, measureTopic } from './stores.ts';

const MOST_UNITS = 5_000_000;
/** The recovery that has targets. */
const RECOVERED = 10_000_000;
/** A hundred thousand a second. */
const KEYS_PER_COMMIT = 100_000;

function hashRates(): void {
  const hash = new SeededHash(new Uint8Array(8));
  const id = Buffer.from('0191e2a4-7c3f-7d52-9a61-3f0b52c8d9e7');
  const calls = 3_000_000;
  for (const round of ['warm up', 'measured']) {
    const bytes = new Meter();
    bytes.run(() => {
      for (let i = 0; i < calls; i++) {
        id[3] = i;
        hash.bytes(id, 0, id.length);
      }
    });
    const bytesMs = bytes.cpuMs;
    if (round === 'warm up') continue;
    print('hash');
    figure('36 bytes', millions(calls, bytesMs), 'M/s');
  }
}

function units(count: number): void {
  const store = new UnitStore();
  const [set, get] = [new Meter(), new Meter()];
  const blocks = Math.ceil(count / BLOCK);
  let right = 0;
  for (let block = 0; block < blocks; block++) {
    fillKeys(block * BLOCK);
    set.run(() => {
      for (let i = 0; i < BLOCK; i++) store.set(1, his[i], los[i], i);
    });
  }
  const setMs = set.cpuMs;
  for (let block = 0; block < blocks; block++) {
    fillKeys(block * BLOCK);
    get.run(() => {
      for (let i = 0; i < BLOCK; i++) if (store.get(1, his[i], los[i]) === i) right++;
    });
  }
  const getMs = get.cpuMs;
  check('units found', right, blocks * BLOCK);
  print(`units: ${right.toLocaleString('en-US')} of one experiment`);
  figure('set', millions(right, setMs), 'M/s');
  figure('get', millions(right, getMs), 'M/s');
  figure('tables, a unit', store.byteLength / right, 'B');
  figure(`longest block of ${BLOCK}`, set.longestMs, 'ms', { max: 50 });
}

async function folder(keys: number): Promise<void> {
  const { written, restored } = await measureFolder({ keys, keysPerCommit: null });
  print(`commit log in a folder: ${written.keys.toLocaleString('en-US')} keys, ${written.commits} commits, one a second, fdatasync each`);
  figure('insert if absent, journal and commit, CPU', millions(written.keys, written.cpuMs), 'M/s');
  figure('insert if absent, journal and commit, by the clock', millions(written.keys, written.wallMs), 'M/s', { min: 2 });
  figure('longest append', written.longestAppendMs, 'ms');
  figure('log a key', written.logBytes / written.keys, 'B');
  figure('restore, by the clock', restored.wallMs / 1000, 's', keys === RECOVERED ? { max: 5 } : {});
  figure('restore, CPU', millions(restored.keys, restored.cpuMs), 'M/s');
}

async function topic(): Promise<void> {
  const found = await measureTopic({ keys: RECOVERED, keysPerCommit: KEYS_PER_COMMIT });
  if (typeof found === 'string') {
    print(`state in Kafka: not measured, there is no broker (${found})`);
    return;
  }
  const { written, cold, warm } = found;
  print(`state in Kafka, a real broker here: ${written.keys.toLocaleString('en-US')} keys, ${written.commits} commits`);
  figure('insert if absent, journal and commit, by the clock', millions(written.keys, written.wallMs), 'M/s');
  figure('log a key', written.logBytes / written.keys, 'B');
  figure('recovery from the topic', cold.wallMs / 1000, 's', { max: 30 });
  figure('recovery from a warm folder', warm.wallMs / 1000, 's', { max: 5 });
  figure('longest step of a restore, by the clock', Math.max(cold.longestMs, warm.longestMs), 'ms');
}

const { values } = parseArgs({
  options: { keys: { type: 'string', default: '10000000' }, 'no-kafka': { type: 'boolean', default: false } },
});
const keys = Number(values.keys);
if (!Number.isSafeInteger(keys) || keys < 1) throw new Error(`--keys ${values.keys}: a whole number is expected`);
printMachine();
hashRates();
for (const warm of [true, false]) fingerprints(500_000, { warm, quiet: true });
for (const warm of [true, false]) fingerprints(keys, { warm });
units(Math.min(keys, MOST_UNITS));
await folder(RECOVERED);
if (!values['no-kafka']) await topic();
print(unmetTargets() === 0 ? 'every target is met' : `${unmetTargets()} targets are not met`);
