import { expect, test } from 'vitest';
import { Bell } from '../../../src/topology/sources/bell.ts';
import { HandClock } from '../hand-clock.ts';

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
