import { expect, test } from 'vitest';
import { requestMemory, reuse } from '../../../src/topology/sources/request-memory.ts';

test('memory that was given back is used for what finds room in it, and for one at a time', () => {
  const memory = requestMemory(100_000);
  expect(memory.length).toBe(100_000);
  reuse(memory);
  const next = requestMemory(70_000);
  expect([next.buffer, next.byteOffset, next.length]).toEqual([memory.buffer, 0, 70_000]);
  expect(next.buffer).toBe(memory.buffer);
  expect(requestMemory(70_000).buffer).not.toBe(memory.buffer);
});

test('what is too small for a request gets memory of its own', () => {
  reuse(requestMemory(20_000));
  expect(requestMemory(2_000_000).length).toBe(2_000_000);
});

test('small memory, and pieces of other memory, are not kept', () => {
  const whole = Buffer.alloc(50_000);
  const small = requestMemory(100);
  for (const memory of [whole.subarray(1), small]) reuse(memory);
  for (let i = 0; i < 20; i++) expect([whole.buffer, small.buffer]).not.toContain(requestMemory(20_000).buffer);
});

test('no more than some MB wait for their next use', () => {
  const given = Array.from({ length: 20 }, () => requestMemory(1 << 20));
  for (const memory of given) reuse(memory);
  const again = Array.from({ length: 20 }, () => requestMemory(1 << 20));
  const memories = new Set(given.map(({ buffer }) => buffer));
  expect(again.filter(({ buffer }) => memories.has(buffer))).toHaveLength(8);
});
