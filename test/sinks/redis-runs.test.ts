import { expect, it } from 'vitest';
import { runsOf } from '../../src/sinks/redis-runs.ts';

const write = (fields: Record<string, string>, more: { expiryMs?: number; keepLarger?: boolean; stamped?: boolean } = {}) => ({
  key: 'any',
  fields,
  expiryMs: 60,
  ...more,
});

it('what is alike is said once for all neighbours that share it', () => {
  const writes = [write({ a: '1', b: '2' }), write({ a: '3', b: '4' }), write({ a: '5', b: '6' })];
  expect(runsOf(writes)).toEqual(['60', '0', '3', '2', 'a', 'b', '1', '2', '3', '4', '5', '6']);
});

it('another expiry, another way, another field, fewer, more, or another order begin another run', () => {
  const first = write({ a: '1', b: '2' });
  const run = ['60', '0', '1', '2', 'a', 'b', '1', '2'];
  for (const [other, header] of [
    [write({ a: '3', b: '4' }, { expiryMs: 61 }), ['61', '0', '1', '2', 'a', 'b']],
    [write({ a: '3', b: '4' }, { keepLarger: true }), ['60', '1', '1', '2', 'a', 'b']],
    [write({ a: '3', b: '4' }, { stamped: true }), ['60', '2', '1', '2', 'a', 'b']],
    [write({ a: '3', c: '4' }), ['60', '0', '1', '2', 'a', 'c']],
    [write({ a: '3' }), ['60', '0', '1', '1', 'a']],
    [write({ a: '3', b: '4', c: '5' }), ['60', '0', '1', '3', 'a', 'b', 'c']],
    [write({ b: '3', a: '4' }), ['60', '0', '1', '2', 'b', 'a']],
    [write({}), ['60', '0', '1', '0']],
  ] as const)
    expect(runsOf([first, other, first])).toEqual([...run, ...header, ...Object.values(other.fields), ...run]);
});

it('of nothing there is nothing to say', () => {
  expect(runsOf([])).toEqual([]);
});

it('a write that is not even like itself is a run of its own: none is ever empty', () => {
  expect(runsOf([write({ a: '1' }, { expiryMs: Number.NaN })])).toEqual(['NaN', '0', '1', '1', 'a', '1']);
});
