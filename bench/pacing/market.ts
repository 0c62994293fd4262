/**
 * Auctions: for each campaign, candidates come at random (Poisson, at a rate that follows the hour, with bursts), each is
 * entered with the gate's multiplier as its probability, and what is entered here is won. The price is known when the ad
 * is shown, some time later; the impression reaches Kafka later still, sometimes much later, sometimes twice.
 */
import { targetMicrosAt } from '../../src/gate/curve.ts';
import { dayCurve } from '../../src/pacing/day-curve.ts';
import type { BudgetRow, CampaignRow, WeekShares } from '../../src/sinks/registry.ts';
import { budgetForever, campaignForever } from '../../src/sinks/registry.ts';
import { Random } from '../../test/sim/random.ts';
import { Heap } from './heap.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Demand is even within one of these. */
const STRETCH_MS = 5 * MINUTE;

export interface CampaignSpec {
  id: string;
  capMicros: number;
  /** Mean price of a win. */
  priceMicros: number;
  policy: CampaignRow['pacingPolicy'];
  curve: CampaignRow['pacingCurve'];
  /** Candidates a second for each stretch of the day. */
  demand: readonly number[];
  zone: string;
}

export interface Impression {
  /** When it reaches Kafka. */
  atMs: number;
  json: string;
}

export interface Spent {
  /** Money of the wins whose ad was shown on the day, and how many. */
  micros: number;
  wins: number;
  largestMicros: number;
  /** What all candidates of each stretch would have cost. */
  offeredMicros: number[];
}

interface Bidding {
  atMs: number;
  readonly spec: CampaignSpec;
  readonly random: Random;
  readonly spent: Spent;
}

/** How long after the auction the ad is shown, and after that the impression is in Kafka. */
const shownAfterMs = (random: Random): number => 100 - 400 * Math.log(1 - random.next());
const sentAfterMs = (random: Random): number =>
  random.chance(0.01) ? random.next() * MINUTE : random.chance(0.05) ? random.next() * 5 * SECOND : 50 - 300 * Math.log(1 - random.next());

export class Market {
  readonly #startMs: number;
  readonly #check: (campaignId: string) => number;
  readonly #campaigns = new Map<string, Bidding>();
  readonly #auctions = new Heap<Bidding>();
  readonly #impressions = new Heap<Impression>();
  #ids = 0;
  checks = 0;
  wins = 0;

  /** `check` gives the gate's multiplier. */
  constructor(specs: readonly CampaignSpec[], startMs: number, seed: number, check: (campaignId: string) => number) {
    this.#startMs = startMs;
    this.#check = check;
    const random = new Random(seed);
    for (const spec of specs) {
      const spent = { micros: 0, wins: 0, largestMicros: 0, offeredMicros: spec.demand.map(() => 0) };
      const bidding = { atMs: startMs, spec, random: random.fork(), spent };
      this.#campaigns.set(spec.id, bidding);
      this.#schedule(bidding);
    }
  }

  get nextAuctionMs(): number {
    return this.#auctions.nextMs;
  }

  get nextImpressionMs(): number {
    return this.#impressions.nextMs;
  }

