/** What the gate holds of one campaign, and which reading of it to believe. */
import { answer, closed, type GateAnswer, type Sight, troubleOf } from './answer.ts';
import { ABSENT, type KnownCurve, type PaceFields, parsePace } from './pace-fields.ts';
import { ageMs, isStale } from './projection.ts';

/** The gate's view of time and of Redis as a whole; one object, brought up to date before each use. */
export interface Surroundings {
  monotonicMs: number;
  /** Redis TIME by now; NaN before the first answer. */
  redisMs: number;
  isRedisGone: boolean;
  staleAfterMs: number;
  /** When Redis answered again after it had been gone, monotonic. */
  redisBackMs: number;
  /** Fresh again, a campaign stays conservative for this long. */
  recoverMs: number;
}

/** What became of a reading. `outdated`: older than what is known, so what is known stands. */
export type Taken = 'taken' | 'outdated' | 'missing' | 'unreadable';

export class Campaign {
  readonly key: string;
  checkedMs: number;
  /** A read of it is under way: it is not asked for again meanwhile. */
  isAsked = false;
  /** Nobody checks it, so it is not refreshed: that its values grow old says nothing about Redis. */
  isResting = false;
  #fields: PaceFields | null = null;
  readonly #curve: KnownCurve = { text: '', curve: [] };
  #fault: 'key_missing' | 'key_unreadable' | null = null;
  #wasRead = false;
  /** Monotonic: when either time of the values last moved on, and when a reading last found them not to be trusted. */
  #countedMovedMs = 0;
  #updatedMovedMs = 0;
  #troubledMs = Number.NEGATIVE_INFINITY;
  readonly #sight: Sight = { nowMs: 0, unmovedMs: 0, trouble: null, staleAfterMs: 0 };

  constructor(key: string, monotonicMs: number) {
    this.key = key;
    this.checkedMs = monotonicMs;
  }

  get known(): PaceFields | null {
    return this.#fields;
  }

  /** It was asked for at least once, and Redis answered. */
  get wasRead(): boolean {
    return this.#wasRead;
  }

  answer(now: Surroundings): GateAnswer {
    if (this.#fields === null) return closed(now.isRedisGone ? 'redis_gone' : (this.#fault ?? 'not_read_yet'));
    return answer(this.#fields, this.#look(now));
  }

  /** One reading, as `PaceReader` gives it. */
  take(text: string, now: Surroundings): Taken {
    this.#wasRead = true;
    const wasInTrouble = this.#isInTrouble(now);
    this.isResting = false;
    const fields = text === ABSENT ? null : parsePace(text, this.#curve, this.#fields);
    if (fields === null) {
      this.#fault = text === ABSENT ? 'key_missing' : 'key_unreadable';
      return text === ABSENT ? 'missing' : 'unreadable';
    }
    this.#fault = null;
    const isNews = fields !== this.#fields;
    if (isNews && !this.#isBelievable(fields, now)) return 'outdated';
    if (isNews) this.#keep(fields, now.monotonicMs);
    if (wasInTrouble) this.#troubledMs = now.monotonicMs;
    return 'taken';
  }

  #keep(fields: PaceFields, monotonicMs: number): void {
    const known = this.#fields;
    if (known?.countedUntilMs !== fields.countedUntilMs) this.#countedMovedMs = monotonicMs;
    if (known?.updatedMs !== fields.updatedMs) this.#updatedMovedMs = monotonicMs;
    this.#fields = fields;
  }

  /**
   * Positions only grow, and at one position time does: what says otherwise is an old dump or an old writer. Unless it is
   * all there is: once the known is stale, fresh values are believed at any position (a deployment begun anew).
   */
  #isBelievable(fields: PaceFields, now: Surroundings): boolean {
    const known = this.#fields;
    if (known === null) return true;
    const ahead = fields.epoch - known.epoch || fields.version - known.version || fields.updatedMs - known.updatedMs;
    if (ahead >= 0) return true;
    const isKnownStale = isStale(ageMs(known, now.redisMs, this.#unmovedMs(now)), now.staleAfterMs);
    return isKnownStale && !isStale(ageMs(fields, now.redisMs), now.staleAfterMs);
  }

  #isInTrouble(now: Surroundings): boolean {
    if (this.#fields === null || this.isResting) return false;
    const trouble = troubleOf(this.#fields, this.#look(now));
    return trouble !== null && trouble !== 'recovering';
  }

  /** Both must move: whoever writes may go on doing so long after counting has stopped. */
  #unmovedMs(now: Surroundings): number {
    return now.monotonicMs - Math.min(this.#countedMovedMs, this.#updatedMovedMs);
  }

  #look(now: Surroundings): Sight {
    const sight = this.#sight;
    sight.nowMs = now.redisMs;
    sight.unmovedMs = this.#unmovedMs(now);
    sight.staleAfterMs = now.staleAfterMs;
    sight.trouble = now.isRedisGone ? 'redis_gone' : this.#fault;
    if (sight.trouble === null && now.monotonicMs - Math.max(this.#troubledMs, now.redisBackMs) < now.recoverMs)
      sight.trouble = 'recovering';
    return sight;
  }
}
