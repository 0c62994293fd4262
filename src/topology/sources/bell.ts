import type { Clock } from '../types.ts';

interface Sleeper {
  untilMs: number;
  wake: () => void;
}

/** Given, since a controller that is told no reason makes an error, and with it looks up the stack. */
const NOT_NEEDED = 'not needed';

/**
 * Sleeps that end early when it is rung. Nearly all do: a sleep sets the clock only where it would end before what is set already, and
 * who is rung leaves that as it is, so that thousands of sleeps a second take a few timers.
 */
export class Bell {
  readonly #clock: Clock;
  #sleepers: Sleeper[] = [];
  /** When the clock wakes somebody; Infinity when it is not set. */
  #setMs = Number.POSITIVE_INFINITY;
  #setting = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  sleep(ms: number): Promise<void> {
    const untilMs = this.#clock.now().monotonicMs + ms;
    return new Promise((wake) => {
      this.#sleepers.push({ untilMs, wake });
      if (untilMs < this.#setMs) this.#set(untilMs, ms);
    });
  }

  /** Wakes all who sleep now; those who sleep later sleep. */
  ring(): void {
    const woken = this.#sleepers;
    if (woken.length === 0) return;
    this.#sleepers = [];
    for (const { wake } of woken) wake();
  }

  /** Wakes all, and leaves nothing set. */
  close(): void {
    this.ring();
    this.#unset();
  }

  #set(untilMs: number, ms: number): void {
    this.#unset();
    const { signal } = this.#setting;
    this.#setMs = untilMs;
    void this.#clock.sleep(ms, signal).then(() => {
      if (!signal.aborted) this.#wakeDue();
    });
  }

  #unset(): void {
    if (this.#setMs === Number.POSITIVE_INFINITY) return;
    this.#setting.abort(NOT_NEEDED);
    this.#setting = new AbortController();
    this.#setMs = Number.POSITIVE_INFINITY;
  }

  /** What is set has come: those whose time it is wake, and the clock is set for the next of the others. */
  #wakeDue(): void {
    // A timer may come a little early, as the clock sees it.
    const nowMs = Math.max(this.#setMs, this.#clock.now().monotonicMs);
    this.#setMs = Number.POSITIVE_INFINITY;
    const sleepers = this.#sleepers;
    this.#sleepers = sleepers.filter(({ untilMs }) => untilMs > nowMs);
    const nextMs = this.#sleepers.reduce((least, { untilMs }) => Math.min(least, untilMs), Number.POSITIVE_INFINITY);
    if (nextMs < Number.POSITIVE_INFINITY) this.#set(nextMs, nextMs - nowMs);
    for (const { untilMs, wake } of sleepers) if (untilMs <= nowMs) wake();
  }
}
