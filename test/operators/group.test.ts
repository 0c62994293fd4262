import fc from 'fast-check';
import { expect, test } from 'vitest';
import { groupName, internGroup } from '../../src/operators/group.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { Interner } from '../../src/state/interner.ts';
import type { ByteRef } from '../../src/topology/types.ts';

const ref = (text: string): ByteRef => {
  const bytes = Buffer.from(`.${text}.`);
  return { bytes, start: 1, end: bytes.length - 1 };
};
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom('', '\ufeff', '\ufeffa', '__proto__', '{}:'));

test('a group keeps its names, whatever is in them, and different names are different groups', () => {
  const names = fc.array(fc.tuple(text, fc.nat(2 ** 31 - 1), text), { maxLength: 30 });
  fc.assert(
    fc.property(names, (all) => {
      const groups = new Interner(new SeededHash(new Uint8Array(8)), 1000);
      const indices = all.map(([entity, version, variant]) => internGroup(groups, ref(entity), version, ref(variant)));
      expect(indices.map((index) => groupName(groups, index))).toEqual(
        all.map(([entity, version, variant]) => ({ entity, version, variant })),
      );
      expect(groups.size).toBe(new Set(all.map((one) => JSON.stringify(one))).size);
    }),
  );
});

test('where one name ends and the next begins is part of a group', () => {
  const groups = new Interner(new SeededHash(new Uint8Array(8)), 1000);
  const indices = [
    internGroup(groups, ref('ab'), 1, ref('c')),
    internGroup(groups, ref('a'), 1, ref('bc')),
    internGroup(groups, ref('abc')),
  ];
  expect(indices).toEqual([0, 1, 2]);
});
