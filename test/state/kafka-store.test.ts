import { appendFile, mkdtemp, readdir, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KafkaStateStore } from '../../src/state/kafka-store.ts';
import { chained, RecordCodec, sealed } from '../../src/state/topic-records.ts';
import type { MemoryBroker, MemoryPartition, MemoryRecord } from '../../src/topology/sources/memory-log.ts';
import { MemoryStateTopic } from '../../src/topology/sources/memory-state-topic.ts';
import type { CommitLog } from '../../src/topology/types.ts';
import { HEADER, read, step, TASK } from '../conformance/commit-log.ts';
import { memoryBroker, NAME, TOPIC } from '../conformance/topic-bench.ts';
import { compact, FlakyTopic, type Trouble } from './flaky-topic.ts';

let broker: MemoryBroker;
let folder: string;
let said: string[];
let stores: KafkaStateStore[] = [];

beforeEach(async () => {
  broker = memoryBroker();
  folder = await mkdtemp(join(tmpdir(), 'exposure-stream-copy-'));
  said = [];
});
afterEach(async () => {
  await Promise.all(stores.map((each) => each.close()));
  stores = [];
  await rm(folder, { recursive: true });
});

const note = (_fields: object, message: string): void => void said.push(message);
const store = (options: { folder?: string } = {}): KafkaStateStore => {
  const topic = new MemoryStateTopic(broker, TOPIC, { fetchRecords: 4 });
  const made = new KafkaStateStore({ topic, logger: { info: note, warn: note }, ...options });
  stores.push(made);
  return made;
};
const opened = (options: { folder?: string } = {}): CommitLog => store(options).open(TASK);
const restored = async (options: { folder?: string } = {}): Promise<string[]> => read(await opened(options).claim(HEADER));
const partition = (): MemoryPartition => {
  const topic = new MemoryStateTopic(broker, TOPIC);
  return broker.partition(TOPIC, topic.partitionOf(NAME, 3));
};

/** Two owners with a snapshot between them; `whole` restores to what it returns. */
async function history(options: { folder?: string } = {}): Promise<string[]> {
  const first = opened(options);
  await first.claim(HEADER);
  await first.append(step(0, 1));
  await first.append(step(1, 2));
  await first.beginSnapshot();
  await first.append({ from: 2, to: 3, changes: new Uint8Array(1_000_000).fill(65) });
  await first.append(step(3, 4));
  await first.endSnapshot();
  await first.append(step(4, 5));
  const second = opened(options);
  await second.claim(HEADER);
  await second.append(step(5, 6));
  await second.append(step(6, 7));
  return restored();
}

type Slots = (MemoryRecord | null)[];

/** The records of the task's partition; what a test does to them is put on a topic of its own. */
const slots = (): Slots => Array.from({ length: partition().end }, (_, offset) => partition().at(offset));

/** Makes the topic anew, with these records in the task's partition. */
function replace(records: Slots): void {
  const before = broker;
  const own = partition();
  broker = memoryBroker();
  for (const [i, log] of before.topic(TOPIC).entries()) {
    const kept = log === own ? records : log.records();
    for (const record of kept) broker.topic(TOPIC)[i].append(record && { ...record });
  }
}

const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, bytes[at] ^ 0x10);
const short = (lines: readonly string[]): string[] => lines.map((line) => line.slice(0, 20));
const found = (): Promise<string[] | string> => restored().catch((error: { code: string }) => error.code);

/** After damage: a named stop, or all, or all but commits at the end, with the snapshot whole or not used. */
async function expectHarmless(whole: readonly string[], what: string): Promise<boolean> {
  const after = await found();
  if (typeof after === 'string') {
    expect(after, what).toMatch(/^state_(corrupt|newer_format)$/);
    return false;
  }
  const all = after[0]?.startsWith('0→1') ? ['0→1 0-1', '1→2 1-2', ...whole] : whole;
  expect(short(after), what).toEqual(short(all.slice(0, after.length)));
  expect(after.length, what).toBeGreaterThanOrEqual(all.length - 1);
  return true;
}

