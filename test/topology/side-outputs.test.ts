import { expect, test } from 'vitest';
import { Staged } from './staged.ts';

test('a burst of copies finds room made in one piece the next time, and what comes after a quiet while takes little', () => {
  const staged = new Staged('impressions');
  let offset = 0;
  const roomOf = (records: number): number => {
    const value = Buffer.alloc(1000, 'no impression');
    staged.process(Array.from({ length: records }, () => ({ offset: offset++, timestampMs: 0, key: null, value })));
    return staged.commit().at(-1)?.value?.buffer.byteLength ?? 0;
  };
  expect(roomOf(1000)).toBeGreaterThanOrEqual(1_000_000);
  expect(roomOf(1000)).toBe(1_000_000);
  expect(roomOf(0)).toBe(0);
  expect(roomOf(1)).toBe(4096);
});
