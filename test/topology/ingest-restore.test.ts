import { expect, test } from 'vitest';
import { FILE_SCHEMA, type TimeSettings } from '../../src/config.ts';
import { windowEndMs } from '../../src/operators/window.ts';
import { ByteWriter } from '../../src/state/bytes.ts';
import { TO_COMMIT } from '../../src/state/cells.ts';
import { PRESENT } from '../../src/state/fingerprints.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { KeyBlock } from '../../src/state/key-block.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { IngestState } from '../../src/topology/ingest-state.ts';
import type { Commit } from '../../src/topology/types.ts';

/** Its bytes are written over by the next commit. */
const kept = (commit: Commit): Commit => ({ ...commit, changes: commit.changes.slice() });

type Key = [hi: number, lo: number, ts: number];
const keys = new KeyBlock();
const entered = (enter: (keys: KeyBlock) => void, ...key: Key): boolean => {
  keys.clear();
  keys.push(...key);
  enter(keys);
  return keys.outcomes[0] === PRESENT;
};
const seenBefore = (state: IngestState, ...key: Key): boolean => entered((one) => state.enterIds(one), ...key);
const suspectedBefore = (state: IngestState, ...key: Key): boolean => entered((one) => state.enterSuspects(one), ...key);

const HOUR_MS = 3_600_000;

const fresh = (): IngestState => {
  const { time, limits } = FILE_SCHEMA.parse({});
  const state = new IngestState({ time, limits, hash: new SeededHash(new Uint8Array(8)), budget: new MemoryBudget(), reasons: 0 });
  state.begin(0);
  return state;
};

/** Keys that follow each other, as many in a run of the journal as make a block. */
const enterRuns = (state: IngestState, count: number, ts: number): void => {
  for (let from = 0; from < count; from += 32) {
    keys.clear();
    for (let i = from; i < from + 32; i++) keys.push(Math.imul(i, 0x9e37_79b1) >>> 0, i, ts);
    state.enterIds(keys);
  }
};

test('a commit of a hundred thousand keys is applied in steps, and the state is whole and in place after the last', () => {
  const before = fresh();
  const keys = 100_000;
  enterRuns(before, keys, 500_000 * HOUR_MS);
  before.position = keys;
  const commit = before.takeCommit();
  const after = fresh();
  let steps = 0;
  for (const _ of after.restore(commit)) {
    steps++;
    expect(after.dedup.size).toBe(steps * 32_768);
    expect(after.position).toBe(0);
  }
  expect(steps).toBe(3);
  expect(after.dedup.size).toBe(keys);
  expect(after.position).toBe(keys);
});

test('an id that comes again right after its bucket has gone is known to an owner that restores, as to one that went on', () => {
  const before = fresh();
  const startMs = 500_000 * HOUR_MS;
  const judge = (id: number, ts: number): boolean => {
    const seen = seenBefore(before, id, id, ts);
    before.observe(ts);
    before.position++;
    return seen;
  };
  judge(7, startMs);
  const commits = [before.takeCommit()];
  // The watermark passes the end of its bucket + 24 h at 30 s past the hour, in the middle of a minute.
  judge(1, startMs + 25 * HOUR_MS + 10_000);
  judge(2, startMs + 25 * HOUR_MS + 31_000);
  expect(judge(7, startMs + 25 * HOUR_MS + 32_000)).toBe(false);
  commits.push(before.takeCommit());
  const after = fresh();
  for (const commit of commits) for (const _ of after.restore(commit));
  after.observe(startMs + 49 * HOUR_MS);
  for (const state of [before, after]) expect(seenBefore(state, 7, 7, startMs + 49 * HOUR_MS)).toBe(true);
});

test('a snapshot of many cells is written in slices, and is whole', () => {
  const before = fresh();
  const cells = 200_000;
  const times = 100;
  for (let i = 0; i < cells; i++) {
    const id = Buffer.from(`c${i % (cells / times)}`);
    const group = before.groups.intern({ bytes: id, start: 0, end: id.length });
    before.cells.spend.add(before.cells.spend.at(group, 0, Math.floor((i * times) / cells)), 0, i);
  }
  before.position = 1;
  before.takeCommit();
  before.beginSnapshot();
  const slices: Commit[] = [];
  for (let done = false; !done; slices.push(kept(before.takeCommit()))) {
    done = before.snapshotSlice(30_000);
    expect(before.cells.spend.changed(TO_COMMIT)).toBeLessThanOrEqual(30_000);
  }
  expect(slices).toHaveLength(7);
  const after = fresh();
  for (const commit of slices) for (const _ of after.restore(commit));
  expect(after.cells.spend.size).toBe(cells);
  for (let i = 0; i < cells; i += 997) expect(after.cells.spend.get(i, 0)).toBe(before.cells.spend.get(i, 0));
  expect(after.groups.size).toBe(before.groups.size);
});

