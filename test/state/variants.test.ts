import { expect, test } from 'vitest';
import { SeededHash } from '../../src/state/hash.ts';
import { VariantTable } from '../../src/state/variants.ts';

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
