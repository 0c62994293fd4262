/** When records come, and what time they claim. */
import type { Random } from './random.ts';
import type { TrafficSettings } from './settings.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const BURST_SHARE = 0.05;

/** Kafka time at that place, 0…1, of the traffic: even but for bursts. */
export const slotMs = ({ baseMs, spanMs, bursts }: TrafficSettings, place: number): number => {
  if (bursts === 0) return Math.floor(baseMs + place * spanMs);
  const spellMs = spanMs / bursts;
  const burstMs = Math.min(MINUTE, spellMs / 10);
  const calmMs = (spellMs - burstMs) / 2;
  const spell = Math.floor(place * bursts);
  const inside = place * bursts - spell;
  const calm = (1 - BURST_SHARE) / 2;
  let atMs = (inside / calm) * calmMs;
  if (inside > 1 - calm) atMs = calmMs + burstMs + ((inside - 1 + calm) / calm) * calmMs;
  else if (inside > calm) atMs = calmMs + ((inside - calm) / BURST_SHARE) * burstMs;
  return Math.floor(baseMs + spell * spellMs + atMs);
};

/** Event time of a record by its Kafka time and its partition's watermark (-Infinity while unknown). */
type EventTime = (nowMs: number, watermarkMs: number) => number;

export interface Lateness {
  plain: EventTime;
  disorder: EventTime;
  lateInside: EventTime;
  late: EventTime;
  ahead: EventTime;
  skew: EventTime;
  malformed: EventTime;
  /** From a record to its copy: seconds, or minutes to hours, inside the dedup TTL. */
  copyDelayMs(): number;
  /** From a record to the next event with its id. */
  pastTtlMs(): number;
}

export const lateness = (settings: TrafficSettings, random: Random): Lateness => {
  const { maxOutOfOrdernessMs, maxFutureSkewMs, windowMs, allowedLatenessMs, dedupTtlMs, dedupBucketMs, farShare } = settings;
  const closedAfterMs = maxOutOfOrdernessMs + windowMs + allowedLatenessMs;
  /** The first ms of the oldest window still open. */
  const oldestOpenMs = (watermarkMs: number) => Math.floor((watermarkMs - allowedLatenessMs) / windowMs) * windowMs;
  /** The last moment until then that puts the watermark exactly on a window's end, where a wrong comparison would show. */
  const onWindowEndMs = (untilMs: number) => Math.floor((untilMs - maxOutOfOrdernessMs) / windowMs) * windowMs + maxOutOfOrdernessMs;
  const plain: EventTime = (nowMs) =>
    nowMs - Math.min(random.exponential(Math.min(3 * SECOND, maxOutOfOrdernessMs / 10)), 0.9 * maxOutOfOrdernessMs);
  const ancient = (nowMs: number) => nowMs - dedupTtlMs - 3 * dedupBucketMs - random.whole(0, 3 * dedupTtlMs);
  const isEdge = (watermarkMs: number) => Number.isFinite(watermarkMs) && random.chance(0.1);
  return {
    plain,
    malformed: plain,
    disorder: (nowMs) => nowMs - random.whole(0.1 * maxOutOfOrdernessMs, 0.95 * maxOutOfOrdernessMs),
    lateInside: (nowMs, watermarkMs) =>
      isEdge(watermarkMs)
        ? oldestOpenMs(watermarkMs)
        : nowMs - maxOutOfOrdernessMs - random.whole(Math.min(SECOND, 0.1 * allowedLatenessMs), 0.9 * allowedLatenessMs),
    late: (nowMs, watermarkMs) => {
      if (isEdge(watermarkMs)) return oldestOpenMs(watermarkMs) - 1;
      return random.chance(0.1) ? ancient(nowMs) : nowMs - closedAfterMs - random.whole(SECOND, Math.min(6 * HOUR, 0.5 * dedupTtlMs));
    },
    ahead: (nowMs) => {
      const place = random.fraction();
      if (place < 0.4) return Math.max(nowMs, onWindowEndMs(nowMs + maxFutureSkewMs));
      return place < 0.5 ? nowMs + maxFutureSkewMs : nowMs + random.whole(0, maxFutureSkewMs);
    },
    skew: (nowMs) => nowMs + maxFutureSkewMs + (random.chance(0.1) ? 1 : random.whole(2, 72 * HOUR)),
    copyDelayMs: () => {
      const farMs = Math.min(0.95 * dedupTtlMs, 23 * HOUR);
      return random.chance(farShare) ? MINUTE * (farMs / MINUTE) ** random.fraction() : random.whole(1, Math.min(MINUTE, 0.5 * farMs));
    },
    pastTtlMs: () => dedupTtlMs + 2 * dedupBucketMs + maxOutOfOrdernessMs + maxFutureSkewMs + random.whole(0, dedupBucketMs),
  };
};
