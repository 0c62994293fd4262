import { expect, test } from 'vitest';
import { ResponsePool } from '../../../src/topology/sources/response-pool.ts';

const MIB = 1 << 20;

test('memory is used again when all who held it have let it go, and not before', () => {
  const pool = new ResponsePool();
  const first = pool.take(MIB + 80);
  const [one, other] = [pool.hold(first.buffer), pool.hold(first.buffer)];
  one();
  expect(pool.take(MIB).buffer).not.toBe(first.buffer);
  other();
  const again = pool.take(MIB + 70);
  expect([again.buffer === first.buffer, again.length]).toEqual([true, MIB + 70]);
  expect(pool.take(MIB + 70).buffer).not.toBe(first.buffer);
});

test('memory that nobody held is not used again', () => {
  const pool = new ResponsePool();
  const { buffer } = pool.take(MIB);
  for (let i = 0; i < 10; i++) expect(pool.take(MIB).buffer).not.toBe(buffer);
});

test('memory that is let go twice by one is used by one other, and not at all while another holds it', () => {
  const pool = new ResponsePool();
  const { buffer } = pool.take(MIB);
  const [one, other] = [pool.hold(buffer), pool.hold(buffer)];
  one();
  one();
  expect(pool.take(MIB).buffer).not.toBe(buffer);
  other();
  other();
  expect([pool.take(MIB), pool.take(MIB)].map((taken) => taken.buffer === buffer)).toEqual([true, false]);
});

test('a small response takes no large memory, nor any that others share', () => {
  const pool = new ResponsePool();
  const large = pool.take(8 * MIB);
  pool.hold(large.buffer)();
  expect(pool.take(MIB).buffer).not.toBe(large.buffer);
  const small = pool.take(100);
  pool.hold(small.buffer)();
  expect(small).toHaveLength(100);
  expect(pool.take(8 * MIB).buffer).toBe(large.buffer);
});

test('what waits is bounded: the oldest is forgotten', () => {
  const pool = new ResponsePool();
  const taken = Array.from({ length: 6 }, () => pool.take(8 * MIB));
  const holds = taken.map(({ buffer }) => pool.hold(buffer));
  for (const drop of holds) drop();
  const again = new Set(Array.from({ length: 6 }, () => pool.take(8 * MIB).buffer));
  expect(taken.map(({ buffer }) => again.has(buffer))).toEqual([false, false, true, true, true, true]);
});
