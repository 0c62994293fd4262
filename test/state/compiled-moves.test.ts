import fc from 'fast-check';
import { expect, test } from 'vitest';
import { drop, FINGERPRINT_MASK, lift, TAG_SHIFT } from '../../src/state/fingerprint-slots.ts';
import { GrowingSlots } from '../../src/state/growing-slots.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';

/** Beyond what is kept in a plain array. */
const SLOTS = 600_000;

/** A generator of hashes, so that a failure can be had again. */
function randomFrom(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

interface Case {
  seed: number;
  /** Of the first slots. */
  load: number;
  growth: number;
  reach: number;
}

/** A memory whose beginning is filled as a table of `capacity` slots would be, its tags from 1 to 9; and where the first stretch ends. */
function filled({ seed, load }: Case, capacity: number): { memory: GrowingSlots; to: number } {
  const memory = new GrowingSlots(new MemoryBudget());
  memory.grow(SLOTS);
  const { words } = memory;
  const random = randomFrom(seed);
  const some = 6000;
  for (let i = 0; i < some * load; i++) {
    const hi = Math.floor(((random() / 2 ** 32) * some * 2 ** 32) / capacity);
    let at = Math.floor((hi * capacity) / 2 ** 32) * 2;
    while (words[at] !== 0) at += 2;
    words[at] = ((1 + (random() % 9)) << TAG_SHIFT) | (hi & FINGERPRINT_MASK);
    words[at + 1] = random();
  }
  let to = some;
  while (words[to * 2] !== 0) to++;
  return { memory, to };
}

test('compiled moves do what lift and drop do: the same slots, the same count, the same strays', () => {
  let strayed = 0;
  fc.assert(
    fc.property(
      fc.record({
        seed: fc.integer(),
        load: fc.double({ min: 0.1, max: 0.95, noNaN: true }),
        growth: fc.constantFrom(1, 1.25, 0.9, 0.8),
        reach: fc.constantFrom(3, 40, 2046),
      }),
      (one) => {
        const capacity = 400_000;
        const live = new Uint8Array(64).fill(1, 1, 6);
        const { memory, to } = filled(one, capacity);
        const plain = memory.words.slice();
        const stretch = { from: 0, to, capacity };
        const placing = { scale: (capacity * one.growth) / 2 ** 32, reach: one.reach };
        const strays: string[] = [];
        const { lifted, used } = lift(plain, stretch, live);
        plain.fill(0, 0, to * 2);
        const change = drop(plain, { ...placing, lifted }, (...stray) => strays.push(stray.join('/'))) - used;
        const compiled: string[] = [];
        expect(memory.moves?.move(stretch, placing, live, (...stray) => compiled.push(stray.join('/')))).toBe(change);
        expect(compiled).toEqual(strays);
        expect(Buffer.compare(Buffer.from(memory.words.buffer, memory.words.byteOffset, plain.byteLength), Buffer.from(plain.buffer))).toBe(
          0,
        );
        strayed += strays.length;
      },
    ),
    { numRuns: 60, examples: [[{ seed: 5, load: 0.95, growth: 0.8, reach: 3 }]] },
  );
  expect(strayed).toBeGreaterThan(0);
});
