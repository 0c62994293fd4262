/** The machine's time. The only file outside main that may ask for it; everything else is given a Clock or a Now. */
import type { Clock, Now } from './types.ts';

export class SystemClock implements Clock {
  now(): Now {
    return { monotonicMs: performance.now(), wallMs: Date.now() };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done);
    });
  }
}

const waiting: (() => void)[] = [];

/** Lets everything else that is ready run first; for long work on the main thread. Of several who wait, one goes on a turn of the event loop. */
export const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(goOn);
  });

function goOn(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(goOn);
}
