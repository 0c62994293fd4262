import type { Clock, Now } from '../../src/topology/types.ts';

interface Sleeper {
  untilMs: number;
  wake: () => void;
}

/** Time that only the story moves. Monotonic time begins at 0; the wall clock says where the story is set. */
export class HandClock implements Clock {
  readonly #startWallMs: number;
  #nowMs = 0;
  #sleepers: Sleeper[] = [];

  constructor(startWallMs: number) {
    this.#startWallMs = startWallMs;
  }

  now(): Now {
    return { monotonicMs: this.#nowMs, wallMs: this.#startWallMs + this.#nowMs };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper: Sleeper = { untilMs: this.#nowMs + Math.max(0, ms), wake: resolve };
      this.#sleepers.push(sleeper);
      const wakeNow = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        resolve();
      };
      signal?.addEventListener('abort', wakeNow, { once: true });
    });
  }

  /** As a machine that was asleep: time is later, and nobody woke on the way. */
  leap(ms: number): void {
    this.#nowMs += ms;
  }

  /** Lets that much time pass; whoever wakes on the way does all it can before time goes on. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settled();
    for (;;) {
      const next = this.#sleepers.reduce((least, { untilMs }) => Math.min(least, untilMs), Number.POSITIVE_INFINITY);
      if (next > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next);
      const woken = this.#sleepers.filter((sleeper) => sleeper.untilMs <= this.#nowMs);
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.untilMs > this.#nowMs);
      for (const { wake } of woken) wake();
      await settled();
    }
    this.#nowMs = untilMs;
  }
}

/** Until nothing more follows by itself: Node runs this queue again only when all promises have settled. */
export const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
