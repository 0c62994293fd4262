import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { UnitStore } from '../../src/state/units.ts';

const DAY = 86_400_000;

const contents = (store: UnitStore): [string, number][] => {
  const found: [string, number][] = [];
  store.forEach((experiment, hi, lo, payload) => {
    found.push([`${experiment}/${hi}/${lo}`, payload]);
  });
  return found.sort();
};

const spread = (i: number): [number, number] => [Math.imul(i, 0x9e37_79b1) >>> 0, Math.imul(i, 0x85eb_ca6b) >>> 0];

test('whatever is set, touched and expired, it answers as a plain map does', () => {
  const part = fc.oneof(fc.nat(3), fc.constantFrom(0xffff_ffff, 0x8000_0000, 0x0400_0001));
  const experiment = fc.nat(4);
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(
        fc.constant('set' as const),
        experiment,
        part,
        part.map((lo) => lo || 5),
        fc.nat(0xffff),
      ),
    },
    { weight: 2, arbitrary: fc.tuple(fc.constant('touch' as const), experiment, fc.nat(100)) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('expire' as const), fc.nat(100)) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const budget = new MemoryBudget();
      const store = new UnitStore({ budget });
      const units = new Map<string, number>();
      const touched = new Map<number, number>();
      for (const one of steps) {
        if (one[0] === 'set') {
          const [, index, hi, lo, payload] = one;
          if (!touched.has(index)) touched.set(index, Number.NEGATIVE_INFINITY);
          store.set(index, hi, lo, payload);
          units.set(`${index}/${hi}/${lo}`, payload);
        } else if (one[0] === 'touch') {
          store.touch(one[1], one[2]);
          touched.set(one[1], Math.max(one[2], touched.get(one[1]) ?? 0));
          expect(store.lastTouched(one[1])).toBe(touched.get(one[1]));
        } else {
          const gone = [...touched].filter(([, ms]) => ms < one[1]).map(([index]) => index);
          expect(store.expire(one[1])).toEqual(gone.sort());
          for (const index of gone) touched.delete(index);
          for (const key of units.keys()) if (gone.includes(Number(key.split('/')[0]))) units.delete(key);
        }
        expect(store.size).toBe(units.size);
        expect(budget.usedBytes).toBe(store.byteLength);
      }
      expect(contents(store)).toEqual([...units].sort());
    }),
    { numRuns: 300 },
  );
});

test('an experiment of half a million units keeps each payload through every growth and the split', () => {
  const store = new UnitStore();
  const units = 500_000;
  for (let i = 0; i < units; i++) store.set(3, ...spread(i), i % 65_536);
  let wrong = 0;
  for (let i = 0; i < units; i++) if (store.get(3, ...spread(i)) !== i % 65_536) wrong++;
  expect(wrong).toBe(0);
  expect(store.size).toBe(units);
  expect(store.get(3, ...spread(units))).toBe(-1);
  expect(store.get(2, ...spread(1))).toBe(-1);
  expect(store.byteLength / units).toBeLessThan(14.6);
});

test('a hash of zeros is a unit like any other', () => {
  const store = new UnitStore();
  expect(store.get(0, 0, 0)).toBe(-1);
  store.set(0, 0, 0, 9);
  expect(store.get(0, 0, 0)).toBe(9);
  expect(store.size).toBe(1);
});

test('an experiment untouched since the cutoff is forgotten, the one touched at it stays', () => {
  const store = new UnitStore();
  for (const [experiment, ts] of [
    [0, 10 * DAY],
    [1, 11 * DAY],
    [5, 12 * DAY],
  ]) {
    store.set(experiment, 1, experiment, 7);
    store.touch(experiment, ts);
    store.touch(experiment, ts - DAY);
  }
  expect(store.expire(11 * DAY)).toEqual([0]);
  expect(store.get(0, 1, 0)).toBe(-1);
  expect(store.lastTouched(0)).toBe(Number.NEGATIVE_INFINITY);
  expect(store.get(1, 1, 1)).toBe(7);
  expect(store.size).toBe(2);
  expect(store.expire(11 * DAY)).toEqual([]);
  store.clear();
  expect([store.size, store.byteLength, store.get(1, 1, 1)]).toEqual([0, 0, -1]);
});

test('a full budget stops by name, with every unit still there', () => {
  const budget = new MemoryBudget(200_000);
  const store = new UnitStore({ budget });
  let entered = 0;
  expect(() => {
    for (; entered < 100_000; entered++) store.set(0, ...spread(entered), 1);
  }).toThrow(expect.objectContaining({ code: 'state_memory_full' }));
  expect(entered).toBeGreaterThan(5_000);
  expect(store.size).toBe(entered);
  for (let i = 0; i < entered; i++) expect(store.get(0, ...spread(i))).toBe(1);
});

test('many experiments that expire at once go a thousand a call, and large ones by their units', () => {
  const store = new UnitStore();
  for (let experiment = 0; experiment < 2500; experiment++) {
    store.set(experiment, 1, 2, 3);
    store.touch(experiment, experiment === 7 ? DAY : 0);
  }
  const went = [1, 2, 3, 4].map(() => store.expire(DAY).length);
  expect(went).toEqual([1000, 1000, 499, 0]);
  expect([store.size, store.get(7, 1, 2)]).toEqual([1, 3]);
  expect(store.expire(DAY + 1)).toEqual([7]);
  for (let experiment = 0; experiment < 3; experiment++) {
    for (let i = 0; i < 600_000; i++) store.set(experiment, ...spread(i), 1);
    store.touch(experiment, 0);
  }
  expect([store.expire(DAY), store.expire(DAY), store.expire(DAY)]).toEqual([[0, 1], [2], []]);
});

test('an experiment that comes anew after others were looked through expires in its turn', () => {
  const store = new UnitStore();
  store.set(0, 1, 2, 3);
  store.touch(0, 5 * DAY);
  expect(store.expire(DAY)).toEqual([]);
  store.set(1, 1, 2, 3);
  store.touch(1, 2 * DAY);
  expect(store.expire(3 * DAY)).toEqual([1]);
  expect(store.expire(6 * DAY)).toEqual([0]);
});

test('an experiment whose units come in order of the hash is split all the same, and each is found', () => {
  const store = new UnitStore();
  const count = 260_000;
  const hiOf = (i: number): number => Math.floor((i / count) * 2 ** 32);
  const loOf = (i: number): number => Math.imul(i + 1, 0x9e37_79b1) >>> 0;
  for (let i = 0; i < count; i++) store.set(0, hiOf(i), loOf(i), i & 0xff);
  expect(store.size).toBe(count);
  for (let i = 0; i < count; i += 101) expect(store.get(0, hiOf(i), loOf(i))).toBe(i & 0xff);
});
