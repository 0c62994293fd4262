import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StreamError } from '../../src/errors.ts';
import { ADDED, BUCKET_GONE, FingerprintStore, MemoryBudget, PRESENT, TableWalk } from '../../src/state/fingerprints.ts';
import { KeyBlock } from '../../src/state/key-block.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const daily = (): FingerprintStore => new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY });

/** What a store must answer, kept the slow way. */
class Model {
  readonly keys = new Map<string, number>();
  watermarkMs = Number.NEGATIVE_INFINITY;
  readonly #bucketMs: number;
  readonly #ttlMs: number;

  constructor(bucketMs: number, ttlMs: number) {
    this.#bucketMs = bucketMs;
    this.#ttlMs = ttlMs;
  }

  live(bucket: number): boolean {
    return (bucket + 1) * this.#bucketMs + this.#ttlMs > this.watermarkMs;
  }

  addIfAbsent(key: string, ts: number): number {
    if (this.keys.has(key)) return PRESENT;
    const bucket = Math.floor(ts / this.#bucketMs);
    if (!this.live(bucket)) return BUCKET_GONE;
    this.keys.set(key, bucket);
    return ADDED;
  }

  advance(watermarkMs: number): void {
    this.watermarkMs = Math.max(this.watermarkMs, watermarkMs);
    for (const [key, bucket] of this.keys) if (!this.live(bucket)) this.keys.delete(key);
  }
}

const contents = (store: FingerprintStore): [string, number][] => {
  const found: [string, number][] = [];
  store.forEach((hi, lo, bucket) => {
    found.push([`${hi}/${lo}`, bucket]);
  });
  return found.sort();
};

/** Few keys that share segments and slots, so that everything collides. */
const keyPart = fc.oneof(fc.nat(3), fc.constantFrom(0xffff_ffff, 0x8000_0000, 0x0400_0001, 0x7fff_ffff));
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ op: fc.constant('add' as const), hi: keyPart, lo: keyPart, shift: fc.integer({ min: -30, max: 5 }) }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('many' as const), from: fc.nat(2000), shift: fc.integer({ min: -26, max: 0 }) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('advance' as const), hours: fc.oneof(fc.nat(3), fc.nat(30), fc.nat(300)) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('ahead' as const), lo: fc.nat(5), hours: fc.nat(2000) }) },
);

test('whatever is added, expires and comes again, it answers as a plain map does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.boolean(), (steps, watermarkFirst) => {
      const store = daily();
      const model = new Model(HOUR, DAY);
      let nowMs = 1000 * DAY;
      const add = (hi: number, lo: number, ts: number): void => {
        const key = `${hi}/${lo}`;
        expect(store.has(hi, lo)).toBe(model.keys.has(key));
        expect(store.bucketLive(ts)).toBe(model.live(Math.floor(ts / HOUR)));
        expect(store.addIfAbsent(hi, lo, ts)).toBe(model.addIfAbsent(key, ts));
      };
      const advance = (hours: number): void => {
        nowMs += hours * HOUR;
        store.advance(nowMs);
        model.advance(nowMs);
      };
      if (watermarkFirst) advance(0);
      for (const one of steps) {
        if (one.op === 'add') add(one.hi, one.lo, nowMs + one.shift * HOUR);
        else if (one.op === 'many') for (let i = 0; i < 300; i++) add((i * 0x0400_0003) >>> 0, one.from + i, nowMs + one.shift * HOUR);
        else if (one.op === 'advance') advance(one.hours);
        else add(7, one.lo, nowMs + one.hours * HOUR);
        expect(store.size).toBe(model.keys.size);
      }
      expect(contents(store)).toEqual([...model.keys].sort());
    }),
    { numRuns: 300 },
  );
});

test('an hour at a time for ten weeks, each tag comes round many times and no key comes back', () => {
  const store = daily();
  for (let hour = 0; hour < 24 * 70; hour++) {
    const ts = 1000 * DAY + hour * HOUR;
    for (let i = 0; i < 40; i++) store.addIfAbsent((hour * 0x9e37_79b1 + i * 0x0400_0000) >>> 0, hour, ts);
    store.advance(ts);
    const goneHour = hour - 25;
    if (goneHour >= 0) expect(store.has((goneHour * 0x9e37_79b1) >>> 0, goneHour)).toBe(false);
    const keptHour = hour - 24;
    if (keptHour >= 0) expect(store.has((keptHour * 0x9e37_79b1) >>> 0, keptHour)).toBe(true);
  }
  expect(store.size).toBe(25 * 40);
});