test('a snapshot, which has its keys in order of the hash, finds room for all, units too: none waits outside the table, no run is searched for long, and memory stays small', () => {
  const keys = 1_500_000;
  const ts = 500_000 * HOUR_MS;
  const scattered = (i: number): number => Math.imul(Math.imul(i + 1, 0x9e37_79b1) ^ (i >>> 7), 0x85eb_ca6b);
  const before = fresh();
  for (let i = 0; i < keys; i++) seenBefore(before, scattered(i), i, ts);
  for (let i = 0; i < 3000; i++) suspectedBefore(before, scattered(i), i, ts);
  for (const [experiment, units] of [30_000, 320_000].entries())
    for (let i = 0; i < units; i++) before.units.set(experiment, scattered(i), scattered(i + 7), i & 0xff);
  before.position = keys;
  before.takeCommit();
  before.beginSnapshot();
  const commits: Commit[] = [];
  for (let done = false; !done; ) {
    done = before.snapshotSlice(400_000);
    before.position++;
    commits.push(kept(before.takeCommit()));
  }
  const after = fresh();
  let mostBytes = 0;
  for (const commit of commits) for (const _ of after.restore(commit)) mostBytes = Math.max(mostBytes, after.dedup.byteLength);
  expect(after.dedup.size).toBe(keys);
  expect(after.suspects.size).toBe(3000);
  expect(after.units.size).toBe(before.units.size);
  for (let i = 0; i < 320_000; i += 997) expect(after.units.get(1, scattered(i), scattered(i + 7))).toBe(i & 0xff);
  expect(mostBytes / keys).toBeLessThan(12);
  for (let i = 0; i < keys; i += 1009) if (!seenBefore(after, scattered(i), i, ts)) expect.fail(`key ${i} is new`);
});

/** Of an older state: suspects by minutes, one in a run, one by itself, and then what a commit without counts says. */
const OLDER = '0d8087a70e01' + '0700000008000000' + '020900000009000000' + '8087a70e';

test('suspects of older states, and of slices of another width, are known as long as they were', () => {
  const minute = 30_000_000;
  const startMs = minute * 60_000;
  const before = fresh();
  const { time, limits } = FILE_SCHEMA.parse({ time: { allowedLatenessMs: 3_600_000 } });
  const options = { limits, hash: new SeededHash(new Uint8Array(8)), budget: new MemoryBudget(), reasons: 0 };
  const wide = new IngestState({ time, ...options });
  wide.begin(0);
  // Of the first slice of the minute.
  for (const key of [1, 2]) suspectedBefore(wide, key, key, startMs + 1000 * key);
  expect(wide.suspects.sliceMs).not.toBe(before.suspects.sliceMs);
  wide.observe(startMs + 7000);
  const commit = kept(wide.takeCommit());
  const older = Buffer.from(OLDER, 'hex');
  for (const _ of before.restore({ ...commit, changes: Buffer.concat([older, commit.changes]) }));
  expect(before.suspects.size).toBe(4);
  const snapshot = (): IngestState => {
    before.beginSnapshot();
    while (!before.snapshotSlice(100));
    const after = fresh();
    for (const _ of after.restore(before.takeCommit()));
    return after;
  };
  for (const state of [snapshot(), before]) {
    expect(suspectedBefore(state, 7, 8, startMs)).toBe(true);
    expect(suspectedBefore(state, 9, 9, startMs + 59_000)).toBe(true);
    expect(suspectedBefore(state, 2, 2, startMs + 2000)).toBe(true);
    expect(suspectedBefore(state, 7, 7, startMs)).toBe(false);
    state.observe(startMs + 60_000 + time.maxOutOfOrdernessMs + 900_000 - 1);
    expect(suspectedBefore(state, 1, 1, startMs + 1000)).toBe(true);
    state.observe(startMs + 120_000 + time.maxOutOfOrdernessMs + 900_000);
    expect(suspectedBefore(state, 9, 9, startMs + 120_000)).toBe(false);
    expect(state.suspects.size).toBeLessThan(8);
  }
});

const timeOf = (allowedLatenessMs: number): TimeSettings => FILE_SCHEMA.parse({ time: { allowedLatenessMs } }).time;

/** A state under these settings, restored from commits. */
function stateUnder(time: TimeSettings, commits: readonly Commit[] = []): IngestState {
  const { limits } = FILE_SCHEMA.parse({});
  const state = new IngestState({ time, limits, hash: new SeededHash(new Uint8Array(8)), budget: new MemoryBudget(), reasons: 0 });
  if (commits.length === 0) state.begin(0);
  for (const commit of commits) for (const _ of state.restore(commit));
  return state;
}

function snapshotOf(state: IngestState): Commit[] {
  state.beginSnapshot();
  const commits: Commit[] = [];
  for (let done = false; !done; commits.push(kept(state.takeCommit()))) done = state.snapshotSlice(50_000);
  return commits;
}

const QUARTER_MS = 900_000;

