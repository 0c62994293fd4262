/** Time that a study moves on: sleepers wake in order, and what happens between two wakings costs no waking at all. */
import { setImmediate as idle } from 'node:timers/promises';
import type { GateClock } from '../../src/gate/clock.ts';
import type { Clock, Now } from '../../src/topology/types.ts';

interface Sleeper {
  untilMs: number;
  wake: () => void;
}

/** A day has a million wakings; garbage is collected only when node's queues run dry now and then. */
const WAKINGS_PER_BREATH = 1000;

export class VirtualClock implements Clock {
  readonly #startMs: number;
  #nowMs = 0;
  #wakings = 0;
  readonly #sleepers = new Set<Sleeper>();

  /** @param startMs epoch ms, where the story begins */
  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  now(): Now {
    return { monotonicMs: this.#nowMs, wallMs: this.#startMs + this.#nowMs };
  }

  get epochMs(): number {
    return this.#startMs + this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper: Sleeper = {
        // Whole, so that it is met exactly: an epoch time with a fraction is rounded.
        untilMs: Math.ceil(this.#nowMs + Math.max(0, ms)),
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake);
    });
  }

  /** Sets the time for what happens now; never back. */
  at(epochMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, epochMs - this.#startMs);
  }

  /** When the next sleeper wakes, epoch ms. */
  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#sleepers) if (untilMs < next) next = untilMs;
    return this.#startMs + next;
  }

  /** Wakes who is due; resolves when all that follows by itself has happened. */
  async wakeDue(): Promise<void> {
    const due = [...this.#sleepers].filter(({ untilMs }) => untilMs <= this.#nowMs);
    for (const { wake } of due) wake();
    this.#wakings += 1;
    if (this.#wakings % WAKINGS_PER_BREATH === 0) await idle();
    await settled();
  }

  /** The gate's view of it. */
  forGate(random: () => number): GateClock {
    return { monotonicMs: () => this.#nowMs, sleep: (ms, signal) => this.sleep(ms, signal), random };
  }
}

/** Node runs this queue only when all promises have settled. */
export const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
