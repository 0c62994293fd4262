import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Buddies } from '../../src/state/buddies.ts';

const LINES = fc.integer({ min: 0, max: 7 }).map((order) => 2 ** order);

test('whatever is taken and given back, no two places share a line, each lies on a multiple of its length, and the end is told before', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ lines: LINES, give: fc.nat(9) }), { maxLength: 200 }), (steps) => {
      const buddies = new Buddies();
      const taken: { at: number; lines: number }[] = [];
      const owner = new Map<number, number>();
      for (const { lines, give } of steps) {
        const end = buddies.endWith(lines);
        const at = buddies.take(lines);
        expect([buddies.end, at % lines]).toEqual([end, 0]);
        expect(at + lines).toBeLessThanOrEqual(end);
        for (let line = at; line < at + lines; line++) {
          expect(owner.has(line)).toBe(false);
          owner.set(line, at);
        }
        taken.push({ at, lines });
        if (give > 5) continue;
        const [back] = taken.splice(give % taken.length, 1);
        for (let line = back.at; line < back.at + back.lines; line++) owner.delete(line);
        buddies.give(back.at, back.lines);
      }
    }),
  );
});

test('what is given back is joined again: the same room serves for large ones', () => {
  const buddies = new Buddies();
  const small = Array.from({ length: 64 }, () => buddies.take(16));
  for (const at of small.toReversed()) buddies.give(at, 16);
  expect(buddies.end).toBe(1024);
  expect([buddies.take(512), buddies.take(256), buddies.take(256), buddies.end].sort((a, b) => a - b)).toEqual([0, 512, 768, 1024]);
  expect(buddies.endWith(16)).toBe(1040);
});

test('what lies between the end and the next multiple of a length is not lost', () => {
  const buddies = new Buddies();
  expect([buddies.take(16), buddies.take(128), buddies.end]).toEqual([0, 128, 256]);
  expect([buddies.take(64), buddies.take(32), buddies.take(16), buddies.end]).toEqual([64, 32, 16, 256]);
});