test.each([
  [QUARTER_MS, 4 * QUARTER_MS],
  [4 * QUARTER_MS, QUARTER_MS],
])('suspects are known, and go in time, though lateness of %i ms becomes %i and again what it was', (first, second) => {
  const startMs = 500_000 * HOUR_MS;
  const before = stateUnder(timeOf(first));
  for (let key = 0; key < 100; key++) suspectedBefore(before, key, key, startMs + 500 * key);
  before.observe(startMs + 50_000);
  const between = stateUnder(timeOf(second), snapshotOf(before));
  const after = stateUnder(timeOf(first), snapshotOf(between));
  for (const state of [between, after]) {
    for (let key = 0; key < 100; key++) expect(suspectedBefore(state, key, key, startMs + 500 * key)).toBe(true);
    state.observe(startMs + 4 * HOUR_MS);
    expect([state.suspects.size, state.suspects.byteLength]).toEqual([0, 0]);
  }
});

test('an older state under other settings keeps no suspect for ever', () => {
  const minute = 30_000_000;
  // As many suspects of a bucket that was half an hour then, which is thirty years from now by minutes.
  const highest = (minute * 60_000) / 30;
  const older = Buffer.from('0d8087a70e0107000000080000000', 'hex');
  const state = stateUnder(timeOf(QUARTER_MS));
  state.observe(highest);
  const begun = kept(state.takeCommit());
  const next = kept(state.takeCommit());
  const restored = stateUnder(timeOf(QUARTER_MS), [begun, { ...next, changes: Buffer.concat([older, next.changes]) }]);
  expect(suspectedBefore(restored, 7, 8, highest)).toBe(true);
  restored.observe(highest + 2 * HOUR_MS);
  expect(restored.suspects.size).toBe(0);
});

test('a snapshot of many suspects without slices finds room for all, and their room is given back', () => {
  const many = 400_000;
  const startMs = 500_000 * HOUR_MS;
  const wide = stateUnder(timeOf(4 * QUARTER_MS));
  const block = new KeyBlock();
  for (let from = 0; from < many; from += 64) {
    block.clear();
    for (let i = from; i < from + 64; i++)
      block.push(Math.imul(i + 1, 0x9e37_79b1) >>> 0, Math.imul(i, 0x85eb_ca6b) >>> 0, startMs + (from >> 3));
    wide.enterSuspects(block);
  }
  wide.observe(startMs + 60_000);
  const narrow = stateUnder(timeOf(QUARTER_MS), snapshotOf(wide));
  const budget = new MemoryBudget();
  const { limits } = FILE_SCHEMA.parse({});
  const after = new IngestState({ time: timeOf(QUARTER_MS), limits, hash: new SeededHash(new Uint8Array(8)), budget, reasons: 0 });
  for (const commit of snapshotOf(narrow)) for (const _ of after.restore(commit)) expect(after.suspects.byteLength).toBeLessThan(13 * many);
  expect(after.suspects.size).toBe(many);
  after.dispose();
  expect(budget.usedBytes).toBe(0);
});

test.each([1500, 60_000])('a suspect of an older state is known until its window of %i ms takes no more', (windowMs) => {
  const { time } = FILE_SCHEMA.parse({ time: { windowMs } });
  const { bucketMs } = stateUnder(time).suspects;
  const bucket = Math.ceil((500_000 * HOUR_MS) / bucketMs);
  // The last moment of the bucket.
  const ts = (bucket + 1) * bucketMs - 1;
  const out = new ByteWriter();
  out.u8(2);
  for (const word of [7, 8]) out.u32(word);
  out.varint(bucket);
  const state = stateUnder(time);
  state.observe(ts);
  const begun = kept(state.takeCommit());
  const next = kept(state.takeCommit());
  const restored = stateUnder(time, [begun, { ...next, changes: Buffer.concat([out.take(), next.changes]) }]);
  restored.observe(windowEndMs(ts, windowMs) + time.allowedLatenessMs + time.maxOutOfOrdernessMs - 1);
  expect(suspectedBefore(restored, 7, 8, ts)).toBe(true);
});

test('a snapshot in many steps tells suspects of slices, and then those of none', () => {
  const startMs = 500_000 * HOUR_MS;
  const wide = stateUnder(timeOf(4 * QUARTER_MS));
  for (let key = 0; key < 300; key++) suspectedBefore(wide, key, key, startMs + 100 * key);
  wide.observe(startMs + 50_000);
  const both = stateUnder(timeOf(QUARTER_MS), snapshotOf(wide));
  // Of tables that take longer than that of the others.
  for (let key = 300; key < 600; key++) suspectedBefore(both, key, key, startMs + 1000 * (key - 300));
  both.takeCommit();
  both.beginSnapshot();
  const commits: Commit[] = [];
  for (let done = false; !done; commits.push(kept(both.takeCommit()))) done = both.snapshotSlice(200);
  expect(commits.length).toBeGreaterThan(10);
  const after = stateUnder(timeOf(QUARTER_MS), commits);
  for (let key = 0; key < 600; key++)
    expect(suspectedBefore(after, key, key, startMs + (key < 300 ? 100 * key : 1000 * (key - 300)))).toBe(true);
});