test('a flipped byte anywhere is harmless or a named stop', async () => {
  const whole = await history();
  expect(whole).toHaveLength(5);
  const sound = slots();
  let stops = 0;
  for (const [offset, record] of sound.entries()) {
    for (const part of ['key', 'value'] as const) {
      const bytes = record?.[part];
      if (!record || !bytes) continue;
      for (const at of new Set([0, 1, 5, bytes.length >> 1, bytes.length - 2, bytes.length - 1])) {
        replace(sound.with(offset, { ...record, [part]: flipped(bytes, at) }));
        if (!(await expectHarmless(whole, `offset ${offset}, byte ${at} of its ${part}`))) stops++;
      }
    }
  }
  expect(stops).toBeGreaterThan(20);
});

test('a record that is gone, a chunk among them, or is there twice, is harmless or a named stop', async () => {
  const whole = await history();
  const sound = slots();
  let stops = 0;
  for (const [offset, record] of sound.entries()) {
    replace(sound.with(offset, null));
    if (!(await expectHarmless(whole, `offset ${offset} gone`))) stops++;
    replace(sound.toSpliced(offset, 0, record));
    // Offsets name claims, so nothing of this can come from a broker; it must not be believed all the same.
    await expectHarmless(whole.slice(0, 0), `offset ${offset} pushed back`).catch(() => undefined);
    replace([...sound, record]);
    const twice = await found();
    if (typeof twice !== 'string') expect(short(twice)).toEqual(short(whole));
  }
  expect(stops).toBeGreaterThan(4);
});

test('a topic that lost its beginning stops by name', async () => {
  const log = opened();
  await log.claim(HEADER);
  for (let i = 0; i < 4; i++) await log.append(step(i, i + 1));
  replace(slots().map((record, offset) => (offset < 2 ? null : record)));
  expect(await found()).toBe('state_corrupt');
});

test('what a complete snapshot replaced gets its tombstones, leftovers of a crash and of zombies included', async () => {
  await history();
  const log = opened();
  await log.claim(HEADER);
  await log.beginSnapshot();
  await log.append(step(7, 8));
  await log.endSnapshot();
  for (let round = 0; round < 3; round++) compact(broker, () => true);
  // The hash seed, the claim of the snapshot, its commit, its mark.
  expect(
    partition()
      .records()
      .filter(({ value }) => value !== null),
  ).toHaveLength(4);
  expect(await restored()).toEqual(['7→8 7-8']);
});

/** Mostly the last one that claimed goes on; at times somebody who has lost the log tries. */
const turn = fc.record({
  who: fc.constantFrom<'owner' | 0 | 1 | 2>('owner', 'owner', 'owner', 'owner', 0, 1, 2),
  what: fc.constantFrom('append', 'append', 'append', 'claim', 'begin', 'end', 'compact'),
});

test('whatever is lost, repeated or late on the way, and whenever Kafka compacts, what was acknowledged is restored', async () => {
  const scenario = fc.record({
    turns: fc.array(turn, { minLength: 20, maxLength: 120 }),
    troubles: fc.infiniteStream(fc.constantFrom<Trouble>('none', 'none', 'none', 'twice', 'late')),
    removes: fc.infiniteStream(fc.boolean()),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ turns, troubles, removes }) => {
      broker = memoryBroker(1);
      const flaky = (): KafkaStateStore =>
        new KafkaStateStore({ topic: new FlakyTopic(broker, () => troubles.next().value), logger: { info: note, warn: note } });
      const owners = [0, 1, 2].map(() => ({ log: flaky().open(TASK), position: 0 }));
      let last = owners[0];
      const acknowledged: string[] = [];
      const act = async (owner: (typeof owners)[number], what: string): Promise<void> => {
        if (what === 'claim') {
          last = owner;
          owner.position = 0;
          for await (const { to } of (await owner.log.claim(HEADER)).commits()) owner.position = to;
        } else if (what === 'append') {
          const commit = step(owner.position, owner.position + 1);
          await owner.log.append(commit);
          owner.position++;
          acknowledged[commit.from] = `${commit.from}→${commit.to} ${Buffer.from(commit.changes).toString()}`;
        } else if (what === 'begin') await owner.log.beginSnapshot();
        else if (what === 'end') await owner.log.endSnapshot();
        else compact(broker, () => removes.next().value);
      };
      await act(last, 'claim');
      for (const { who, what } of turns) {
        const owner = who === 'owner' ? last : owners[who];
        await act(owner, what).catch(async (error: { code?: string; message: string }) => {
          if (!/without commits/.test(error.message)) expect(error, error.message).toMatchObject({ code: 'claim_lost' });
          // A claim of its own that came late fences an owner, too: it claims again, as the task does.
          if (owner === last && what !== 'end') await act(owner, 'claim');
        });
      }
      const lines = await restored();
      expect(lines).toEqual(acknowledged.slice(acknowledged.length - lines.length));
      expect(lines.length > 0).toBe(acknowledged.length > 0);
    }),
    { numRuns: 200 },
  );
});

