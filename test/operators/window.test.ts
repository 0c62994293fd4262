import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Watermark } from '../../src/operators/watermark.ts';
import { closedUntil, isLate, windowEndMs } from '../../src/operators/window.ts';

const MINUTE = 60_000;
const times = { windowMs: MINUTE, allowedLatenessMs: 15 * MINUTE };

test('a window holds its first millisecond and not its last: the end belongs to the next', () => {
  expect(windowEndMs(0, MINUTE)).toBe(MINUTE);
  expect(windowEndMs(MINUTE - 1, MINUTE)).toBe(MINUTE);
  expect(windowEndMs(MINUTE, MINUTE)).toBe(2 * MINUTE);
  expect(windowEndMs(8.64e15, MINUTE)).toBe(8.64e15 + MINUTE);
});

test('an event is late from the very watermark that reaches its window’s end and the lateness on', () => {
  const closes = 16 * MINUTE;
  for (const eventTs of [0, MINUTE - 1]) {
    expect(isLate(eventTs, closes - 1, times)).toBe(false);
    expect(isLate(eventTs, closes, times)).toBe(true);
  }
  expect(isLate(MINUTE, closes, times)).toBe(false);
});

test('nothing is late before the first accepted record', () => {
  expect(isLate(0, new Watermark(30_000).ms, times)).toBe(false);
});

test('where everything until a time is closed, every event before it is late, and the next one is not', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: -2 * MINUTE, max: 2 * MINUTE }), fc.nat(MINUTE - 1), (window, off, inside) => {
      const endMs = (window + 1) * MINUTE;
      const watermarkMs = endMs + times.allowedLatenessMs + off;
      expect(closedUntil(endMs, watermarkMs, times)).toBe(off >= 0);
      expect(isLate(window * MINUTE + inside, watermarkMs, times)).toBe(off >= 0);
    }),
  );
});

test('a watermark follows the highest event time at its distance, and says when it moved', () => {
  const watermark = new Watermark(30_000);
  expect(watermark.ms).toBe(Number.NEGATIVE_INFINITY);
  expect([watermark.observe(100_000), watermark.ms]).toEqual([true, 70_000]);
  expect([watermark.observe(100_000), watermark.observe(99_999), watermark.observe(0), watermark.ms]).toEqual([
    false,
    false,
    false,
    70_000,
  ]);
  expect([watermark.observe(100_001), watermark.ms]).toEqual([true, 70_001]);
});
