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

test('small memory is a piece of what the platform gives to all, and is never kept, wherever it lies in it', () => {
  const pools = new Set<ArrayBufferLike>();
  let first = 0;
  for (let i = 0; i < 100; i++) {
    const small = requestMemory(5000);
    pools.add(small.buffer);
    if (small.byteOffset === 0) first++;
    reuse(small);
    if (pools.has(requestMemory(20_000).buffer)) expect.fail('memory of others');
  }
  expect(first).toBeGreaterThan(0);
});

test('memory of others is not kept', () => {
  const whole = Buffer.alloc(50_000);
  reuse(whole);
  for (let i = 0; i < 20; i++) expect(requestMemory(20_000).buffer).not.toBe(whole.buffer);
});

test('what is far too large for a request is left to others', () => {
  const large = requestMemory(4 << 20);
  reuse(large);
  expect(requestMemory(20_000).buffer).not.toBe(large.buffer);
  expect(requestMemory(3 << 20).buffer).toBe(large.buffer);
});

test('no more than 32 MB wait for their next use', () => {
  const given = Array.from({ length: 40 }, () => requestMemory(1 << 20));
  for (const memory of given) reuse(memory);
  const again = Array.from({ length: 40 }, () => requestMemory(1 << 20));
  const memories = new Set(given.map(({ buffer }) => buffer));
  expect(again.filter(({ buffer }) => memories.has(buffer))).toHaveLength(32);
});
