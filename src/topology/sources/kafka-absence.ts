import type { StreamError } from '../../errors.ts';
import type { Clock } from '../types.ts';
import { fatalKafkaError } from './kafka-client.ts';

/** A broker that has just started knows no topic for a moment; one that was deleted stays away. */
const ABSENT_AFTER_MS = 30_000;

/** Tells a topic that is gone from one that a broker does not know yet: gone is what every attempt said for long enough. */
export class Absence {
  readonly #clock: Clock;
  readonly #afterMs: number;
  #sinceMs: number | null = null;

  constructor(clock: Clock, afterMs = ABSENT_AFTER_MS) {
    this.#clock = clock;
    this.#afterMs = afterMs;
  }

  /** As `fatalKafkaError`; null for a topic that is missing only since a moment. */
  fatal(error: unknown): StreamError | null {
    const fatal = fatalKafkaError(error);
    if (fatal?.code !== 'topic_missing') {
      this.over();
      return fatal;
    }
    const nowMs = this.#clock.now().monotonicMs;
    this.#sinceMs ??= nowMs;
    return nowMs - this.#sinceMs >= this.#afterMs ? fatal : null;
  }

  /** An attempt succeeded. */
  over(): void {
    this.#sinceMs = null;
  }
}
