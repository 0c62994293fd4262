import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StreamError } from '../../src/errors.ts';
import { Random } from '../../src/generate/random.ts';
import { ADDED, PRESENT } from '../../src/state/add-outcome.ts';
import type { SlotsOptions } from '../../src/state/growing-slots.ts';
import { KEYS_OF_BLOCK, KeyBlock } from '../../src/state/key-block.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { SlicedKeys, SliceWalk } from '../../src/state/sliced-keys.ts';

const SECOND = 1000;
const TTL = 600 * SECOND;
const START = 1_800_000_000 * SECOND;

type Key = [hi: number, lo: number, ts: number];

const storeOf = (options: SlotsOptions = {}, budget = new MemoryBudget()): SlicedKeys =>
  new SlicedKeys({ sliceMs: SECOND, ttlMs: TTL, budget }, options);

/** Zeros are kept as one. */
const nameOf = (hi: number, lo: number): string => `${hi === 0 && lo === 0 ? 1 : hi}/${lo}`;

/** Enters keys, and returns what came of each. */
function enter(store: SlicedKeys, keys: Key[]): number[] {
  const outcomes: number[] = [];
  const block = new KeyBlock();
  for (let from = 0; from < keys.length; from += KEYS_OF_BLOCK) {
    block.clear();
    for (const key of keys.slice(from, from + KEYS_OF_BLOCK)) block.push(...key);
    store.addBlock(block);
    const came = [...block.outcomes.subarray(0, block.size)];
    outcomes.push(...came);
    const added = new Uint32Array(block.addedBytes.slice(0, 8 * block.added).buffer);
    const expected = came.flatMap((outcome, i) => (outcome === ADDED ? [nameOf(block.his[i], block.los[i])] : []));
    expect(expected.map((_, i) => nameOf(added[2 * i], added[2 * i + 1]))).toEqual(expected);
  }
  return outcomes;
}

function walked(store: SlicedKeys, slots = Number.POSITIVE_INFINITY, between: () => void = () => undefined): string[] {
  const found: string[] = [];
  const place = new SliceWalk();
  while (
    !store.walk(place, slots, (slice, words, keys) => {
      for (let i = 0; i < keys; i++) found.push(`${words[2 * i] >>> 0}/${words[2 * i + 1] >>> 0}@${slice}`);
    })
  )
    between();
  return found;
}

/** Many of `count` keys of a slice, scattered or (in their lower words) crowded in a few lines. */
function keysOf(seed: number, count: number, ts: number, isCrowded = false): Key[] {
  const random = new Random(seed, 0);
  return Array.from({ length: count }, () => [random.bits() >>> 0, isCrowded ? (random.bits() & 3) << 24 : random.bits() >>> 0, ts]);
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('few' as const),
      keys: fc.array(fc.tuple(fc.nat(2), fc.nat(2), fc.nat(700)), { maxLength: 70 }),
      /** Up to 64 slices of a block are told by their distance. */
      seconds: fc.constantFrom(3, 64, 65, 701),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('many' as const),
      seed: fc.nat(3),
      count: fc.nat(3000),
      second: fc.nat(700),
      isCrowded: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('advance' as const), seconds: fc.oneof(fc.nat(5), fc.nat(100), fc.nat(2000)) }) },
);

