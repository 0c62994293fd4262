/**
 * What ingest costs without a broker: record sets as fetched → opened → read → judged → emitted → committed, on one core.
 *
 *     node --expose-gc bench/process/in-memory.ts [--records N] [--campaigns N] [--keys N] [--stream impressions]
 */
import { parseArgs } from 'node:util';
import { loadSettings } from '../../src/config.ts';
import { Decoder } from '../../src/operators/decode.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { IngestStage } from '../../src/topology/ingest.ts';
import { ColumnBatch, RecordColumns } from '../../src/topology/sources/column-batch.ts';
import { openRecordSet, readRecords, recordsIn } from '../../src/topology/sources/record-set.ts';
import { fillKeys, his, los, print } from '../figures.ts';
import { impressionSets } from './impressions.ts';
import { Profile } from './profile.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    campaigns: { type: 'string', default: '1000' },
    keys: { type: 'string', default: '0' },
    profile: { type: 'boolean', default: false },
  },
});
const count = Number(values.records);
const keys = Number(values.keys);
const settings = loadSettings({}, () => '');
const { time, pace, limits, srm } = settings;
const hash = new SeededHash(new Uint8Array(8));
const outputs = { partials: 'p', duplicates: 'd', late: 'l', invalid: 'i', violations: 'v', unique: null };
const decoder = new Decoder('impressions', { mapping: {}, maxSpendMicros: limits.maxSpendMicros, maxFutureSkewMs: time.maxFutureSkewMs });
const stage = new IngestStage({
  stream: 'impressions',
  topic: 'impressions',
  partition: 0,
  partitions: 1,
  partialsPartitions: 8,
  decoder,
  hash,
  budget: new MemoryBudget(),
  time,
  pace,
  limits,
  srm,
  outputs,
});
stage.begin(0);
const baseMs = 20_000 * 86_400_000;
for (let from = 0; from < keys; from += his.length) {
  fillKeys(from);
  for (let i = 0; i < his.length; i++) {
    stage.state.dedup.addIfAbsent(his[i], los[i], baseMs - 3600_000);
    if (from < keys / 5) stage.state.suspects.addIfAbsent(his[i], los[i], baseMs);
  }
}
const sets = [...impressionSets({ count, campaigns: Number(values.campaigns), baseMs })];
const bytes = sets.reduce((sum, set) => sum + set.length, 0);
print(`${count} records, ${(bytes / count).toFixed(0)} bytes each, ${sets.length} sets, ${keys} keys before`);
const feed = { contactMs: () => 0, endReachedMs: () => null };
let monotonicMs = 0;
const times = { open: 0, read: 0, process: 0, emit: 0, commit: 0 };
const sums = { out: 0, commit: 0 };
let at = performance.now();
const lap = (name: keyof typeof times): void => {
  const now = performance.now();
  times[name] += now - at;
  at = now;
};
let offset = 0;
let seen = 0;
let longest = 0;
const run = async (some: readonly Buffer[]): Promise<void> => {
  for (const set of some) {
    at = performance.now();
    const began = at;
    const open = await openRecordSet(set);
    lap('open');
    const records = new RecordColumns(open.batches.reduce((sum, batch) => sum + recordsIn(batch), 0));
    readRecords(open.batches, offset, records);
    offset = open.nextOffset;
    seen += records.size;
    lap('read');
    stage.process(
      new ColumnBatch(
        { topic: 'impressions', partition: 0, nextOffset: open.nextOffset, endOffset: count, byteLength: open.byteLength },
        records,
      ),
      { monotonicMs, wallMs: 0 },
    );
    lap('process');
    monotonicMs += (records.size / 500_000) * 1000;
    const out = stage.emit({ monotonicMs, wallMs: 0 }, feed, false);
    for (const record of out ?? []) sums.out += record.value?.length ?? 0;
    lap('emit');
    if (out) sums.commit += stage.takeCommit().changes.length;
    lap('commit');
    longest = Math.max(longest, performance.now() - began);
  }
};
const half = sets.length >> 1;
await run(sets.slice(0, half));
for (const name of Object.keys(times)) times[name as keyof typeof times] = 0;
const before = seen;
longest = 0;
const cpu = process.cpuUsage();
const profile = values.profile ? await Profile.begin() : null;
await run(sets.slice(half));
const expenses = (await profile?.end()) ?? [];
const used = process.cpuUsage(cpu);
const measured = seen - before;
const { dispositions } = stage.state.totals;
print(
  `${seen} seen, dispositions ${dispositions.join(' ')}, out ${sums.out} B, commits ${sums.commit} B, longest step ${longest.toFixed(1)} ms`,
);
for (const [name, ms] of Object.entries(times)) print(`  ${name.padEnd(10)} ${((ms / measured) * 1000).toFixed(3)} s a million`);
print(`  CPU        ${((used.user + used.system) / measured).toFixed(3)} s a million`);
for (const { name, share } of expenses.slice(0, 25)) print(`  ${(100 * share).toFixed(1).padStart(5)} % ${name}`);