const copyFolder = (): string => join(folder, 'kafka', TASK.stage, TASK.topic, String(TASK.partition));
const copies = async (): Promise<string[]> => (await readdir(copyFolder())).sort();

test('a copy spares the topic: only the tail is read', async () => {
  const whole = await history({ folder });
  const reads: number[] = [];
  const topic = new MemoryStateTopic(broker, TOPIC, {
    step: async (label) => void (label.startsWith('read') && reads.push(1)),
    fetchRecords: 1,
  });
  const counting = new KafkaStateStore({ topic, folder, logger: { info: note, warn: note } });
  stores.push(counting);
  const log = counting.open(TASK);
  expect(short(await read(await log.claim(HEADER)))).toEqual(short(whole));
  expect(reads.length).toBeLessThan(8);
  expect(said).toEqual([]);
});

test('a copy that is damaged, cut, of another topic or too old is told about and not used', async () => {
  const whole = short(await history({ folder }));
  const names = await copies();
  for (const name of names) {
    const path = join(copyFolder(), name);
    const bytes = await readFile(path);
    for (const at of [0, 9, 30, bytes.length >> 1, bytes.length - 3]) {
      await writeFile(path, flipped(bytes, at));
      expect(short(await restored({ folder }))).toEqual(whole);
    }
    await truncate(path, 100);
    expect(short(await restored({ folder }))).toEqual(whole);
    await appendFile(path, Buffer.alloc(500));
    expect(short(await restored({ folder }))).toEqual(whole);
    await unlink(path).catch(() => undefined);
    expect(short(await restored({ folder }))).toEqual(whole);
  }
  expect(said.length).toBeGreaterThan(0);
  const log = opened();
  await log.claim(HEADER);
  await log.beginSnapshot();
  await log.append(step(7, 8));
  await log.endSnapshot();
  for (let round = 0; round < 3; round++) compact(broker, () => true);
  expect(await restored({ folder })).toEqual(['7→8 7-8']);
  broker = memoryBroker();
  expect(await restored({ folder })).toEqual([]);
});

test('a copy of another history of the same length, sound in itself, is not believed: its checksums do not lead to the topic’s', async () => {
  const log = opened({ folder });
  await log.claim(HEADER);
  for (let i = 0; i < 3; i++) await log.append(step(i, i + 1, 'a'));
  const codec = new RecordCodec(NAME);
  let before = 0;
  replace(
    slots().map((record, offset) => {
      const read = record?.key && record.value ? codec.read({ key: record.key, value: record.value, offset }) : null;
      if (record === null || read?.kind !== 'chunk') return record;
      const commit = { from: read.from, to: read.to, changes: read.seq === 0 ? Buffer.from('b0-1') : read.bytes };
      const sealed = codec.chunk({ claim: read.claim, seq: read.seq, before }, commit, 0);
      before = chained(before, commit);
      return { ...record, ...sealed };
    }),
  );
  expect(await restored({ folder })).toEqual(['0→1 b0-1', '1→2 a1-2', '2→3 a2-3']);
});

/** As the first version wrote it: chunks that say nothing of what came before. */
function withoutChains(): void {
  const codec = new RecordCodec(NAME);
  replace(
    slots().map((record, offset) => {
      const read = record?.key && record.value ? codec.read({ key: record.key, value: record.value, offset }) : null;
      if (record?.key == null || read?.kind !== 'chunk') return record;
      const key = record.key.with(record.key.length - 5, 1);
      const payload = Buffer.concat([Uint8Array.of(1, read.from, read.to), read.bytes]);
      return { ...record, ...sealed(key, [payload]) };
    }),
  );
}

