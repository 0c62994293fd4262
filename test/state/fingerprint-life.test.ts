import { expect, test } from 'vitest';
import { Random } from '../../src/generate/random.ts';
import { ADDED, BUCKET_GONE, FingerprintStore, MemoryBudget, PRESENT, TableWalk } from '../../src/state/fingerprints.ts';
import { KeyBlock } from '../../src/state/key-block.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const HOURS = 60;

/** What a store should say, and a walk over it at a time: of keys that are there from its beginning to its end it must miss none. */
class Model {
  readonly buckets = new Map<string, number>();
  readonly #store: FingerprintStore;
  #walk: TableWalk | null = null;
  #unvisited = new Set<string>();
  walks = 0;

  constructor(store: FingerprintStore) {
    this.#store = store;
  }

  isLive(bucket: number, watermarkMs: number): boolean {
    return (bucket + 1) * HOUR + DAY > watermarkMs;
  }

  expected(key: string, bucket: number, watermarkMs: number): number {
    const known = this.buckets.get(key);
    if (known !== undefined && this.isLive(known, watermarkMs)) return PRESENT;
    return this.isLive(bucket, watermarkMs) ? ADDED : BUCKET_GONE;
  }

  added(key: string, bucket: number): void {
    this.buckets.set(key, bucket);
    // It may have expired and come again.
    this.#unvisited.delete(key);
  }

  expire(watermarkMs: number): void {
    for (const [key, bucket] of this.buckets) if (!this.isLive(bucket, watermarkMs)) this.buckets.delete(key);
  }

  walkOn(watermarkMs: number): void {
    if (this.#walk === null) {
      this.#walk = new TableWalk();
      this.#unvisited = new Set(this.buckets.keys());
    }
    if (!this.#store.walk(this.#walk, 2000, (hi, lo) => this.#unvisited.delete(`${hi}/${lo | 0}`))) return;
    this.expire(watermarkMs);
    for (const key of this.#unvisited) if (this.buckets.has(key)) expect.fail(`${key} was not visited`);
    this.#walk = null;
    this.walks++;
  }
}

test.each([
  { seed: 1, crowded: 0, budgetBytes: Number.POSITIVE_INFINITY },
  { seed: 2, crowded: 0.02, budgetBytes: Number.POSITIVE_INFINITY },
  { seed: 3, crowded: 0.05, budgetBytes: Number.POSITIVE_INFINITY },
  { seed: 4, crowded: 0, budgetBytes: 1_700_000 },
])('days of traffic that swells and ebbs, with duplicates, late, early and crowded keys, answer as a map does: %o', (plan) => {
  const generator = new Random(plan.seed, 0);
  const random = (): number => generator.fraction();
  const budget = new MemoryBudget(plan.budgetBytes);
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY, budget });
  const model = new Model(store);
  const crowd = Math.floor(random() * 2 ** 32);
  const recent: [number, number][] = [];
  let watermarkMs = 1000 * DAY;
  let fresh = 0;
  const pass = (ms: number): void => {
    watermarkMs += Math.floor(ms);
    store.advance(watermarkMs);
  };
  const nextKey = (): [number, number] => {
    if (recent.length > 0 && random() < 0.1) return recent[Math.floor(random() * recent.length)];
    const hi = random() < plan.crowded ? crowd + random() * 1e5 : random() * 2 ** 32;
    return [Math.floor(hi) >>> 0, fresh++];
  };
  const keys = new KeyBlock();
  const enter = (when: string): void => {
    if (keys.size > 1) store.addBlock(keys);
    else keys.outcomes[0] = store.addIfAbsent(keys.his[0], keys.los[0], keys.times[0]);
    const added: number[] = [];
    for (let k = 0; k < keys.size; k++) {
      const [hi, lo, bucket] = [keys.his[k], keys.los[k], Math.floor(keys.times[k] / HOUR)];
      const outcome = keys.outcomes[k];
      if (outcome !== model.expected(`${hi}/${lo}`, bucket, watermarkMs)) expect.fail(`${when}: ${hi}/${lo} → ${outcome}`);
      if (outcome !== ADDED) continue;
      added.push(hi, lo);
      model.added(`${hi}/${lo}`, bucket);
      recent[lo % 1000 < recent.length ? lo % 1000 : recent.length] = [hi, lo];
    }
    if (keys.size === 1) return;
    const told = [...new Uint32Array(keys.addedBytes.buffer, 0, 2 * keys.added)];
    expect(told.sort()).toEqual(added.sort());
  };
  for (let hour = 0; hour < HOURS; hour++) {
    const count = Math.floor([300, 500, 3000, 9000][Math.floor(random() * 4)] * (0.5 + random()));
    for (let i = 0; i < count; i++) {
      const eventTs = watermarkMs + Math.floor((random() - 0.3) * 3 * HOUR) + (random() < 0.0005 ? 40 * HOUR : 0);
      keys.push(...nextKey(), random() < 0.5 ? eventTs : watermarkMs);
      if (random() < 0.9 && !keys.full && i < count - 1) continue;
      enter(`hour ${hour}`);
      pass((HOUR * keys.size) / count);
      keys.clear();
      if (i % 100 < 10) model.walkOn(watermarkMs);
    }
    if (random() < 0.03) pass(random() * 30 * HOUR);
    model.expire(watermarkMs);
    expect(store.size).toBe(model.buckets.size);
    expect(store.byteLength).toBe(budget.usedBytes);
  }
  expect(model.walks).toBeGreaterThan(5);
});

test('after room was made for many, what is added is there', () => {
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY });
  store.reserve(200_000);
  for (const expected of [ADDED, PRESENT]) {
    for (let i = 0; i < 1000; i++) expect(store.addIfAbsent(Math.imul(i, 0x9e37_79b1) >>> 0, i, 1000 * DAY)).toBe(expected);
  }
});

test('a table that may not grow any more is cleaned instead, as long as what is live fits', () => {
  const budget = new MemoryBudget(3_000_000);
  const store = new FingerprintStore({ bucketMs: HOUR, ttlMs: DAY, budget });
  const perHour = 9440;
  let mostLive = 0;
  for (let i = 0; i < 45 * perHour; i++) {
    const eventTs = 1000 * DAY + Math.floor((i * HOUR) / perHour);
    expect(store.addIfAbsent(Math.imul(i, 0x9e37_79b1) >>> 0, i, eventTs)).toBe(ADDED);
    store.advance(eventTs);
    mostLive = Math.max(mostLive, store.size);
  }
  // Of 241,000 slots at most, so that it asks to grow.
  expect(mostLive).toBeGreaterThan(230_000);
  expect(budget.usedBytes).toBeLessThanOrEqual(3_000_000);
});
