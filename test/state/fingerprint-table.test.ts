import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NO_ROOM } from '../../src/state/fingerprint-lines.ts';
import { FingerprintTable } from '../../src/state/fingerprint-table.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';

/** A table with its strays, of keys by number. */
function tableOf(live = new Uint8Array(64).fill(1, 1)) {
  const strays = new Set<string>();
  const table = new FingerprintTable(new MemoryBudget(), live, (hi, lo) => strays.add(`${hi}/${lo}`));
  const enter = (hi: number, lo: number, tag: number): boolean => table.enter(hi, lo | 0, tag) !== NO_ROOM;
  const contents = (): string[] => {
    const found: string[] = [];
    for (let from = 0; from < 2 ** 32; ) from = table.visit(from, 1000, (hi, lo, tag) => found.push(`${hi}/${lo}/${tag}`));
    return found.sort();
  };
  return { table, strays, enter, contents };
}

const key = (i: number): [number, number] => {
  let x = Math.imul(i + 1, 0x9e37_79b1);
  x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b);
  return [(x ^ (x >>> 13)) >>> 0, i];
};

test('at every step of a pass, up, down or in place, each live key is found, what expired is not, and the visit tells the whole hash', () => {
  for (const [keys, lives, kind] of [
    [150_000, 150_000, 'up'],
    [150_000, 20_000, 'down'],
    [150_000, 100_000, 'same'],
  ] as const) {
    const live = new Uint8Array(64).fill(1, 1);
    const { table, strays, enter, contents } = tableOf(live);
    while (table.limit < keys) {
      table.begin(Math.max(4000, table.limit));
      while (!table.step(50_000)) {}
    }
    for (let i = 0; i < keys; i++) expect(enter(...key(i), i < lives ? 2 : 1)).toBe(true);
    live[1] = kind === 'up' ? 1 : 0;
    table.setLive(true);
    const truth = Array.from({ length: lives }, (_, i) => `${key(i)[0]}/${key(i)[1]}/2`).sort();
    const before = table.capacity;
    if (kind === 'same') table.clean();
    else table.begin(kind === 'up' ? table.limit : lives);
    let steps = 0;
    for (let ended = false; !ended; steps++) {
      ended = table.step(20_000);
      for (let i = steps % 7; i < keys; i += 7) {
        if (table.has(...key(i)) !== i < lives) expect.fail(`${kind}, step ${steps}: key ${i}`);
      }
    }
    expect(steps).toBeGreaterThan(5);
    expect(contents()).toEqual(truth);
    expect(table.used).toBe(lives);
    expect(Math.sign(table.capacity - before)).toBe({ up: 1, down: -1, same: 0 }[kind]);
    expect(strays.size).toBe(0);
  }
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