test('a bucket is live until its end and the TTL are behind the watermark, to the millisecond', () => {
  const store = daily();
  const ts = 1000 * DAY;
  store.addIfAbsent(1, 2, ts);
  store.advance(ts + HOUR + DAY - 1);
  expect(store.has(1, 2)).toBe(true);
  expect(store.bucketLive(ts)).toBe(true);
  store.advance(ts + HOUR + DAY);
  expect(store.has(1, 2)).toBe(false);
  expect(store.bucketLive(ts)).toBe(false);
  expect(store.addIfAbsent(1, 2, ts)).toBe(BUCKET_GONE);
  expect(store.size).toBe(0);
});

test('a watermark that jumps past every bucket leaves an empty table, which takes no memory', () => {
  const store = daily();
  for (let i = 0; i < 200_000; i++) store.addIfAbsent(Math.imul(i, 0x9e37_79b1) >>> 0, Math.imul(i, 0x85eb_ca6b) >>> 0, 1000 * DAY);
  expect(store.byteLength).toBeGreaterThan(8 * 200_000);
  store.advance(2000 * DAY);
  expect(store.size).toBe(0);
  expect(store.byteLength).toBe(0);
});

test('when traffic falls, the sweep gives memory back', () => {
  const store = daily();
  for (let i = 0; i < 200_000; i++) store.addIfAbsent(Math.imul(i, 0x9e37_79b1) >>> 0, Math.imul(i, 0x85eb_ca6b) >>> 0, 1000 * DAY);
  for (let hour = 1; hour < 40; hour++) {
    store.addIfAbsent(hour, hour, 1000 * DAY + hour * HOUR);
    for (let minute = 0; minute < 60; minute++) store.advance(1000 * DAY + hour * HOUR + minute * 60_000);
  }
  expect(store.size).toBe(25);
  expect(store.byteLength).toBeLessThan(100_000);
});

test('a full budget stops by name, with everything still there', () => {
  const budget = new MemoryBudget(300_000);
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY, budget });
  const key = (i: number): [number, number] => [Math.imul(i, 0x9e37_79b1) >>> 0, Math.imul(i, 0x85eb_ca6b) >>> 0];
  let entered = 0;
  const fill = (): void => {
    for (; entered < 100_000; entered++) store.addIfAbsent(...key(entered), 1000 * DAY);
  };
  expect(fill).toThrow(StreamError);
  expect(fill).toThrow(expect.objectContaining({ code: 'state_memory_full', message: expect.stringContaining('STATE_MEMORY_BYTES') }));
  expect(entered).toBeGreaterThan(20_000);
  expect(store.size).toBe(entered);
  for (let i = 0; i < entered; i++) expect(store.has(...key(i))).toBe(true);
  expect(budget.usedBytes).toBe(store.byteLength);
  store.clear();
  expect(store.size).toBe(0);
  expect(budget.usedBytes).toBe(store.byteLength);
});

test('more buckets than tags are refused at once', () => {
  expect(() => new FingerprintStore({ bucketMs: HOUR, ttlMs: 61 * HOUR })).toThrow(RangeError);
  expect(() => new FingerprintStore({ bucketMs: HOUR, ttlMs: 60 * HOUR })).not.toThrow();
});

/** Keys that differ in all bits, as hashes do. */
const scattered = (i: number): [number, number] => {
  let x = Math.imul(i + 1, 0x9e37_79b1);
  x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
  return [(x ^ (x >>> 13)) >>> 0, i];
};

/** Adds keys `from` to `to`, all of that hour, each of which must be new, and lets the watermark follow. */
function addHour(store: FingerprintStore, hour: number, { from, to }: { from: number; to: number }): void {
  const ts = 1000 * DAY + hour * HOUR;
  for (let i = from; i < to; i++) {
    const [hi, lo] = scattered(i);
    // Not expect(): a million of them take a minute.
    if (store.addIfAbsent(hi, lo, ts + Math.floor(((i - from) / (to - from)) * HOUR)) !== ADDED) expect.fail(`key ${i} was there`);
    if (i % 97 === 0) store.advance(ts + Math.floor(((i - from) / (to - from)) * HOUR));
  }
}

test('while a large table grows, is swept and shrinks a little at a time, every live key is found and no other', () => {
  const store = daily();
  const perHour = [6000, 15_000, 30_000, 2000, 500, 100];
  const firstOf: number[] = [];
  let next = 0;
  for (let hour = 0; hour < 165; hour++) {
    firstOf.push(next);
    const count = perHour[Math.min(5, Math.floor(hour / 25))];
    addHour(store, hour, { from: next, to: next + count });
    next += count;
    const oldest = firstOf[Math.max(0, hour - 24)];
    for (let i = Math.max(0, oldest - 5000); i < next; i += 211) {
      const isCertain = i >= oldest || i < (firstOf[hour - 25] ?? 0);
      if (isCertain && store.has(...scattered(i)) !== i >= oldest) expect.fail(`key ${i} in hour ${hour}`);
    }
    if (hour % 25 === 0) expect(new Set(contents(store).map(([key]) => key)).size).toBe(store.size);
  }
  expect(store.size).toBeLessThan(100 * 26 + 1);
  expect(store.byteLength).toBeLessThan(40 * store.size);
});

