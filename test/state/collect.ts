/** A full collection of the heap, for tests of what is kept in memory. */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectNow = runInNewContext('gc') as () => void;

/** What a promise or a weak reference holds until the end of a turn is gone, too. */
export async function collectGarbage(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await setImmediate();
    collectNow();
  }
}