test('a log that the first version wrote, without chains, is restored and gone on with, from its snapshot as from its beginning', async () => {
  const log = opened();
  await log.claim(HEADER);
  for (let i = 0; i < 3; i++) await log.append(step(i, i + 1));
  await log.beginSnapshot();
  await log.append(step(3, 4));
  await log.append(step(4, 5));
  await log.endSnapshot();
  withoutChains();
  const whole = ['3→4 3-4', '4→5 4-5'];
  expect(await restored({ folder })).toEqual(whole);
  for (let round = 0; round < 2; round++) {
    const next = opened({ folder });
    await next.claim(HEADER);
    await next.append(step(5 + round, 6 + round));
    whole.push(`${5 + round}→${6 + round} ${5 + round}-${6 + round}`);
    expect(await restored()).toEqual(whole);
    expect(await restored({ folder })).toEqual(whole);
    for (let times = 0; times < 3; times++) compact(broker, () => true);
  }
  expect(await restored()).toEqual(whole);
});

test('a commit that does not go on from what lies before it stops by name, though every record is sound', async () => {
  const log = opened();
  await log.claim(HEADER);
  for (let i = 0; i < 3; i++) await log.append(step(i, i + 1));
  const codec = new RecordCodec(NAME);
  replace(
    slots().map((record, offset) => {
      const read = record?.key && record.value ? codec.read({ key: record.key, value: record.value, offset }) : null;
      if (record === null || read?.kind !== 'chunk' || read.seq !== 1) return record;
      const commit = { from: read.from, to: read.to, changes: Buffer.from('another') };
      return { ...record, ...codec.chunk({ claim: read.claim, seq: 1, before: read.before ?? 0 }, commit, 0) };
    }),
  );
  expect(await found()).toBe('state_corrupt');
});

test('a restore from a topic whose replaced records are compacted away warms the folder', async () => {
  await history();
  for (let round = 0; round < 3; round++) compact(broker, () => true);
  const whole = short(await restored({ folder }));
  said = [];
  const reads: number[] = [];
  const topic = new MemoryStateTopic(broker, TOPIC, {
    step: async (label) => void (label.startsWith('read') && reads.push(1)),
    fetchRecords: 1,
  });
  const warm = new KafkaStateStore({ topic, folder, logger: { info: note, warn: note } });
  stores.push(warm);
  expect(short(await read(await warm.open(TASK).claim(HEADER)))).toEqual(whole);
  expect(said).toEqual([]);
  expect(reads.length).toBeLessThan(8);
});

test('a folder that cannot be written is told about once, and restores come from the topic', async () => {
  await writeFile(join(folder, 'kafka'), 'a file');
  expect(short(await history({ folder }))).toHaveLength(5);
  expect(said.length).toBeGreaterThan(0);
});

test('the first hash seed in the topic counts, whatever compaction does, and a given one wins', async () => {
  const seeds = await Promise.all([store(), store(), store()].map((each) => each.hashSeed()));
  for (let round = 0; round < 3; round++) compact(broker, () => true);
  expect(new Set([...seeds, await store().hashSeed()].map((seed) => Buffer.from(seed).toString('hex'))).size).toBe(1);
  const given = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const topic = new MemoryStateTopic(broker, TOPIC);
  expect(await new KafkaStateStore({ topic, hashSeed: given, logger: { info: note, warn: note } }).hashSeed()).toEqual(given);
});

test('a state topic with another number of partitions is refused by name', async () => {
  await store().hashSeed();
  const seed = broker.partition(TOPIC, 0).at(0);
  broker = memoryBroker(5);
  broker.partition(TOPIC, 0).append(seed);
  await expect(opened().claim(HEADER)).rejects.toMatchObject({ code: 'partition_count_changed' });
});

test('how far the topic is read is told, foreign records included, and a claim that is broken off there can be made again', async () => {
  const whole = short(await history());
  const foreign = store().open({ ...TASK, partition: TASK.partition + 1 });
  await foreign.claim(HEADER);
  for (let i = 0; i < 3; i++) await foreign.append(step(i, i + 1));
  const shares: number[] = [];
  let bytes = 0;
  const log = opened({ folder });
  const broken = log.claim(HEADER, (read) => {
    shares.push(read.share);
    bytes = read.bytes;
    if (shares.length === 2) throw new Error('no longer wanted');
  });
  await expect(broken).rejects.toThrow('no longer wanted');
  expect(shares).toHaveLength(2);
  const claim = await log.claim(HEADER, (read) => {
    expect(read.share).toBeGreaterThan(0);
    shares.push(read.share);
    bytes = Math.max(bytes, read.bytes);
  });
  expect(shares.length).toBeGreaterThan(3);
  expect(Math.max(...shares)).toBe(1);
  expect(bytes).toBeGreaterThan(1_000_000);
  expect(short(await read(claim))).toEqual(whole);
});
