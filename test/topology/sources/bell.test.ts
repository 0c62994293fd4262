import { expect, test } from 'vitest';
import { Bell } from '../../../src/topology/sources/bell.ts';
import type { Clock } from '../../../src/topology/types.ts';
import { HandClock } from '../hand-clock.ts';

/** A bell, and the signals of all that it has set the clock for. */
const heard = (clock: Clock): { bell: Bell; signals: (AbortSignal | undefined)[] } => {
  const signals: (AbortSignal | undefined)[] = [];
  const sleep: Clock['sleep'] = (ms, signal) => {
    signals.push(signal);
    return clock.sleep(ms, signal);
  };
  return { bell: new Bell({ now: () => clock.now(), sleep }), signals };
};

test('a bell wakes all who sleep, and not those who sleep later', async () => {
  const clock = new HandClock(0);
  const bell = new Bell(clock);
  const awake: string[] = [];
  const sleeper = async (name: string, ms: number): Promise<void> => {
    await bell.sleep(ms);
    awake.push(name);
  };
  bell.ring();
  void sleeper('short', 10);
  void sleeper('long', 1000);
  void sleeper('longer', 1000);
  await clock.pass(20);
  expect(awake).toEqual(['short']);
  bell.ring();
  void sleeper('late', 1000);
  await clock.pass(1);
  expect(awake).toEqual(['short', 'long', 'longer']);
  await clock.pass(1000);
  expect(awake.at(-1)).toBe('late');
});

test('who has slept out sleeps again, and wakes again', async () => {
  const clock = new HandClock(0);
  const bell = new Bell(clock);
  const awake: number[] = [];
  for (let i = 0; i < 3; i++) {
    void bell.sleep(10).then(() => awake.push(i));
    await clock.pass(10);
    expect(awake).toHaveLength(i + 1);
  }
});

test('thousands of sleeps that a ring ends set the clock a few times, and who is not rung wakes on time', async () => {
  const clock = new HandClock(0);
  const { bell, signals } = heard(clock);
  for (let i = 0; i < 1000; i++) {
    const slept = bell.sleep(200 - (i % 100));
    await clock.pass(1);
    bell.ring();
    await slept;
  }
  expect(signals.length).toBeLessThan(20);
  const wokenMs: number[] = [];
  for (const ms of [500, 70, 70, 3, 0]) void bell.sleep(ms).then(() => wokenMs.push(clock.now().monotonicMs - 1000));
  await clock.pass(600);
  expect(wokenMs).toEqual([0, 3, 70, 70, 500]);
});

test('what is closed wakes all and sets the clock for nobody, until somebody sleeps again', async () => {
  const clock = new HandClock(0);
  const { bell, signals } = heard(clock);
  const slept = [bell.sleep(1000), bell.sleep(10)];
  bell.close();
  await Promise.all(slept);
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
  const again = bell.sleep(10);
  await clock.pass(10);
  await again;
});