test.each([0, 200_000])('a key that comes twice in a block, and has no room in a table of %i others, is added once', (others) => {
  const store = daily();
  for (let i = 0; i < others; i++) store.addIfAbsent(...scattered(i), 1000 * DAY);
  const crowd = 0x8000_0000;
  const keys = new KeyBlock();
  const enter = (...los: number[]): number[] => {
    keys.clear();
    for (const lo of los) keys.push(crowd, lo, 1000 * DAY);
    store.addBlock(keys);
    return [...keys.outcomes.subarray(0, los.length)];
  };
  for (let lo = 0; lo < 3000; lo++) {
    expect(enter(lo, lo, lo)).toEqual([ADDED, PRESENT, PRESENT]);
    expect([keys.added, ...new Uint32Array(keys.addedBytes.buffer, 0, 2)]).toEqual([1, crowd, lo]);
    expect(enter(lo, lo + 10_000)).toEqual([PRESENT, ADDED]);
    expect(store.size).toBe(others + 2 * lo + 2);
  }
});

test('a table that grows beyond seven million keys never takes twelve bytes a key, and one of two hundred thousand never fifteen', () => {
  const store = daily();
  for (let i = 0; i < 9_000_000; i++) {
    store.addIfAbsent(...scattered(i), 1000 * DAY);
    if (i > 200_000 && i % 10_000 === 0) expect(store.byteLength / i).toBeLessThan(i > 7_000_000 ? 12 : 15);
  }
});

test('a walk in pieces visits each key once that is there all the time, while the table grows and is swept', () => {
  const store = daily();
  addHour(store, 0, { from: 0, to: 5000 });
  addHour(store, 20, { from: 5000, to: 150_000 });
  const place = new TableWalk();
  const visits = new Map<number, number>();
  let hour = 21;
  let next = 150_000;
  while (!store.walk(place, 4000, (_hi, lo) => visits.set(lo, (visits.get(lo) ?? 0) + 1))) {
    addHour(store, hour, { from: next, to: next + 6000 });
    next += 6000;
    if (hour < 30) hour++;
  }
  for (let i = 5000; i < 150_000; i++) if (visits.get(i) !== 1) expect.fail(`key ${i} was visited ${visits.get(i)} times`);
  expect([...visits.values()].every((count) => count === 1)).toBe(true);
});

test('a watermark that jumps far but not past all is swept in bounded steps, and what came too far ahead is not lost', () => {
  const store = daily();
  for (let hour = 0; hour < 24; hour++) addHour(store, hour, { from: hour * 10_000, to: (hour + 1) * 10_000 });
  store.advance(1000 * DAY + 46 * HOUR);
  const ts = 1000 * DAY + 46 * HOUR;
  for (let i = 0; i < 20_000; i++) expect(store.addIfAbsent(...scattered(1_000_000 + i), ts + 40 * HOUR)).toBe(ADDED);
  for (let i = 0; i < 20_000; i++) expect(store.has(...scattered(1_000_000 + i))).toBe(true);
  for (let i = 220_000; i < 240_000; i += 17) expect(store.has(...scattered(i))).toBe(true);
  for (let i = 0; i < 220_000; i += 17) expect(store.has(...scattered(i))).toBe(false);
  store.advance(ts + 70 * HOUR);
  expect(store.size).toBe(0);
});

test('traffic that returns while the table shrinks finds room: nearly all keys lie in the table, and what does not is counted', () => {
  for (const [full, low] of [
    [26, 25],
    [27, 29],
    [31, 26],
  ]) {
    const store = daily();
    let next = 0;
    for (let hour = 0; hour < full + low + 5; hour++) {
      const isLow = hour >= full && hour < full + low;
      const count = isLow ? 300 : 20_000;
      addHour(store, hour, { from: next, to: next + count });
      next += count;
      if (hour >= full + low + 1) expect(store.byteLength / store.size, `${full} h full, ${low} h low, hour ${hour}`).toBeLessThan(25);
    }
    expect(store.size).toBeGreaterThan(99_000);
  }
});

