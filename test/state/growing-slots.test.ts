import { expect, test, vi } from 'vitest';
import { StreamError } from '../../src/errors.ts';
import { GrowingSlots, SLOT_BYTES } from '../../src/state/growing-slots.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { Memory, type PagedMemory } from '../../src/state/web-assembly.ts';

const MANY = 3_000_000;

test('it grows in place: what was written stays, what is new is zero, and the budget knows', () => {
  const budget = new MemoryBudget();
  const slots = new GrowingSlots(budget, () => null);
  expect(slots.words[0]).toBe(0);
  slots.grow(1000);
  for (let i = 0; i < 2000; i++) slots.words[i] = i + 1;
  for (const size of [5000, 200_000, 700_000, MANY]) {
    slots.grow(size);
    expect(slots.words.length).toBeGreaterThanOrEqual(2 * size);
    expect(slots.words[1999]).toBe(2000);
    expect(slots.words[2000]).toBe(0);
    expect(slots.words[2 * size - 1]).toBe(0);
    expect(slots.byteLength - size * SLOT_BYTES).toBeLessThan(5 * 65_536);
    expect(budget.usedBytes).toBe(slots.byteLength);
  }
  slots.grow(1000);
  expect(slots.byteLength).toBeGreaterThanOrEqual(MANY * SLOT_BYTES);
  slots.release();
  expect(budget.usedBytes).toBe(0);
  expect(slots.byteLength).toBe(0);
  slots.grow(1000);
  expect(slots.words[0]).toBe(0);
});

test('a memory that grows by an eighth again and again becomes another for V8 a few times only, and the budget knows of what was asked for', () => {
  const budget = new MemoryBudget();
  const slots = new GrowingSlots(budget, () => null);
  const buffers = new Set<ArrayBufferLike>();
  let growths = 0;
  for (let size = 100_000; size < MANY; size = Math.ceil(1.125 * size)) {
    slots.grow(size);
    growths++;
    buffers.add(slots.words.buffer);
    slots.words[2 * size - 1] = size;
    expect(budget.usedBytes).toBeLessThan(size * SLOT_BYTES + 5 * 65_536);
  }
  expect([growths, buffers.size]).toEqual([29, 4]);
});

test('where the system gives what is asked for, but no more, that is taken', () => {
  const slots = new GrowingSlots(new MemoryBudget(), () => null);
  slots.grow(700_000);
  slots.words[1999] = 9;
  const memories = Object.getPrototypeOf(new Memory({ initial: 0, maximum: 1 })) as PagedMemory;
  const { grow } = memories;
  const most = 1_000_000 * SLOT_BYTES + 6 * 65_536;
  const refusing = vi.spyOn(memories, 'grow').mockImplementation(function (this: PagedMemory, pages) {
    if (this.buffer.byteLength + Number(pages) * 65_536 > most) throw new RangeError('no more');
    return grow.call(this, pages);
  });
  for (const size of [800_000, 1_000_000]) slots.grow(size);
  expect(() => slots.grow(1_200_000)).toThrow(expect.objectContaining({ code: 'state_memory_full' }));
  refusing.mockRestore();
  expect([slots.words[1999], slots.words.length >= 2_000_000]).toEqual([9, true]);
});

test('a memory goes ahead of what is asked for fourfold, by 256 MB at most; what is told is what was asked for', () => {
  const budget = new MemoryBudget();
  const slots = new GrowingSlots(budget, () => null);
  slots.grow(100_000);
  slots.grow(1_000_000);
  expect(slots.words.byteLength / (1_000_000 * SLOT_BYTES)).toBeCloseTo(4, 0);
  // Beyond what it has.
  slots.grow(20_000_000);
  const ahead = slots.words.byteLength - 20_000_000 * SLOT_BYTES;
  expect(Math.round(ahead / 2 ** 20)).toBe(256);
  expect(budget.usedBytes).toBeLessThan(20_000_000 * SLOT_BYTES + 2 ** 20);
  slots.release();
});

test('a refusal, by the budget or by the system, is named and changes nothing', () => {
  for (const [limit, size] of [
    [MANY * SLOT_BYTES, MANY + 1],
    [Number.POSITIVE_INFINITY, 2 ** 40],
  ]) {
    const budget = new MemoryBudget(limit);
    const slots = new GrowingSlots(budget, () => null);
    slots.grow(700_000);
    slots.words[1999] = 9;
    const { byteLength } = slots;
    expect(() => slots.grow(size)).toThrow(StreamError);
    expect(() => slots.grow(size)).toThrow(expect.objectContaining({ code: 'state_memory_full' }));
    expect(slots.words[1999]).toBe(9);
    expect(slots.byteLength).toBe(byteLength);
    expect(budget.usedBytes).toBe(byteLength);
  }
});
