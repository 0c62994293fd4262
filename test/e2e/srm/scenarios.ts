/**
 * The ways in which an experiment goes wrong (srm.md §2), each as traffic with the fault built in and the verdict it must get.
 * Everything follows from the seed; event time is a clock of its own, so that lateness is the same at any speed.
 */
import { armOfBucket, bucketOf } from '../../../src/srm/bucket.ts';
import type { Stream } from '../../../src/topology/types.ts';
import { Random } from '../../sim/random.ts';

export interface Logged {
  stream: Extract<Stream, 'exposures' | 'assignments'>;
  unitId: string;
  event: Record<string, unknown>;
}

export interface Verdict {
  kind: string;
  stage: string;
  /** `dimension value`, or null where the whole is broken alike. */
  culprit: string | null;
  cause: string;
  /** Units at which it begins. */
  onset: number;
}

export interface Scenario {
  id: string;
  title: string;
  units: number;
  /** Shares by variant, by version. */
  versions: Record<number, Record<string, number>>;
  hash: 'md5_mod_100' | null;
  verdict: Verdict;
  /** What is logged of one unit. */
  unit: (traffic: UnitTraffic) => void;
}

/** What a scenario says about one unit. */
export class UnitTraffic {
  readonly number: number;
  readonly id: string;
  readonly random: Random;
  readonly #experimentId: string;
  readonly #clockMs: number;
  readonly #out: Logged[];
  readonly attributes: Record<string, string | boolean>;

  constructor(place: { number: number; experimentId: string; clockMs: number; random: Random; out: Logged[] }) {
    this.number = place.number;
    this.id = `user-${place.number}`;
    this.random = place.random;
    this.#experimentId = place.experimentId;
    this.#clockMs = place.clockMs;
    this.#out = place.out;
    this.attributes = {
      country: this.random.pick(['US', 'DE', 'BR', 'IN']),
      sdk_version: this.random.chance(0.2) ? '4.1' : this.random.pick(['4.2', '4.3']),
      is_bot: false,
    };
  }

  /** The variant by `md5_mod_100`. */
  hashed(shares: Record<string, number>): string {
    const bucket = bucketOf(this.id, this.#experimentId, null);
    return Object.keys(shares)[armOfBucket(bucket, Object.values(shares))];
  }

  assigned(variant: string, version = 1): void {
    this.#log('assignments', variant, version, this.#clockMs - 200, {});
  }

  exposed(variant: string, { version = 1, agoMs = 0 } = {}): void {
    const { attributes } = this;
    this.#log('exposures', variant, version, this.#clockMs - agoMs, { attributes, assigned_ts: this.#clockMs - agoMs - 200 });
  }

  #log(stream: Logged['stream'], variant: string, version: number, eventMs: number, more: object): void {
    const event = {
      event_id: `${this.#experimentId}-${this.id}-${stream}-${variant}`,
      experiment_id: this.#experimentId,
      variant_id: variant,
      unit_id: this.id,
      event_ts: Math.floor(eventMs),
      allocation_version: version,
      ...more,
    };
    this.#out.push({ stream, unitId: this.id, event });
  }
}

const HALF = { control: 0.5, treatment: 0.5 };
const half = { 1: HALF };
const LATE_MS = 60 * 60_000;
const CLEAN = 200_000;
const RAMP_AT = 15_000;

/** A unit assigned as it should be, whose exposure is lost with some chance. */
const losing = (traffic: UnitTraffic, isLost: (variant: string) => boolean): void => {
  const variant = traffic.hashed(HALF);
  traffic.assigned(variant);
  if (!isLost(variant)) traffic.exposed(variant);
};

