import { expect, test } from 'vitest';
import { SeededHash } from '../../src/state/hash.ts';
import { VariantTable } from '../../src/state/variants.ts';
import { collectGarbage } from './collect.ts';

const table = (maxOfOne = 100, maxIds = 100): VariantTable =>
  new VariantTable({ hash: new SeededHash(new Uint8Array(8).fill(7)), maxOfOne, maxIds, nameOf: (experiment) => `number ${experiment}` });
const enter = (variants: VariantTable, experiment: number, id: string): number => {
  const bytes = new TextEncoder().encode(id);
  return variants.intern(experiment, { bytes, start: 0, end: bytes.length });
};

test('each experiment numbers its own variants from 0, in order of appearance', () => {
  const variants = table();
  expect(['a', 'b', 'a'].map((id) => enter(variants, 5, id))).toEqual([0, 1, 0]);
  expect(['b', 'a'].map((id) => enter(variants, 2, id))).toEqual([0, 1]);
  const seen: string[] = [];
  variants.visit((experiment, id) => seen.push(`${experiment}:${Buffer.from(id)}`));
  expect([seen, variants.size]).toEqual([['2:b', '2:a', '5:a', '5:b'], 4]);
});

test('a forgotten experiment gives back its memory and begins anew; others stay', () => {
  const variants = table();
  enter(variants, 1, 'x');
  const { byteLength } = variants;
  for (const id of ['a', 'b']) enter(variants, 0, id);
  variants.forget(0);
  variants.forget(9);
  expect([variants.size, variants.byteLength]).toEqual([1, byteLength]);
  expect([enter(variants, 0, 'b'), enter(variants, 1, 'x')]).toEqual([0, 0]);
});

test('too many of one experiment, and too many of all, are told apart by name', () => {
  const variants = table(2, 3);
  for (const id of ['a', 'b']) enter(variants, 0, id);
  expect(() => enter(variants, 0, 'c')).toThrow(
    expect.objectContaining({ code: 'too_many_variants', message: expect.stringContaining('"number 0"') }),
  );
  enter(variants, 1, 'a');
  expect(() => enter(variants, 1, 'b')).toThrow(expect.objectContaining({ code: 'too_many_ids' }));
});

test('the group of a variant is kept for the version it was last seen with, and forgotten with its experiment; those of others stay', () => {
  const variants = table();
  for (const id of ['a', 'b', 'c', 'd', 'e']) enter(variants, 0, id);
  enter(variants, 1, 'x');
  const { byteLength } = variants;
  enter(variants, 3, 'a');
  expect([variants.groupOf(0, 4, 1), variants.groupOf(2, 0, 1), variants.groupOf(9, 0, 1)]).toEqual([-1, -1, -1]);
  variants.keepGroup(0, 4, 1, 0);
  variants.keepGroup(0, 4, 2, 17);
  variants.keepGroup(0, 0, 1, 5);
  variants.keepGroup(3, 0, 1, 6);
  expect([variants.groupOf(0, 4, 1), variants.groupOf(0, 4, 2), variants.groupOf(0, 0, 1)]).toEqual([-1, 17, 5]);
  expect(variants.groupOf(0, 1, 0)).toBe(-1);
  variants.forget(0);
  expect([0, 1, 2, 3, 4].map((variant) => variants.groupOf(0, variant, 2))).toEqual([-1, -1, -1, -1, -1]);
  expect(variants.groupOf(3, 0, 1)).toBe(6);
  enter(variants, 0, 'b');
  expect(variants.groupOf(0, 0, 1)).toBe(-1);
  variants.forget(3);
  for (const id of ['a', 'c', 'd', 'e']) enter(variants, 0, id);
  expect(variants.byteLength).toBe(byteLength);
});

test('keeps no buffer that it was asked about in memory', async () => {
  const variants = table();
  const ask = (experiment: number): WeakRef<ArrayBuffer> => {
    const bytes = new Uint8Array(1000);
    for (let i = 0; i < 2; i++) variants.intern(experiment, { bytes, start: 0, end: 9 });
    return new WeakRef(bytes.buffer);
  };
  const buffers = Array.from({ length: 50 }, (_, experiment) => ask(experiment));
  await collectGarbage();
  // The view of the last is shared by all tables.
  expect(buffers.filter((buffer) => buffer.deref() !== undefined).length).toBeLessThanOrEqual(1);
  expect(variants.size).toBe(50);
});

test.each([1, 100])('tells about as much memory as it takes, of ids of length %i', async (length) => {
  const experiments = 20_000;
  const variants = table(100, experiments * 2);
  const held = (): number => process.memoryUsage().heapUsed + process.memoryUsage().external;
  await collectGarbage();
  const before = held();
  for (let experiment = 0; experiment < experiments; experiment++) {
    for (const id of ['a', 'b']) variants.keepGroup(experiment, enter(variants, experiment, id.repeat(length)), 1, experiment);
  }
  await collectGarbage();
  const taken = held() - before;
  expect(variants.byteLength / taken).toBeGreaterThan(0.9);
  expect(variants.byteLength / taken).toBeLessThan(1.1);
});
