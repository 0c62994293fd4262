import type { Surroundings } from './campaign.ts';
import type { GateClock } from './clock.ts';
import type { GateSettings } from './settings.ts';

/** What time it is for Redis, and whether Redis is there at all. */
export class Outlook {
  readonly #clock: GateClock;
  readonly #goneAfterMs: number;
  readonly #tell: (isGone: boolean) => void;
  readonly #now: Surroundings;
  /** Redis TIME at one moment of the monotonic clock. */
  #anchor = { redisMs: Number.NaN, monotonicMs: 0 };
  #answeredMs: number;
  #toldGone = false;

  /** `tell`: Redis is gone, or back. */
  constructor(clock: GateClock, settings: GateSettings, tell: (isGone: boolean) => void) {
    this.#clock = clock;
    this.#goneAfterMs = settings.goneAfterMs;
    this.#tell = tell;
    this.#answeredMs = clock.monotonicMs();
    const { staleAfterMs, recoverMs } = settings;
    const redisBackMs = Number.NEGATIVE_INFINITY;
    this.#now = { monotonicMs: this.#answeredMs, redisMs: Number.NaN, isRedisGone: false, redisBackMs, staleAfterMs, recoverMs };
  }

  /** Always the same object, brought up to this moment. */
  now(): Surroundings {
    const now = this.#now;
    now.monotonicMs = this.#clock.monotonicMs();
    now.redisMs = this.#anchor.redisMs + (now.monotonicMs - this.#anchor.monotonicMs);
    now.isRedisGone = now.monotonicMs - this.#answeredMs > this.#goneAfterMs;
    return now;
  }

  /** Since Redis last answered. */
  get silentMs(): number {
    return this.now().monotonicMs - this.#answeredMs;
  }

  /** The time counts from when the question was sent: rather too late than too early. */
  answered(redisMs: number, sentMs: number): void {
    const now = this.now();
    this.notice();
    if (now.isRedisGone) now.redisBackMs = now.monotonicMs;
    this.#answeredMs = now.monotonicMs;
    this.#anchor = { redisMs, monotonicMs: sentMs };
    if (this.#toldGone) this.#tell(false);
    this.#toldGone = false;
  }

  /** Tells once that Redis is gone. */
  notice(): void {
    if (this.#toldGone || !this.now().isRedisGone) return;
    this.#toldGone = true;
    this.#tell(true);
  }
}
