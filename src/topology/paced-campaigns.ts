/** The registered campaigns of a partition, as the registry has them now, and how they were steered so far (kept in the state). */
import { Campaign, type Steered } from '../pacing/campaign.ts';
import { planOf } from '../pacing/plan.ts';
import type { RegistryRows, RunCut } from '../sinks/registry.ts';
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import { SECTIONS, type Section } from './evaluate-sections.ts';
import { partitionOf } from './sources/murmur2.ts';
import type { ZoneSpans } from './types.ts';

/** One that is gone from the registry is shown as not valid until its key would have expired by itself. */
const GONE_MS = 10 * 60_000;

/** What pacing needs of a registry. */
export interface PacedRegistry
  extends Pick<RegistryRows, 'campaigns' | 'budgets' | 'curveShares'>,
    Partial<Pick<RegistryRows, 'forecast'>> {
  /** Of the reconciler's last run; unknown where there is none. */
  reconciled?: RunCut | null;
  asOfMs: number;
  loadedMonotonicMs: number;
  zonesOf(campaignId: string): ZoneSpans;
}

export interface PacedPlace {
  partition: number;
  partialsPartitions: number;
  /** Names a campaign's group in the state. */
  groupOf: (campaignId: string) => number;
}

interface Clocks {
  /** What "valid now" means. */
  registryMs: number;
  /** Redis TIME. */
  redisMs: number;
  monotonicMs: number;
}

const utf8 = new TextEncoder();

export class PacedCampaigns implements Section {
  readonly id = SECTIONS.pacing;
  readonly #place: PacedPlace;
  readonly #byId = new Map<string, Campaign>();
  readonly #byGroup = new Map<number, Campaign>();
  /** Ids of other partitions' campaigns. */
  readonly #elsewhere = new Set<string>();
  /** What the commits say, by group, until its campaign is known. */
  readonly #restored = new Map<number, Steered>();
  readonly #steered = new Set<Campaign>();
  /** Between the first two no budget day ends or begins; until the third, by the registry's clock, no row does. */
  #sinceDayMs = Number.NEGATIVE_INFINITY;
  #nextDayMs = Number.NEGATIVE_INFINITY;
  #nextRowMs = Number.NEGATIVE_INFINITY;
  list: readonly Campaign[] = [];

  constructor(place: PacedPlace) {
    this.#place = place;
  }

  of(group: number): Campaign | undefined {
    return this.#byGroup.get(group);
  }

  named(id: string): Campaign | undefined {
    return this.#byId.get(id);
  }

  /** It was steered, or told another state: goes with the next commit. */
  steered(campaign: Campaign): void {
    this.#steered.add(campaign);
  }

  /** The registry is another one. */
  stale(): void {
    this.#nextRowMs = Number.NEGATIVE_INFINITY;
  }

  /** Those whose plan or day has changed, because a day has ended, a row has begun or ended, or the registry is another one. */
  look(registry: PacedRegistry, now: Omit<Clocks, 'registryMs'>): Campaign[] {
    const registryMs = registry.asOfMs + Math.max(0, now.monotonicMs - registry.loadedMonotonicMs);
    const isOtherDay = now.redisMs < this.#sinceDayMs || now.redisMs >= this.#nextDayMs;
    let changed: Campaign[] = [];
    if (registryMs >= this.#nextRowMs) changed = this.#replan(registry, { ...now, registryMs });
    else if (isOtherDay) changed = this.list.filter((campaign) => campaign.roll(now.redisMs));
    else return changed;
    this.#sinceDayMs = Number.NEGATIVE_INFINITY;
    this.#nextDayMs = Number.POSITIVE_INFINITY;
    for (const { bounds } of this.list) {
      this.#sinceDayMs = Math.max(this.#sinceDayMs, bounds.startMs);
      this.#nextDayMs = Math.min(this.#nextDayMs, bounds.endMs);
    }
    for (const campaign of changed) this.#steered.add(campaign);
    return changed;
  }

  write(out: ByteWriter): void {
    for (const { group, steered } of this.#steered) {
      out.varint(group);
      out.f64(steered.day);
      out.f64(steered.multiplier);
      out.f64(steered.steeredMs);
      out.u8(steered.killed ? 1 : 0);
      out.f64(steered.dampedMicros);
      out.f64(steered.dampedUntilMs);
    }
    this.#steered.clear();
  }

  read(from: ByteReader): void {
    while (!from.done) {
      const group = from.varint();
      const steering = { day: from.f64(), multiplier: from.f64(), steeredMs: from.f64(), killed: from.u8() === 1 };
      this.#restored.set(group, { ...steering, dampedMicros: from.f64(), dampedUntilMs: from.f64() });
    }
  }

  touchAll(): void {
    for (const campaign of this.list) this.#steered.add(campaign);
  }

  #replan(registry: PacedRegistry, { registryMs, redisMs, monotonicMs }: Clocks): Campaign[] {
    const changed: Campaign[] = [];
    this.#nextRowMs = Number.POSITIVE_INFINITY;
    for (const [id, campaign] of registry.campaigns) {
      if (!this.#isMine(id)) continue;
      const plan = planOf({ campaign, budgets: registry.budgets.get(id), zones: registry.zonesOf(id) }, registryMs);
      this.#nextRowMs = Math.min(this.#nextRowMs, plan.untilMs);
      const known = this.#byId.get(id) ?? this.#add(id);
      known.removedMs = null;
      if (known.register(plan, registry.curveShares.get(id) ?? null, redisMs)) changed.push(known);
    }
    for (const [id, campaign] of this.#byId) {
      if (registry.campaigns.has(id)) continue;
      campaign.removedMs ??= monotonicMs;
      if (campaign.register({ ...campaign.plan, closed: 'not_valid' }, campaign.shares, redisMs)) changed.push(campaign);
      if (monotonicMs - campaign.removedMs > GONE_MS) this.#drop(campaign);
    }
    this.list = [...this.#byId.values()];
    return changed;
  }

  #isMine(id: string): boolean {
    if (this.#byId.has(id)) return true;
    if (this.#elsewhere.has(id)) return false;
    const { partition, partialsPartitions } = this.#place;
    const bytes = utf8.encode(id);
    if (partitionOf(bytes, 0, bytes.length, partialsPartitions) === partition) return true;
    this.#elsewhere.add(id);
    return false;
  }

  #add(id: string): Campaign {
    const group = this.#place.groupOf(id);
    const campaign = new Campaign(id, group);
    const steered = this.#restored.get(group);
    if (steered) campaign.resume(steered);
    this.#byId.set(id, campaign);
    this.#byGroup.set(group, campaign);
    return campaign;
  }

  #drop(campaign: Campaign): void {
    this.#byId.delete(campaign.id);
    this.#byGroup.delete(campaign.group);
    this.#steered.delete(campaign);
  }
}