test.each([
  // More than what lies in a plain array, and is left to TypeScript.
  { by: 'compiled code', options: {}, first: 54_000, numRuns: 8 },
  { by: 'TypeScript', options: { compiles: false }, first: 0, numRuns: 25 },
  { by: 'TypeScript, in a memory that is moved when it grows', options: { narrowPages: 1 }, first: 54_000, numRuns: 4 },
])('by $by, it answers as a map does, whatever is added and expires, and a walk tells all that lives', ({ options, first, numRuns }) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const store = storeOf(options);
      const model = new Map<string, number>();
      let watermark = START;
      const add = (keys: Key[]): void => {
        const live = keys.filter(([, , ts]) => ts + SECOND + TTL > watermark);
        const expected = live.map(([hi, lo, ts]) => {
          const name = `${nameOf(hi, lo)}@${Math.floor(ts / SECOND)}`;
          if (model.has(name)) return PRESENT;
          model.set(name, ts);
          return ADDED;
        });
        expect(enter(store, live)).toEqual(expected);
      };
      add(keysOf(77, first, START + 650 * SECOND));
      for (const one of steps) {
        if (one.op === 'few') add(one.keys.map(([hi, lo, second]) => [hi, lo, watermark + ((second % one.seconds) - 600) * SECOND + 7]));
        if (one.op === 'many') add(keysOf(one.seed, one.count, watermark + (one.second - 600) * SECOND, one.isCrowded));
        if (one.op === 'advance') {
          watermark += one.seconds * SECOND;
          store.advance(watermark);
          for (const [name, ts] of model) if ((Math.floor(ts / SECOND) + 1) * SECOND + TTL <= watermark) model.delete(name);
        }
        expect(store.size).toBe(model.size);
      }
      expect(walked(store).sort()).toEqual([...model.keys()].sort());
    }),
    { numRuns },
  );
});

test.each([
  { by: 'compiled code', first: 60_000 },
  { by: 'TypeScript', first: 0 },
])('by $by, a block of keys of two slices is answered, however far these are from each other', ({ first }) => {
  const store = storeOf();
  enter(store, keysOf(1, first, START - SECOND));
  for (const apart of [1, 62, 63, 64, 65, 127, 128, 255, 256, 257, 500]) {
    const [early, late] = [START + 2 * apart * SECOND, START + 3 * apart * SECOND];
    const keys = keysOf(apart, 64, early).map(([hi, lo, ts], i): Key => [hi, lo, i % 3 === 0 ? ts : late]);
    expect(enter(store, keys).every((outcome) => outcome === ADDED)).toBe(true);
    expect(enter(store, [...keys.slice(1), [7, 7, early]])).toEqual([...keys.slice(1).map(() => PRESENT), ADDED]);
    const told = new Set(walked(store));
    for (const [hi, lo, ts] of keys) expect(told.has(`${hi}/${lo}@${ts / SECOND}`)).toBe(true);
  }
  enter(store, [[1, 2, START + 5000 * SECOND]]);
  store.advance(START + 5000 * SECOND);
  expect(store.size).toBe(1);
});

test('traffic is answered by compiled code as it comes, and takes no more memory after an hour than after a quarter', () => {
  const budget = new MemoryBudget();
  const store = storeOf({}, budget);
  /** Of a second, up to five seconds late. */
  const traffic = (second: number): Key[] =>
    keysOf(second, 300 + (second % 7) * 20, START + second * SECOND).map(([hi, lo, ts], i) => [hi, lo, ts - (i % 6) * SECOND]);
  const peaks = [0, 0, 0, 0];
  for (let second = 0; second < 3600; second++) {
    if (second >= 6) expect(enter(store, traffic(second - 6)).every((outcome) => outcome === PRESENT)).toBe(true);
    expect(enter(store, traffic(second)).every((outcome) => outcome === ADDED)).toBe(true);
    store.advance(START + second * SECOND);
    peaks[Math.floor(second / 900)] = Math.max(peaks[Math.floor(second / 900)], budget.usedBytes);
  }
  expect(store.byteLength).toBe(budget.usedBytes);
  expect(peaks[3]).toBeLessThan(1.15 * peaks[0]);
  store.advance(START + 10_000 * SECOND);
  expect([store.size, budget.usedBytes]).toEqual([0, 0]);
});

test('a walk tells all that was there and nothing else, though tables are made anew, expire and are gathered meanwhile', () => {
  const store = storeOf();
  const before: Key[] = Array.from({ length: 40 }, (_, second) => keysOf(second, 3000, START + second * 20 * SECOND)).flat();
  const entered = new Set<string>();
  const enterAll = (keys: Key[]): void => {
    enter(store, keys);
    for (const [hi, lo, ts] of keys) entered.add(`${hi}/${lo}@${ts / SECOND}`);
  };
  enterAll(before);
  let step = 0;
  const found = new Set(
    walked(store, 700, () => {
      step++;
      if (step === 20) store.advance(START + TTL + 300 * SECOND);
      if (step < 80) enterAll(keysOf(1000 + step, 2000, START + (step < 20 ? (step % 40) * 20 : 1000 + step) * SECOND));
    }),
  );
  const isLeft = ([, , ts]: Key): boolean => ts + SECOND > START + 300 * SECOND;
  for (const [hi, lo, ts] of before.filter(isLeft))
    if (!found.has(`${hi}/${lo}@${ts / SECOND}`)) expect.fail(`${hi}/${lo} of ${ts} was not told`);
  for (const key of found) if (!entered.has(key)) expect.fail(`${key} was told`);
});

