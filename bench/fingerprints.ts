/** Rate, memory and pauses of the fingerprint store, with every count checked. */
import { ADDED, FingerprintStore } from '../src/state/fingerprints.ts';
import { KEYS_OF_BLOCK } from '../src/state/key-block.ts';
import { BLOCK, check, collect, DAY, eachKeyBlock, figure, fillKeys, HOUR, his, los, Meter, millions, print, START } from './figures.ts';

const LARGE = 50_000_000;

export interface FingerprintRun {
  warm: boolean;
  /** To let the compiler see everything once. */
  quiet?: boolean;
}

interface Measured {
  keys: number;
  bytesPerKey: number;
  byteLength: number;
  /** CPU time. */
  insertMs: number;
  lookUpMs: number;
  expiryMs: number;
  /** Reading one word of as much memory for each key, at random, a batch at a time: what no table can beat. */
  ceilingMs: number;
  longest: { insert: Meter; expiry: Meter };
}

/** Together as ingest does it, or one by one without a look ahead. Returns how many were added. */
function addBlock(store: FingerprintStore, ts: number, warm: boolean): number {
  let added = 0;
  if (warm) {
    eachKeyBlock(ts, (keys) => {
      store.addBlock(keys);
      added += keys.added;
    });
  } else {
    for (let i = 0; i < BLOCK; i++) if (store.addIfAbsent(his[i] | 0, los[i] | 0, ts) === ADDED) added++;
  }
  return added;
}

/** A day of keys goes in, is found again, and expires. */
export function fingerprints(count: number, { warm, quiet = false }: FingerprintRun): void {
  const measured = measure(count, warm);
  if (!quiet) tell(measured, warm);
}

/** CPU time to read `keys` words at random out of `bytes`. */
function randomReads(keys: number, bytes: number): number {
  const words = new Int32Array(bytes / 4).fill(1);
  const meter = new Meter();
  let sum = 0;
  for (let first = 0; first < keys; first += BLOCK) {
    fillKeys(first);
    meter.run(() => {
      for (let i = 0; i < BLOCK; i++) sum += words[Math.floor((his[i] / 2 ** 32) * words.length)];
    });
  }
  check('words read', sum, keys);
  return meter.cpuMs;
}

function measure(count: number, warm: boolean): Measured {
  collect();
  const residentBefore = process.memoryUsage().rss;
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY });
  const blocks = Math.ceil(count / BLOCK);
  const keys = blocks * BLOCK;
  const [insert, lookUp, expiry] = [new Meter(), new Meter(), new Meter()];
  let added = 0;
  for (let block = 0; block < blocks; block++) {
    const ts = START + Math.floor((block / blocks) * DAY);
    fillKeys(block * BLOCK);
    insert.run(() => {
      store.advance(ts - 30_000);
      added += addBlock(store, ts, warm);
    });
  }
  const insertMs = insert.cpuMs;
  collect();
  const bytesPerKey = (process.memoryUsage().rss - residentBefore) / keys;
  check('keys added', added, keys);
  check('size', store.size, added);
  let found = 0;
  for (let block = 0; block < blocks; block++) {
    fillKeys(block * BLOCK);
    lookUp.run(() => {
      found += BLOCK - addBlock(store, START + DAY, warm);
    });
  }
  check('keys found again', found, keys);
  const lookUpMs = lookUp.cpuMs;
  const { byteLength } = store;
  for (let ts = START + DAY; store.byteLength > 0; ts += HOUR / 60) expiry.run(() => store.advance(ts));
  check('bytes after the last expiry', store.byteLength, 0);
  const ceilingMs = randomReads(keys, byteLength);
  const longest = { insert, expiry };
  return { keys, bytesPerKey, byteLength, insertMs, lookUpMs, expiryMs: expiry.cpuMs, ceilingMs, longest };
}

function tell({ keys, bytesPerKey, byteLength, insertMs, lookUpMs, expiryMs, ceilingMs, longest }: Measured, warm: boolean): void {
  print(`fingerprints: ${keys.toLocaleString('en-US')} keys of a day, ${warm ? `${KEYS_OF_BLOCK} together` : 'one by one'}`);
  figure('insert if absent', millions(keys, insertMs), 'M/s', warm ? { min: keys >= LARGE ? 5 : 8 } : {});
  figure('look up', millions(keys, lookUpMs), 'M/s');
  figure('for comparison: one random read a key, nothing else', millions(keys, ceilingMs), 'M/s');
  // Only where no table was before: what was given back counts as resident until the system wants it.
  if (warm) figure('growth of RSS a key', bytesPerKey, 'B', { max: 12 });
  figure('table, a key', byteLength / keys, 'B', { max: 12 });
  figure(`longest block of ${BLOCK}`, longest.insert.longestMs, 'ms', { max: 50 });
  figure('the same by the clock, neighbours included', longest.insert.longestWallMs, 'ms');
  figure('expiry of all: longest step', longest.expiry.longestMs, 'ms', { max: 50 });
  figure('the same by the clock, neighbours included', longest.expiry.longestWallMs, 'ms');
  figure('expiry of all: whole', expiryMs, 'ms');
}