export const SCENARIOS: readonly Scenario[] = [
  {
    id: 'bucketing',
    title: 'bucketing bug: 54 of 100 buckets go to control',
    units: 20_000,
    versions: half,
    hash: 'md5_mod_100',
    verdict: { kind: 'srm', stage: 'assignment', culprit: null, cause: 'bucketing', onset: 0 },
    unit: (traffic) => {
      const variant = traffic.hashed({ control: 0.54, treatment: 0.46 });
      traffic.assigned(variant);
      traffic.exposed(variant);
    },
  },
  {
    id: 'leak',
    title: 'leak: a few units in a variant of share 0',
    units: 10_000,
    versions: { 1: { control: 0.5, treatment: 0.5, holdback: 0 } },
    hash: null,
    verdict: { kind: 'srm_leak', stage: 'assignment', culprit: null, cause: 'zero_share', onset: 5000 },
    unit: (traffic) => {
      const variant = traffic.number > 5000 && traffic.random.chance(0.002) ? 'holdback' : traffic.hashed(HALF);
      traffic.assigned(variant);
      traffic.exposed(variant);
    },
  },
  {
    id: 'sdk',
    title: 'one SDK version loses 40 % of treatment’s exposures',
    units: 60_000,
    versions: half,
    hash: 'md5_mod_100',
    verdict: { kind: 'srm', stage: 'exposure', culprit: 'sdk_version 4.1', cause: 'client_release', onset: 0 },
    unit: (traffic) =>
      losing(traffic, (variant) => variant === 'treatment' && traffic.attributes['sdk_version'] === '4.1' && traffic.random.chance(0.4)),
  },
  {
    id: 'redirect',
    title: 'redirect in treatment loses 10 % of its exposures',
    units: 40_000,
    versions: half,
    hash: 'md5_mod_100',
    verdict: { kind: 'srm', stage: 'exposure', culprit: null, cause: 'exposure_path', onset: 0 },
    unit: (traffic) => losing(traffic, (variant) => variant === 'treatment' && traffic.random.chance(0.1)),
  },
  {
    id: 'bots',
    title: 'bots come to treatment only',
    units: 30_000,
    versions: half,
    hash: null,
    verdict: { kind: 'srm', stage: 'assignment', culprit: 'is_bot true', cause: 'bots', onset: 0 },
    unit: (traffic) => {
      const isBot = traffic.random.chance(0.06);
      const variant = isBot ? 'treatment' : traffic.hashed(HALF);
      traffic.attributes['is_bot'] = isBot;
      traffic.assigned(variant);
      traffic.exposed(variant);
    },
  },
  {
    id: 'contamination',
    title: 'contamination: 4 % of units meet both variants',
    units: 15_000,
    versions: half,
    hash: 'md5_mod_100',
    verdict: { kind: 'contamination', stage: 'assignment', culprit: null, cause: 'identity', onset: 0 },
    unit: (traffic) => {
      const variant = traffic.hashed(HALF);
      traffic.assigned(variant);
      traffic.exposed(variant);
      if (traffic.random.chance(0.04)) traffic.exposed(variant === 'control' ? 'treatment' : 'control');
    },
  },
  {
    id: 'ramp',
    title: 'ramp to 50/50 that is served as 60/40',
    units: 40_000,
    versions: { 1: { control: 0.9, treatment: 0.1 }, 2: HALF },
    hash: null,
    verdict: { kind: 'srm', stage: 'assignment', culprit: null, cause: 'allocation', onset: RAMP_AT },
    unit: (traffic) => {
      const isRamped = traffic.number >= RAMP_AT;
      const version = isRamped ? 2 : 1;
      const variant = traffic.hashed(isRamped ? { control: 0.6, treatment: 0.4 } : { control: 0.9, treatment: 0.1 });
      traffic.assigned(variant, version);
      traffic.exposed(variant, { version });
    },
  },
  {
    id: 'late',
    title: 'late logs: 15 % of treatment’s come an hour late',
    units: 40_000,
    versions: half,
    hash: 'md5_mod_100',
    verdict: { kind: 'srm', stage: 'exposure', culprit: null, cause: 'late_logs', onset: 0 },
    unit: (traffic) => {
      const variant = traffic.hashed(HALF);
      traffic.assigned(variant);
      traffic.exposed(variant, { agoMs: variant === 'treatment' && traffic.random.chance(0.15) ? LATE_MS : 0 });
    },
  },
  {
    id: 'onset',
    title: 'after 200,000 clean units treatment loses 10 %',
    units: CLEAN + 40_000,
    versions: half,
    hash: 'md5_mod_100',
    verdict: { kind: 'srm', stage: 'exposure', culprit: null, cause: 'exposure_path', onset: CLEAN },
    unit: (traffic) => losing(traffic, (variant) => traffic.number > CLEAN && variant === 'treatment' && traffic.random.chance(0.1)),
  },
];

/** Event time over the whole of a scenario. */
const SPAN_MS = 6 * 3_600_000;

/** All that is logged, a chunk of units of every scenario at a time, in the order of its event time. */
export function* logged(scenarios: readonly Scenario[], { seed, startMs, chunks }: { seed: number; startMs: number; chunks: number }) {
  const random = new Random(seed);
  const done = scenarios.map(() => 0);
  for (let chunk = 1; chunk <= chunks; chunk++) {
    const out: Logged[] = [];
    scenarios.forEach((scenario, i) => {
      const until = Math.floor((scenario.units * chunk) / chunks);
      for (; done[i] < until; done[i]++) {
        const clockMs = startMs + (SPAN_MS * done[i]) / scenario.units;
        scenario.unit(new UnitTraffic({ number: done[i], experimentId: scenario.id, clockMs, random, out }));
      }
    });
    yield out;
  }
}

export const SCENARIO_SPAN_MS = SPAN_MS;

export interface Told {
  kind: string;
  facts: Record<string, unknown>;
}

export interface Judged {
  alertedAt: number | null;
  stage: string;
  culprit: string | null;
  cause: string;
  onset: number | null;
  isRight: boolean;
}

/** Of an alert as it was first told: later its figures grow. */
export const unitsAtAlarm = (facts: Record<string, unknown>): number | null =>
  (facts['alarm_units'] ?? facts['units'] ?? null) as number | null;

/** What was alerted about one scenario against what should have been. */
export function judge({ verdict }: Scenario, told: readonly Told[]): Judged {
  const alert = told.find(({ kind }) => kind === verdict.kind);
  if (alert === undefined) return { alertedAt: null, stage: '', culprit: null, cause: '', onset: null, isRight: false };
  const { facts } = alert;
  const place = facts['culprit'] as { dimension: string; value: string } | null;
  const culprit = place ? `${place.dimension} ${place.value}` : null;
  const onset = (facts['onset_units'] ?? 0) as number;
  const stage = String(facts['stage']);
  const cause = String(facts['cause']);
  const isDated = Math.abs(onset - verdict.onset) <= Math.max(3000, verdict.onset * 0.05);
  const isRight = stage === verdict.stage && culprit === verdict.culprit && cause === verdict.cause && isDated;
  return { alertedAt: unitsAtAlarm(facts), stage, culprit, cause, onset, isRight };
}
