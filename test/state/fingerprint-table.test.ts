import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_ROOM } from '../../src/state/fingerprint-lines.ts';
import { FingerprintTable } from '../../src/state/fingerprint-table.ts';
import type { SlotsOptions } from '../../src/state/growing-slots.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';

const STRETCH_SLOTS = 4096;

/** A table with its strays, of keys by number. */
function tableOf({ live = new Uint8Array(64).fill(1, 1), ...options }: SlotsOptions & { live?: Uint8Array } = {}) {
  const strays = new Set<string>();
  const budget = new MemoryBudget();
  const table = new FingerprintTable(budget, live, (hi, lo) => strays.add(`${hi}/${lo}`), options);
  const enter = (hi: number, lo: number, tag: number): boolean => table.enter(hi, lo | 0, tag) !== NO_ROOM;
  const contents = (): string[] => {
    const found: string[] = [];
    for (let from = 0; from < 2 ** 32; ) from = table.visit(from, 1000, (hi, lo, tag) => found.push(`${hi}/${lo}/${tag}`));
    return found.sort();
  };
  return { table, strays, budget, enter, contents };
}

const key = (i: number): [number, number] => {
  let x = Math.imul(i + 1, 0x9e37_79b1);
  x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
  return [(x ^ (x >>> 13)) >>> 0, i];
};

describe.each([
  ['compiled', {}],
  ['in TypeScript', { compiles: false }],
  ['growing beyond 32 bits of addresses, into another memory', { narrowPages: 30 }],
] as const)('%s', (_, options) => {
  test('after every stretch of a pass, up, down or in place, each live key is found, what expired is not, and a visit tells all', () => {
    for (const [keys, lives, kind] of [
      [120_000, 120_000, 'up'],
      [120_000, 20_000, 'down'],
      [120_000, 80_000, 'same'],
    ] as const) {
      const live = new Uint8Array(64).fill(1, 1);
      // Those that stay are early and late ones, which lie at home and behind it.
      const stays = (i: number): boolean => (i * 7919) % keys < lives;
      const { table, strays, budget, enter, contents } = tableOf({ ...options, live });
      while (table.limit < keys) {
        table.begin(Math.max(4000, table.limit));
        while (!table.step(50_000)) {}
      }
      for (let i = 0; i < keys; i++) expect(enter(...key(i), stays(i) ? 2 : 1)).toBe(true);
      live[1] = kind === 'up' ? 1 : 0;
      table.setLive(true);
      const truth = Array.from({ length: keys }, (_, i) => i)
        .filter(stays)
        .map((i) => `${key(i)[0]}/${key(i)[1]}/2`)
        .sort();
      const before = table.capacity;
      if (kind === 'same') table.clean();
      else table.begin(kind === 'up' ? table.limit : lives);
      let steps = 0;
      for (let ended = false; !ended; steps++) {
        ended = table.step(STRETCH_SLOTS);
        for (let i = 0; i < keys; i++) if (table.has(...key(i)) !== stays(i)) expect.fail(`${kind}, step ${steps}: key ${i}`);
      }
      expect(steps).toBeGreaterThan(15);
      expect(contents()).toEqual(truth);
      expect(table.used).toBe(lives);
      expect(Math.sign(table.capacity - before)).toBe({ up: 1, down: -1, same: 0 }[kind]);
      expect(strays.size).toBe(0);
      expect(table.byteLength).toBe(budget.usedBytes);
    }
  });

  test('keys that crowd far behind their home are found while the table shrinks, and after', () => {
    const { table, strays } = tableOf(options);
    table.reserve(8300 * 8 * 0.8);
    const crowd = Array.from({ length: 900 }, (_, i): [number, number] => [2 ** 31 + (i % 3), i + 1]);
    for (const one of crowd) expect(table.enter(...one, 1)).toBe(1);
    table.begin(100);
    expect(table.moving).toBe(true);
    for (const one of crowd) expect(table.has(...one)).toBe(true);
    for (let ended = false; !ended; ) {
      ended = table.step(STRETCH_SLOTS);
      for (const [hi, lo] of crowd) expect(table.has(hi, lo) || strays.has(`${hi}/${lo}`)).toBe(true);
    }
  });

  test('what it gives up is given up: in the middle of a shrink too', () => {
    const { table, budget, enter } = tableOf(options);
    table.reserve(300_000);
    for (let i = 0; i < 1000; i++) enter(...key(i), 1);
    table.begin(1000);
    table.step(STRETCH_SLOTS);
    expect(table.moving).toBe(true);
    expect(table.byteLength).toBe(budget.usedBytes);
    table.clear();
    expect(budget.usedBytes).toBe(0);
    expect(table.has(...key(1))).toBe(false);
  });
});

test('hashes that crowd in one place are found, or given out as strays, and none is lost', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 1, max: 3000 }), fc.nat(20), (start, count, spread) => {
      const { table, strays, enter, contents } = tableOf();
      table.begin(4000);
      const entered = new Set<string>();
      for (let i = 0; i < count; i++) {
        const hi = (start + i * spread) % 2 ** 32;
        if (enter(hi, i, 1)) entered.add(`${hi}/${i}`);
      }
      for (const capacity of [7000, 60_000, 90_000, 500]) {
        table.begin(capacity);
        while (!table.step(9000)) {}
      }
      const kept = contents().map((one) => one.slice(0, one.lastIndexOf('/')));
      expect(new Set([...kept, ...strays])).toEqual(entered);
      expect(kept.length + strays.size).toBe(entered.size);
    }),
    { numRuns: 60 },
  );
});
