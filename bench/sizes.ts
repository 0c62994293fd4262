/**
 * `npm run sizes`: what a rate and a TTL take, from bytes and rates measured here, as a markdown table. A day of impressions goes
 * through ingest's own journal: a dedup key and a suspect's key a record.
 */
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { FILE_SCHEMA } from '../src/config.ts';
import { FingerprintStore } from '../src/state/fingerprints.ts';
import { BLOCK, collect, DAY, fillKeys, HOUR, his, los, print, START } from './figures.ts';
import { measureFolder, measureTopic } from './stores.ts';

const RATES = [500, 5000, 20_000, 100_000];
const TTL_HOURS = [6, 24, 48];
const KEYS_PER_COMMIT = 100_000;
/** So that memory of the compiler's is not taken for the table's. */
const WARM_UP = 500_000;
/** Days that pass before memory is measured: expired keys that are not yet swept are part of it. */
const DAYS = 2.4;

interface Measured {
  memoryPerKey: number;
  logPerEvent: number;
  snapshotPerKey: number;
  /** Log bytes a second. */
  folderRate: number;
  topicRate: number | null;
}

/** Resident bytes for each key of the last 24 h, at their worst, in a table that has been in use for days. */
function residentPerKey(keysPerDay: number): number {
  collect();
  const before = process.memoryUsage().rss;
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY });
  const blocksPerDay = Math.ceil(keysPerDay / BLOCK);
  let worst = 0;
  for (let block = 0; block < blocksPerDay * DAYS; block++) {
    const ts = START + (block / blocksPerDay) * DAY;
    fillKeys(block * BLOCK);
    for (let i = 0; i < BLOCK; i++) store.addIfAbsent(his[i], los[i], ts);
    store.advance(ts);
    if (block > blocksPerDay && block % 64 === 0) worst = Math.max(worst, process.memoryUsage().rss - before);
  }
  store.clear();
  return worst / (blocksPerDay * BLOCK);
}

async function measure(keys: number): Promise<Measured> {
  const memoryPerKey = residentPerKey(keys);
  const plain = await measureFolder({ keys, keysPerCommit: KEYS_PER_COMMIT });
  const plan = { keys, keysPerCommit: KEYS_PER_COMMIT, suspects: true };
  const { written, restored } = await measureFolder(plan);
  const topic = await measureTopic(plan);
  return {
    memoryPerKey,
    logPerEvent: written.logBytes / written.keys,
    snapshotPerKey: plain.written.logBytes / plain.written.keys,
    folderRate: (written.logBytes / restored.wallMs) * 1000,
    topicRate: typeof topic === 'string' ? null : (topic.written.logBytes / topic.cold.wallMs) * 1000,
  };
}

function row(rate: number, hours: number, measured: Measured): string {
  const { limits } = FILE_SCHEMA.parse({});
  // A bucket is kept until its end is a TTL ago.
  const keys = rate * (hours + 1) * 3600;
  const memory = keys * measured.memoryPerKey;
  const snapshot = keys * measured.snapshotPerKey;
  const log = Math.max(limits.snapshotBytes, limits.snapshotRatio * memory, snapshot * 1.1);
  // Each time that the log has grown from a snapshot to the limit, another snapshot is written.
  const logRate = rate * measured.logPerEvent * (1 + snapshot / (log - snapshot));
  const { folderRate, topicRate } = measured;
  return [
    rate.toLocaleString('en-US'),
    `${hours} h`,
    `${(keys / 1e6).toFixed(0)} M`,
    bytes(memory),
    bytes(log + snapshot),
    `${bytes(logRate)}/s`,
    duration(log / folderRate),
    topicRate === null ? '–' : duration(log / topicRate),
  ].join(' | ');
}

const bytes = (count: number): string =>
  count >= 1e9 ? `${(count / 1e9).toFixed(1)} GB` : count >= 1e6 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e3).toFixed(0)} kB`;
const duration = (seconds: number): string => (seconds >= 120 ? `${(seconds / 60).toFixed(0)} min` : `${seconds.toFixed(0)} s`);

const { values } = parseArgs({ options: { keys: { type: 'string', default: '10000000' } } });
residentPerKey(WARM_UP);
const measured = await measure(Number(values.keys));
const [{ model }] = cpus();
const mega = (rate: number | null): string => (rate === null ? 'not measured' : `${(rate / 1e6).toFixed(0)} MB/s`);
print(
  `Measured on ${model}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}, ${values.keys} keys:`,
);
print(
  `${measured.memoryPerKey.toFixed(1)} B of memory a key (worst, unswept keys included), ${measured.logPerEvent.toFixed(1)} B of log a record,`,
);
print(
  `${measured.snapshotPerKey.toFixed(1)} B of snapshot a key; restore ${mega(measured.folderRate)} of log from a folder, ${mega(measured.topicRate)} from Kafka.\n`,
);
print('events/s | TTL | keys | memory | disk, most | log | restore, folder | restore, Kafka');
print('--: | --: | --: | --: | --: | --: | --: | --:');
for (const rate of RATES) for (const hours of TTL_HOURS) print(row(rate, hours, measured));
