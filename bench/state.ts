/**
 * The stores' figures: `node --expose-gc bench/state.ts [--keys N]`. Prints rate, memory and the longest pause, and checks
 * every count. Rates are per second of CPU time of this process, so that busy neighbours matter less; pauses are wall time.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DirStateStore } from '../src/state/dir-store.ts';
import { FingerprintStore } from '../src/state/fingerprints.ts';
import { SeededHash } from '../src/state/hash.ts';
import { UnitStore } from '../src/state/units.ts';
import type { StateHeader } from '../src/topology/types.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = 20_000 * DAY;
const BLOCK = 4096;
/** Keys to warm at a time. */
const BATCH = 256;

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const millions = (count: number, ms: number): string => `${(count / ms / 1000).toFixed(1)} M/s`;
const collect = (): void => (globalThis as { gc?: () => void }).gc?.();

function check(what: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found}, expected ${expected}`);
}

/** Keys number `first` and on, the same for the same number: every key differs from every other. */
function fillKeys(his: Uint32Array, los: Uint32Array, first: number): void {
  for (let i = 0; i < BLOCK; i++) {
    const n = first + i;
    let x = Math.imul(n, 0x9e37_79b1);
    x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
    los[i] = x ^ (x >>> 13);
    x = Math.imul(n ^ 0x5bd1_e995, 0xc2b2_ae35);
    his[i] = x ^ (x >>> 15);
  }
}

/** Runs one block at a time and adds up CPU time and the longest wall time. */
class Meter {
  cpuMs = 0;
  longestMs = 0;

  run(block: () => void): void {
    const cpu = process.cpuUsage();
    const from = performance.now();
    block();
    this.longestMs = Math.max(this.longestMs, performance.now() - from);
    const { user, system } = process.cpuUsage(cpu);
    this.cpuMs += (user + system) / 1000;
  }
}

const his = new Uint32Array(BLOCK);
const los = new Uint32Array(BLOCK);

function addBlock(store: FingerprintStore, ts: number, warm: boolean): number {
  let added = 0;
  for (let from = 0; from < BLOCK; from += BATCH) {
    const to = from + BATCH;
    if (warm) store.warm(his, los, { from, to });
    for (let i = from; i < to; i++) if (store.addIfAbsent(his[i], los[i], ts) === 0) added++;
  }
  return added;
}

function hashRates(): void {
  const hash = new SeededHash(new Uint8Array(8));
  const id = Buffer.from('0191e2a4-7c3f-7d52-9a61-3f0b52c8d9e7');
  const words = new Uint32Array(4);
  const calls = 3_000_000;
  for (const round of ['warm up', 'measured']) {
    const bytes = new Meter();
    bytes.run(() => {
      for (let i = 0; i < calls; i++) {
        id[3] = i;
        hash.bytes(id, 0, id.length);
      }
    });
    const four = new Meter();
    four.run(() => {
      for (let i = 0; i < calls; i++) {
        words[0] = i;
        hash.words(words, 4);
      }
    });
    if (round === 'measured') print(`hash: 36 bytes ${millions(calls, bytes.cpuMs)}, 4 words ${millions(calls, four.cpuMs)}`);
  }
}

function fingerprints(keys: number, { warm, quiet = false }: { warm: boolean; quiet?: boolean }): void {
  collect();
  const residentBefore = process.memoryUsage().rss;
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY });
  const blocks = Math.ceil(keys / BLOCK);
  const insert = new Meter();
  let added = 0;
  for (let block = 0; block < blocks; block++) {
    const ts = START + Math.floor((block / blocks) * DAY);
    fillKeys(his, los, block * BLOCK);
    insert.run(() => {
      store.advance(ts - 30_000);
      added += addBlock(store, ts, warm);
    });
  }
  collect();
  const resident = process.memoryUsage().rss - residentBefore;
  check('keys added', added, blocks * BLOCK);
  check('size', store.size, added);
  const lookUp = new Meter();
  let found = 0;
  for (let block = 0; block < blocks; block++) {
    fillKeys(his, los, block * BLOCK);
    lookUp.run(() => {
      found += BLOCK - addBlock(store, START + DAY, warm);
    });
  }
  check('keys found again', found, added);
  const expiry = new Meter();
  for (let ts = START + DAY; store.size > 0; ts += HOUR / 60) expiry.run(() => store.advance(ts));
  if (quiet) return;
  print(
    `fingerprints, ${added} keys${warm ? `, warmed by ${BATCH}` : ''}: insert if absent ${millions(added, insert.cpuMs)}, look up ${millions(added, lookUp.cpuMs)}`,
  );
  print(`  ${(resident / added).toFixed(1)} bytes a key resident, longest block of ${BLOCK} ${insert.longestMs.toFixed(1)} ms`);
  print(`  expiry of all: longest step ${expiry.longestMs.toFixed(1)} ms, ${expiry.cpuMs.toFixed(0)} ms in all`);
}

function units(count: number): void {
  const store = new UnitStore();
  const set = new Meter();
  const get = new Meter();
  const blocks = Math.ceil(count / BLOCK);
  let right = 0;
  for (let block = 0; block < blocks; block++) {
    fillKeys(his, los, block * BLOCK);
    set.run(() => {
      for (let i = 0; i < BLOCK; i++) store.set(1, his[i], los[i], i);
    });
  }
  for (let block = 0; block < blocks; block++) {
    fillKeys(his, los, block * BLOCK);
    get.run(() => {
      for (let i = 0; i < BLOCK; i++) if (store.get(1, his[i], los[i]) === i) right++;
    });
  }
  check('units found', right, blocks * BLOCK);
  print(`units, ${store.size} of one experiment: set ${millions(right, set.cpuMs)}, get ${millions(right, get.cpuMs)}`);
  print(`  ${(store.byteLength / right).toFixed(1)} bytes a unit in tables, longest block of ${BLOCK} ${set.longestMs.toFixed(1)} ms`);
}

async function commitLog(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'exposure-stream-bench-'));
  const store = new DirStateStore(folder);
  const header: StateHeader = { formatVersion: 1, hashSeedId: '', partitionCounts: {}, epoch: 1, configuration: '' };
  const log = store.open({ stage: 'ingest', topic: 'impressions', partition: 0 });
  await log.claim(header);
  const commits = 200;
  const changes = new Uint8Array(1_000_000).map((_, i) => i);
  const from = performance.now();
  for (let i = 0; i < commits; i++) await log.append({ from: i, to: i + 1, changes });
  const appendMs = performance.now() - from;
  const restoreFrom = performance.now();
  let bytes = 0;
  for await (const commit of (await store.open({ stage: 'ingest', topic: 'impressions', partition: 0 }).claim(header)).commits()) {
    bytes += commit.changes.length;
  }
  check('bytes restored', bytes, commits * changes.length);
  print(`commit log on ${folder}: append and fdatasync of 1 MB ${(appendMs / commits).toFixed(1)} ms`);
  print(`  restore of ${bytes / 1e6} MB ${(performance.now() - restoreFrom).toFixed(0)} ms`);
  await store.close();
  await rm(folder, { recursive: true });
}

const { values } = parseArgs({ options: { keys: { type: 'string', default: '10000000' } } });
const keys = Number(values.keys);
if (!Number.isSafeInteger(keys) || keys < 1) throw new Error(`--keys ${values.keys}: a whole number is expected`);
hashRates();
for (const warm of [true, false]) fingerprints(500_000, { warm, quiet: true });
for (const warm of [true, false]) fingerprints(keys, { warm });
units(Math.min(keys, 5_000_000));
await commitLog();
