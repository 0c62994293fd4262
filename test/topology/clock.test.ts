import { expect, test } from 'vitest';
import { breathe, SystemClock } from '../../src/topology/clock.ts';

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

test('of several who work for long, one goes on a turn of the event loop', async () => {
  let turn = 0;
  const count = (): void => {
    turn++;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  const turns: number[][] = [[], [], []];
  const worker = async (worked: number[]): Promise<void> => {
    for (let step = 0; step < 20; step++) {
      await breathe();
      worked.push(turn);
    }
  };
  await Promise.all(turns.map(worker));
  clearImmediate(counting);
  expect(new Set(turns.flat()).size).toBe(60);
  // Nobody is passed over.
  for (const worked of turns) expect(Math.max(...worked.map((at, i) => at - (worked[i - 1] ?? at)))).toBeLessThanOrEqual(3);
});