test('a key that was ahead of a walk, and lies behind it once its table is larger, is told', () => {
  const store = storeOf();
  // Of 16 lines, number 4 is full of keys that go to line 20 of 32; those after them go back from line 5 to line 4.
  const ofLine = (line: number, count: number, from: number): Key[] => Array.from({ length: count }, (_, i) => [from + i, line, START]);
  enter(store, [...ofLine(20, 8, 0), ...ofLine(4, 8, 100)]);
  let steps = 0;
  const found = walked(store, 5 * 8, () => {
    if (++steps === 1)
      enter(
        store,
        Array.from({ length: 100 }, (_, i): Key => [200 + i, 8 + (i % 8), START]),
      );
  });
  for (let i = 0; i < 8; i++) expect(found).toContain(`${100 + i}/4@${START / SECOND}`);
});

test.each([
  { by: 'compiled code', options: {}, count: 500_000 },
  { by: 'TypeScript', options: { compiles: false }, count: 300_000 },
])('by $by, more keys of one second than a table takes are divided, and told by a walk that was there', ({ options, count }) => {
  const budget = new MemoryBudget();
  const store = storeOf(options, budget);
  const keys = keysOf(7, count, START);
  const early = keys.slice(0, 100_000);
  expect(enter(store, early).every((outcome) => outcome === ADDED)).toBe(true);
  let rest: Key[] | null = [...early.slice(0, 100), ...keys.slice(early.length)];
  const found = new Set(
    walked(store, 20_000, () => {
      if (rest !== null) expect(enter(store, rest).map((outcome) => outcome === ADDED)).toEqual(rest.map((_, i) => i >= 100));
      rest = null;
    }),
  );
  for (const [hi, lo] of early) if (!found.has(`${hi}/${lo}@${START / SECOND}`)) expect.fail(`${hi}/${lo} was not told`);
  expect(store.size).toBe(count);
  expect(enter(store, keys).every((outcome) => outcome === PRESENT)).toBe(true);
  expect(new Set(walked(store)).size).toBe(count);
  // In one block with keys of other slices.
  const mixed = keys.slice(0, 96).flatMap(([hi, lo, ts]): Key[] => [
    [hi, lo, ts],
    [hi, lo, ts + SECOND],
    [hi, lo, ts],
  ]);
  expect(enter(store, mixed)).toEqual(mixed.map(([, , ts]) => (ts === START ? PRESENT : ADDED)));
  expect(enter(store, mixed).every((outcome) => outcome === PRESENT)).toBe(true);
  expect([store.size, new Set(walked(store)).size]).toEqual([count + 96, count + 96]);
  store.advance(START + TTL + SECOND);
  expect(store.size).toBe(96);
  enter(store, [[1, 2, START + 100 * SECOND]]);
  store.advance(START + TTL + 2 * SECOND);
  expect(store.size).toBe(1);
  expect(budget.usedBytes).toBeLessThan(100_000);
});

