/** What the gate holds of one campaign, and which reading of it to believe. */
import { answer, closed, type GateAnswer, type Sight, troubleOf } from './answer.ts';
import { copyFields, noFields, type PaceFields } from './pace-fields.ts';
import { isAbsent, type KnownPace, noCurve, type PaceText, readPace } from './pace-text.ts';
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

/**
 * What became of a reading. `outdated`: older than what is known, so what is known stands. `replanned`: it names a plan that
 * is not known, so the whole key is to be read before any of it counts.
 */
export type Taken = 'taken' | 'outdated' | 'missing' | 'unreadable' | 'replanned';

/** What the next reading of any campaign says. */
const reading = noFields();

export class Campaign {
  readonly key: string;
  checkedMs: number;
  /** A read of it is under way: it is not asked for again meanwhile. */
  isAsked = false;
  /** When it was last asked for, monotonic. */
  askedMs = Number.NEGATIVE_INFINITY;
  /** Nobody checks it, so it is seldom refreshed: that its values grow old says nothing about Redis. */
  isResting = false;
  readonly #known: KnownPace = { fields: null, curve: noCurve() };
  #fault: 'key_missing' | 'key_unreadable' | null = null;
  #wasRead = false;
  #isReplanned = false;
  /** Monotonic: when either time of the values last moved on, and when a reading last found them not to be trusted. */
  #countedMovedMs = 0;
  #updatedMovedMs = 0;
  #troubledMs = Number.NEGATIVE_INFINITY;
  readonly #sight: Sight = { nowMs: 0, unmovedMs: 0, trouble: null, staleAfterMs: 0 };

  constructor(key: string, monotonicMs: number) {
    this.key = key;
    this.checkedMs = monotonicMs;
  }

  /** The same object from reading to reading. */
  get known(): Readonly<PaceFields> | null {
    return this.#known.fields;
  }

  /** It was asked for at least once, and Redis answered. */
  get wasRead(): boolean {
    return this.#wasRead;
  }

  /** The brief fields would not do. */
  get needsWhole(): boolean {
    return this.#isReplanned || !this.#known.fields?.plan;
  }

  answer(now: Surroundings): GateAnswer {
    const { fields } = this.#known;
    if (fields === null) return closed(now.isRedisGone ? 'redis_gone' : (this.#fault ?? 'not_read_yet'));
    return answer(fields, this.#look(now));
  }

  /** One reading, as `PaceReader` gives it. */
  take(text: PaceText, now: Surroundings): Taken {
    this.#wasRead = true;
    const wasInTrouble = this.#isInTrouble(now);
    this.isResting = false;
    if (isAbsent(text)) {
      this.#fault = 'key_missing';
      return 'missing';
    }
    const read = readPace(text, this.#known, reading);
    if (read === 'unreadable') {
      this.#fault = 'key_unreadable';
      return 'unreadable';
    }
    if (read !== 'same' && !this.#isBelievable(reading, now)) {
      this.#fault = null;
      return 'outdated';
    }
    if (read === 'other_plan') {
      this.#isReplanned = true;
      return 'replanned';
    }
    this.#fault = null;
    if (read === 'read') this.#keep(reading, now.monotonicMs);
    this.#isReplanned = false;
    if (wasInTrouble) this.#troubledMs = now.monotonicMs;
    return 'taken';
  }

  #keep(fields: PaceFields, monotonicMs: number): void {
    this.#known.fields ??= noFields();
    const known = this.#known.fields;
    if (known.countedUntilMs !== fields.countedUntilMs) this.#countedMovedMs = monotonicMs;
    if (known.updatedMs !== fields.updatedMs) this.#updatedMovedMs = monotonicMs;
    copyFields(fields, known);
  }

  /**
   * Positions only grow, and at one position time does: what says otherwise is an old dump or an old writer. Unless it is
   * all there is: once the known is stale, fresh values are believed at any position (a deployment begun anew).
   */
  #isBelievable(fields: PaceFields, now: Surroundings): boolean {
    const known = this.#known.fields;
    if (known === null) return true;
    const ahead = fields.epoch - known.epoch || fields.version - known.version || fields.updatedMs - known.updatedMs;
    if (ahead >= 0) return true;
    const isKnownStale = isStale(ageMs(known, now.redisMs, this.#unmovedMs(now)), now.staleAfterMs);
    return isKnownStale && !isStale(ageMs(fields, now.redisMs), now.staleAfterMs);
  }

  #isInTrouble(now: Surroundings): boolean {
    const { fields } = this.#known;
    if (fields === null || this.isResting) return false;
    const trouble = troubleOf(fields, this.#look(now));
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