test('a key too far ahead for the table is visited by a walk in pieces, also where it comes into the table behind the walk', () => {
  const store = daily();
  addHour(store, 0, { from: 0, to: 3000 });
  const ahead = 1000 * DAY + 80 * HOUR;
  store.addIfAbsent(1, 1, ahead);
  const place = new TableWalk();
  const visited = new Set<number>();
  store.walk(place, 500, (hi) => visited.add(hi));
  for (let hour = 30; hour < 80; hour += 5) addHour(store, hour, { from: 10_000 * hour, to: 10_000 * hour + 300 });
  expect(store.has(1, 1)).toBe(true);
  while (!store.walk(place, 500, (hi) => visited.add(hi))) {}
  expect(visited.has(1)).toBe(true);
  expect(store.walk(place, 500, () => expect.fail('visited after the end'))).toBe(true);
});

test('what waits outside the table is in the budget, and refused by name when that is full', () => {
  const budget = new MemoryBudget(200_000);
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY, budget });
  store.addIfAbsent(1, 1, 1000 * DAY);
  const add = (): void => {
    for (let i = 0; i < 5000; i++) store.addIfAbsent(...scattered(i), 1000 * DAY + 90 * HOUR);
  };
  expect(add).toThrow(expect.objectContaining({ code: 'state_memory_full' }));
  expect(budget.usedBytes).toBe(store.byteLength);
  expect(budget.usedBytes).toBeLessThanOrEqual(200_000);
  store.clear();
  expect(budget.usedBytes).toBe(0);
});

test('a full table that may not grow answers a block of keys that are there, and refuses the first that is new', () => {
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY, budget: new MemoryBudget(3_000_000) });
  const keys = new KeyBlock();
  const enter = (from: number, to: number): number[] => {
    keys.clear();
    for (let i = from; i < to; i++) keys.push(...scattered(i), 1000 * DAY);
    store.addBlock(keys);
    return [...keys.outcomes.subarray(0, to - from)];
  };
  let full = 0;
  expect(() => {
    for (; ; full += 50) enter(full, full + 50);
  }).toThrow(expect.objectContaining({ code: 'state_memory_full' }));
  expect(full).toBeGreaterThan(200_000);
  for (let i = 0; i < full; i += 50) expect(enter(i, i + 50)).toEqual(Array.from({ length: 50 }, () => PRESENT));
  expect(keys.added).toBe(0);
  expect(() => enter(full + 50, full + 51)).toThrow(expect.objectContaining({ code: 'state_memory_full' }));
});

test('a sweep in a nearly full table cleans it in place where the budget lets it not grow', () => {
  const keys = 270_000;
  const measured = daily();
  for (let i = 0; i < keys; i++) measured.addIfAbsent(...scattered(i), 1000 * DAY + Math.floor(i / 12_000) * HOUR);
  const budget = new MemoryBudget(measured.byteLength + 1000);
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY, budget });
  let i = 0;
  try {
    for (; ; i++) store.addIfAbsent(...scattered(i), 1000 * DAY + Math.floor(i / 12_000) * HOUR);
  } catch (error) {
    expect(error).toMatchObject({ code: 'state_memory_full' });
  }
  expect(i).toBeGreaterThanOrEqual(keys);
  for (let hour = 0; hour < 60; hour += 0.05) store.advance(1000 * DAY + hour * HOUR);
  expect(store.size).toBe(0);
  expect(store.addIfAbsent(...scattered(i), 1000 * DAY + 60 * HOUR)).toBe(ADDED);
});

test('room for a few keys is that of the smallest table: what follows from where a key lies stays right as it grows', () => {
  for (const keys of [1, 20, 300, 3000]) {
    const store = daily();
    store.reserve(keys);
    for (let i = 0; i < 4 * keys; i++) store.addIfAbsent(...scattered(i), 1000 * DAY);
    for (let i = 0; i < 4 * keys; i++) expect(store.addIfAbsent(...scattered(i), 1000 * DAY)).toBe(PRESENT);
  }
});

test('room is made for keys that are told of before, with those in it kept; where the budget has none, the table grows as they come', () => {
  for (const limit of [Number.POSITIVE_INFINITY, 4_000_000]) {
    const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY, budget: new MemoryBudget(limit) });
    for (let i = 0; i < 100_000; i++) store.addIfAbsent(...scattered(i), 1000 * DAY);
    store.reserve(600_000);
    expect(store.byteLength > 6_000_000).toBe(limit > 6_000_000);
    for (let i = 0; i < 100_000; i++) if (!store.has(...scattered(i))) expect.fail(`key ${i}`);
    for (let i = 100_000; i < 200_000; i++) if (store.addIfAbsent(...scattered(i), 1000 * DAY) !== ADDED) expect.fail(`key ${i}`);
    expect(contents(store).length).toBe(200_000);
  }
});