test('a divided slice that stays while much else goes is moved with all its parts, a walk in the middle or not', () => {
  const budget = new MemoryBudget();
  const store = storeOf({}, budget);
  const block = new KeyBlock();
  const fill = (keys: Key[]): number => {
    let added = 0;
    for (let from = 0; from < keys.length; from += KEYS_OF_BLOCK) {
      block.clear();
      for (const key of keys.slice(from, from + KEYS_OF_BLOCK)) block.push(...key);
      store.addBlock(block);
      added += block.added;
    }
    return added;
  };
  const stays = [...keysOf(2, 150_000, START + 5 * SECOND), ...keysOf(3, 400, START + 6 * SECOND)];
  fill(keysOf(1, 2_500_000, START));
  fill(stays);
  const full = budget.usedBytes;
  const found = new Set<string>();
  const place = new SliceWalk();
  const walk = (): boolean =>
    store.walk(place, 40_000, (slice, words, keys) => {
      for (let i = 0; i < keys; i++) if (slice > START / SECOND) found.add(`${words[2 * i] >>> 0}/${words[2 * i + 1] >>> 0}`);
    });
  walk();
  walk();
  store.advance(START + TTL + SECOND);
  expect(budget.usedBytes).toBeLessThan(full / 5);
  while (!walk());
  for (const [hi, lo] of stays) if (!found.has(`${hi}/${lo}`)) expect.fail(`${hi}/${lo} was not told`);
  expect([fill(stays), store.size]).toEqual([0, stays.length]);
});

test.each([{}, { compiles: false }])('keys that chance never gives, all of one part, are not divided (%o)', (options) => {
  const store = storeOf(options);
  const keys = keysOf(7, 150_000, START).map(([hi, lo, ts]): Key => [hi & 0xffff, lo, ts]);
  expect(enter(store, keys).every((outcome) => outcome === ADDED)).toBe(true);
  expect(enter(store, keys).every((outcome) => outcome === PRESENT)).toBe(true);
});

test('memory of which little is used any more is given back, and what is in it stays', () => {
  const budget = new MemoryBudget();
  const store = storeOf({}, budget);
  enter(store, keysOf(1, 600_000, START));
  const many = budget.usedBytes;
  // Small tables before large ones.
  const kept = [50, 200, 20_000, 90, 3000].flatMap((count, i) => keysOf(2 + i, count, START + (100 + i) * SECOND));
  enter(store, kept);
  expect(walked(store).length).toBe(600_000 + kept.length);
  store.advance(START + TTL + SECOND);
  expect(budget.usedBytes).toBeLessThan(many / 20);
  expect(store.byteLength).toBe(budget.usedBytes);
  expect(enter(store, kept).every((outcome) => outcome === PRESENT)).toBe(true);
  enter(store, keysOf(9, 300_000, START + 101 * SECOND));
  expect(enter(store, kept).every((outcome) => outcome === PRESENT)).toBe(true);
  expect(store.size).toBe(300_000 + kept.length);
});

test('where memory is full it says so, nothing of the block is entered, and what was there stays', () => {
  for (const options of [{}, { compiles: false }]) {
    const store = storeOf(options, new MemoryBudget(2_000_000));
    const keys = keysOf(5, 500_000, START);
    const block = new KeyBlock();
    let entered = 0;
    const enterNext = (): void => {
      block.clear();
      for (const key of keys.slice(entered, entered + KEYS_OF_BLOCK)) block.push(...key);
      store.addBlock(block);
      entered += KEYS_OF_BLOCK;
    };
    expect(() => {
      for (;;) enterNext();
    }).toThrow(expect.objectContaining({ code: 'state_memory_full' }));
    expect(() => enterNext()).toThrow(StreamError);
    expect(entered).toBeGreaterThan(50_000);
    expect(store.size).toBe(entered);
    expect(new Set(walked(store)).size).toBe(entered);
    store.advance(START + TTL + SECOND);
    enterNext();
    expect(store.size).toBe(KEYS_OF_BLOCK);
  }
});

test('a key of a slice that is gone is there until the watermark moves on, and leaves nothing behind', () => {
  const store = storeOf();
  const gone: Key = [1, 2, START - 50 * SECOND];
  const others = keysOf(1, 40, START + 20 * SECOND);
  enter(store, [gone, ...others]);
  store.advance(START + TTL);
  expect(store.size).toBe(40);
  enter(store, keysOf(2, 40, START + 20 * SECOND));
  expect(enter(store, [gone, gone, [1, 2, START + SECOND]])).toEqual([ADDED, PRESENT, ADDED]);
  store.advance(START + TTL + 1);
  store.advance(START + TTL + SECOND);
  expect(enter(store, others).every((outcome) => outcome === PRESENT)).toBe(true);
  expect(store.size).toBe(81);
});
