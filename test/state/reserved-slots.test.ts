import { expect, test } from 'vitest';
import { StreamError } from '../../src/errors.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { ReservedSlots, SLOT_BYTES } from '../../src/state/reserved-slots.ts';

const MANY = 3_000_000;

test('it grows and shrinks in place: what was written stays, what is new is zero, and the budget knows', () => {
  const budget = new MemoryBudget();
  const slots = new ReservedSlots(budget);
  expect(slots.words[0]).toBe(0);
  slots.resize(1000);
  for (let i = 0; i < 2000; i++) slots.words[i] = i + 1;
  for (const size of [5000, 200_000, MANY]) {
    slots.resize(size);
    expect(slots.words.length).toBe(2 * size);
    expect(slots.words[1999]).toBe(2000);
    expect(slots.words[2000]).toBe(0);
    expect(slots.words[2 * size - 1]).toBe(0);
    expect(budget.usedBytes).toBe(size * SLOT_BYTES);
  }
  slots.resize(1000);
  expect(slots.words.length).toBe(2000);
  expect(slots.words[1999]).toBe(2000);
  expect(budget.usedBytes).toBe(1000 * SLOT_BYTES);
});

test('what lies behind goes back in pieces of 16 MiB, and is zero when it is taken again', () => {
  const budget = new MemoryBudget();
  const slots = new ReservedSlots(budget);
  slots.resize(MANY);
  slots.shrinkTo(1000);
  const sizes: number[] = [];
  while (slots.trimming) {
    slots.trim();
    sizes.push(slots.byteLength);
  }
  expect(sizes).toEqual([MANY * SLOT_BYTES - 2 ** 24, 1000 * SLOT_BYTES]);
  expect(budget.usedBytes).toBe(1000 * SLOT_BYTES);
});

test('what was dropped goes back in pieces too, while a fresh array is in use', () => {
  const budget = new MemoryBudget();
  const slots = new ReservedSlots(budget);
  slots.resize(MANY);
  slots.words[0] = 7;
  slots.drop(false);
  slots.resize(10);
  expect(slots.words[0]).toBe(0);
  expect(slots.byteLength).toBe((MANY + 10) * SLOT_BYTES);
  expect(budget.usedBytes).toBe(slots.byteLength);
  let pieces = 0;
  for (; slots.trimming; pieces++) slots.trim();
  expect(pieces).toBe(2);
  expect(budget.usedBytes).toBe(10 * SLOT_BYTES);
  slots.drop(true);
  expect(slots.trimming).toBe(false);
  expect(budget.usedBytes).toBe(0);
});

test('what was dropped goes at once where a limit needs its room, and a refusal changes nothing', () => {
  const budget = new MemoryBudget(MANY * SLOT_BYTES);
  const slots = new ReservedSlots(budget);
  slots.resize(MANY - 5);
  slots.drop(false);
  slots.resize(1000);
  expect(slots.trimming).toBe(false);
  expect(budget.usedBytes).toBe(1000 * SLOT_BYTES);
  slots.words[1999] = 9;
  expect(() => slots.resize(MANY + 1)).toThrow(StreamError);
  expect(slots.words.length).toBe(2000);
  expect(slots.words[1999]).toBe(9);
  expect(budget.usedBytes).toBe(1000 * SLOT_BYTES);
});