  spentOf(campaignId: string): Spent {
    return (this.#campaigns.get(campaignId) as Bidding).spent;
  }

  /** The next candidate; the clock stands at its time. */
  auction(): void {
    const bidding = this.#auctions.pop();
    const { spec, random, spent, atMs } = bidding;
    this.checks += 1;
    const micros = Math.max(1, Math.round(spec.priceMicros * (0.5 + random.next())));
    spent.offeredMicros[Math.floor((atMs - this.#startMs) / STRETCH_MS)] += micros;
    if (random.next() < this.#check(spec.id)) this.#win(bidding, micros);
    this.#schedule(bidding);
  }

  takeImpression(): Impression {
    return this.#impressions.pop();
  }

  /** Redraws at the end of each stretch: a Poisson process remembers nothing. */
  #schedule(bidding: Bidding): void {
    const { spec, random } = bidding;
    let atMs = bidding.atMs;
    for (;;) {
      const stretch = Math.floor((atMs - this.#startMs) / STRETCH_MS);
      if (stretch >= spec.demand.length) return;
      const endMs = this.#startMs + (stretch + 1) * STRETCH_MS;
      const rate = spec.demand[stretch];
      const nextMs = rate > 0 ? atMs - (Math.log(1 - random.next()) * SECOND) / rate : endMs;
      if (nextMs < endMs) {
        bidding.atMs = nextMs;
        this.#auctions.push(bidding);
        return;
      }
      atMs = endMs;
    }
  }

  #win({ spec, random, spent, atMs }: Bidding, micros: number): void {
    const shownMs = Math.floor(atMs + shownAfterMs(random));
    this.wins += 1;
    if (shownMs < this.#startMs + DAY) {
      spent.micros += micros;
      spent.wins += 1;
      spent.largestMicros = Math.max(spent.largestMicros, micros);
    }
    const event = { event_id: `i${this.#ids++}`, campaign_id: spec.id, spend_micros: micros, event_ts: shownMs };
    const json = JSON.stringify(event);
    const sentMs = shownMs + sentAfterMs(random);
    this.#impressions.push({ atMs: sentMs, json });
    if (random.chance(0.02)) this.#impressions.push({ atMs: sentMs + random.next() * 30 * SECOND, json });
  }
}

/** How campaigns are drawn. */
export interface Draw {
  /** Of how many wins at the mean price a cap consists. */
  wins: readonly [number, number];
  capDollars: readonly [number, number];
  /** The day's candidates over the wins that the cap needs. */
  demandOverCap: readonly [number, number];
  /** Candidates a second at the day's mean, at most. */
  maxPerS: number;
}

const between = ([low, high]: readonly [number, number], random: Random): number => low * (high / low) ** random.next();

export function drawCampaign(id: string, draw: Draw, random: Random): CampaignSpec {
  const capMicros = Math.round(between(draw.capDollars, random) * 1e6);
  const wins = between(draw.wins, random);
  const perDay = wins * between(draw.demandOverCap, random);
  const perS = Math.min(perDay / (DAY / SECOND), draw.maxPerS);
  return {
    id,
    capMicros,
    priceMicros: Math.max(1, Math.round(capMicros / wins)),
    policy: random.chance(0.2) ? 'strict' : 'graceful',
    curve: random.chance(0.25) ? 'accelerated' : random.chance(0.3) ? 'predicted' : 'even',
    demand: dayOfDemand(perS, random),
    zone: 'UTC',
  };
}

/** A wave over the day, other from hour to hour, and in a few stretches ten times as much. */
function dayOfDemand(meanPerS: number, random: Random): number[] {
  const peak = random.next();
  const depth = 0.8 * random.next();
  const hours = Array.from({ length: 24 }, () => Math.exp(0.5 * (random.next() + random.next() - 1)));
  return Array.from({ length: DAY / STRETCH_MS }, (_, at) => {
    const wave = 1 + depth * Math.cos(2 * Math.PI * ((at * STRETCH_MS) / DAY - peak));
    return meanPerS * wave * hours[Math.floor((at * STRETCH_MS) / HOUR)] * (random.chance(0.01) ? 10 : 1);
  });
}

/** What the whole day would spend at multiplier 1. */
export const potentialMicros = (spec: CampaignSpec): number =>
  spec.demand.reduce((sum, perS) => sum + (perS * STRETCH_MS) / SECOND, 0) * spec.priceMicros;

/** Of each hour, for every day of the week: what the curve of one who has learned this demand would be. */
function sharesOf({ demand }: CampaignSpec): WeekShares {
  const perHour = HOUR / STRETCH_MS;
  const whole = demand.reduce((sum, perS) => sum + perS, 0);
  const hourly = Array.from(
    { length: 24 },
    (_, hour) => demand.slice(hour * perHour, (hour + 1) * perHour).reduce((sum, perS) => sum + perS, 0) / whole,
  );
  return Float64Array.from({ length: 7 * 24 }, (_, at) => hourly[at % 24]);
}

export const planOf = (spec: CampaignSpec, startMs: number): readonly number[] =>
  dayCurve({ curve: spec.curve, capMicros: spec.capMicros, shares: sharesOf(spec), day: startMs / DAY, zone: spec.zone });

/** What could be spent by who knows what will be offered, has `share` of it, and never runs ahead of the plan. */
export function attainableMicros(spec: CampaignSpec, { offeredMicros }: Spent, startMs: number, share: number): number {
  const plan = planOf(spec, startMs);
  const day = { startMs, endMs: startMs + DAY };
  return offeredMicros.reduce(
    (spent, micros, at) => Math.min(spent + micros * share, targetMicrosAt(plan, day, startMs + (at + 1) * STRETCH_MS)),
    0,
  );
}

/** As registered from the beginning of time. */
export function rowsOf(specs: readonly CampaignSpec[]): {
  campaigns: Map<string, CampaignRow[]>;
  budgets: Map<string, BudgetRow[]>;
  curveShares: Map<string, WeekShares>;
} {
  const row = ({ id, zone, policy, curve }: CampaignSpec): CampaignRow => ({
    ...campaignForever(id, zone),
    pacingPolicy: policy,
    pacingCurve: curve,
  });
  return {
    campaigns: new Map(specs.map((spec) => [spec.id, [row(spec)]])),
    budgets: new Map(specs.map(({ id, capMicros }) => [id, [budgetForever(id, capMicros)]])),
    curveShares: new Map(specs.filter(({ curve }) => curve === 'predicted').map((spec) => [spec.id, sharesOf(spec)])),
  };
}
