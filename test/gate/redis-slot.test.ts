import { expect, it } from 'vitest';
import { slotOf } from '../../src/gate/redis-slot.ts';

it('slots are those that Redis itself gives', () => {
  // CLUSTER KEYSLOT of Redis 7.0.15.
  expect(slotOf('123456789')).toBe(12739);
  expect(slotOf('foo')).toBe(12182);
  expect(slotOf('')).toBe(0);
});

it('only the first non-empty pair of braces counts, as in Redis', () => {
  expect(slotOf('p:spend:{c1}:2026-01-01')).toBe(slotOf('c1'));
  expect(slotOf('spend:{{c}}:d')).toBe(slotOf('{c'));
  expect(slotOf('spend:{}:d{c}')).not.toBe(slotOf('c'));
  expect(slotOf('spend:{💶}:d')).toBe(slotOf('💶'));
});
