import type { Clock } from '../types.ts';

/** Given, since a controller that is told no reason makes an error, and with it looks up the stack. */
const RUNG = 'rung';

/** Sleeps that end early when it is rung. */
export class Bell {
  readonly #clock: Clock;
  #ringing: AbortController | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  sleep(ms: number): Promise<void> {
    this.#ringing ??= new AbortController();
    return this.#clock.sleep(ms, this.#ringing.signal);
  }

  /** Wakes all who sleep now; those who sleep later sleep. */
  ring(): void {
    const ringing = this.#ringing;
    this.#ringing = null;
    ringing?.abort(RUNG);
  }
}
