import { expect, test } from 'vitest';
import { SystemClock } from '../../src/topology/clock.ts';

test('a sleep ends at once when its signal is aborted, before or meanwhile', async () => {
  const clock = new SystemClock();
  const stop = new AbortController();
  const began = clock.now().monotonicMs;
  const sleeping = clock.sleep(60_000, stop.signal);
  stop.abort();
  await sleeping;
  await clock.sleep(60_000, stop.signal);
  expect(clock.now().monotonicMs - began).toBeLessThan(10_000);
});

test('a sleep lasts as long as asked', async () => {
  const clock = new SystemClock();
  const began = clock.now().monotonicMs;
  await clock.sleep(15);
  expect(clock.now().monotonicMs - began).toBeGreaterThan(13);
});
