import { expect, test } from 'vitest';
import { Staged } from './staged.ts';

test('copies lie in two buffers in turn, made in one piece for as many as there were before; after a long quiet while they take little', () => {
  const staged = new Staged('impressions');
  let offset = 0;
  const memoryOf = (records: number): ArrayBufferLike | undefined => {
    const value = Buffer.alloc(1000, 'no impression');
    staged.process(Array.from({ length: records }, () => ({ offset: offset++, timestampMs: 0, key: null, value })));
    return staged.commit().at(-1)?.value?.buffer;
  };
  const first = memoryOf(1000);
  const second = memoryOf(1000);
  expect(first?.byteLength).toBeGreaterThanOrEqual(1_000_000);
  expect(second?.byteLength).toBeGreaterThanOrEqual(1_000_000);
  expect(second?.byteLength).toBeLessThan(1_300_000);
  const isIn = (records: number, memory: typeof first): void => expect(memoryOf(records)).toBe(memory);
  isIn(1000, first);
  for (const times of [7, 8]) {
    isIn(900, second);
    isIn(1000, first);
    for (let i = 0; i < times; i++) {
      isIn(1, second);
      isIn(1, first);
    }
  }
  expect(memoryOf(1)?.byteLength).toBe(4096);
});

test('what was taken stays as it was while more comes in', () => {
  const staged = new Staged('impressions');
  const process = (text: string): void =>
    staged.process([{ offset: 0, timestampMs: 0, key: Buffer.from('key'), value: Buffer.from(text) }]);
  process('before');
  staged.commit();
  process('first');
  const taken = staged.commit()[0];
  process('second');
  expect([taken.key, taken.value].map((bytes) => Buffer.from(bytes ?? []).toString())).toEqual(['key', 'first']);
});
