/** For `abort`: without a reason it makes an exception with a stack each time, a third of a millisecond. */
export const DONE = 'done';

/** The gate's only sources of time and chance; tests and studies bring their own. */
export interface GateClock {
  /** Never goes back, whatever happens to the machine's date; its zero means nothing. */
  monotonicMs(): number;
  /** Resolves after that long, or at once when the signal is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Evenly 0…1, exclusive. */
  random(): number;
}

export class MachineClock implements GateClock {
  monotonicMs(): number {
    return performance.now();
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
    });
  }

  random(): number {
    return Math.random();
  }
}
