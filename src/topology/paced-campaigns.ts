/** The registered campaigns of a partition, as the registry has them now, and how they were steered so far (kept in the state). */
import { Campaign } from '../pacing/campaign.ts';
import { planOf } from '../pacing/plan.ts';
import type { Steered } from '../pacing/steered.ts';
import type { RegistryRows, RunCut } from '../sinks/registry.ts';
import type { ByteReader, ByteWriter } from '../state/bytes.ts';
import { SECTIONS, type Section } from './evaluate-sections.ts';
import { partitionOf } from './sources/murmur2.ts';
import { UTC_ALWAYS, type ZoneSpans } from './types.ts';

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

interface Moment {
  registry: PacedRegistry;
  /** What "valid now" means. */
  registryMs: number;
  /** Redis TIME. */
  redisMs: number;
  monotonicMs: number;
}

/** So many are looked at in one go: some 10 ms where all are new. */
const CAMPAIGNS_AT_ONCE = 1024;
const NOTHING: PacedRegistry = {
  campaigns: new Map(),
  budgets: new Map(),
  curveShares: new Map(),
  asOfMs: Number.NaN,
  loadedMonotonicMs: Number.NaN,
  zonesOf: () => UTC_ALWAYS,
};

const utf8 = new TextEncoder();

export class PacedCampaigns implements Section {
  readonly id = SECTIONS.pacing;
  readonly #place: PacedPlace;
  readonly #byId = new Map<string, Campaign>();
  readonly #byGroup: (Campaign | undefined)[] = [];
  /** Ids of other partitions' campaigns. */
  readonly #elsewhere = new Set<string>();
  /** What the commits say, by group, until its campaign is known. */
  readonly #restored = new Map<number, Steered>();
  /** The next commit is to have these too. */
  #isRestoredWanted = false;
  readonly #steered = new Set<Campaign>();
  /** Between the first two no budget day ends or begins; until the third, by the registry's clock, no row does. */
  #sinceDayMs = Number.NEGATIVE_INFINITY;
  #nextDayMs = Number.NEGATIVE_INFINITY;
  #nextRowMs = Number.NEGATIVE_INFINITY;
  /** Numbers the registry's rows. */
  #rows = 0;
  /** Goes through all campaigns, a step a look; and the rows that it began with. */
  #pass: Iterator<string> | null = null;
  #rowsOfPass = 0;
  #at: Moment = { registry: NOTHING, registryMs: Number.NaN, redisMs: Number.NaN, monotonicMs: Number.NaN };
  /** As of the last whole pass. */
  list: readonly Campaign[] = [];

  constructor(place: PacedPlace) {
    this.#place = place;
  }

  of(group: number): Campaign | undefined {
    return this.#byGroup[group];
  }

  named(id: string): Campaign | undefined {
    return this.#byId.get(id);
  }

  /** Those that are known by now; in the midst of a pass more than are listed. */
  get all(): Iterable<Campaign> {
    return this.#byId.values();
  }

  /** It was steered, or told another state: goes with the next commit. */
  steered(campaign: Campaign): void {
    this.#steered.add(campaign);
  }

  /** The registry is another one. */
  stale(): void {
    this.#rows++;
    this.#nextRowMs = Number.NEGATIVE_INFINITY;
  }

  /** Not all campaigns have been looked at since a day has ended, a row has begun or ended, or the registry is another one. */
  get isUnderWay(): boolean {
    return this.#pass !== null;
  }

  /** The next few, where there is something to look for: those whose plan or day is another one. Whoever tells of one in between `renew`s it. */
  look(registry: PacedRegistry, now: Pick<Moment, 'redisMs' | 'monotonicMs'>): Campaign[] {
    const registryMs = registry.asOfMs + Math.max(0, now.monotonicMs - registry.loadedMonotonicMs);
    this.#at = { registry, registryMs, ...now };
    const isOtherDay = now.redisMs < this.#sinceDayMs || now.redisMs >= this.#nextDayMs;
    if (this.#pass === null && (isOtherDay || registryMs >= this.#nextRowMs)) {
      this.#pass = this.#ids(registry);
      this.#rowsOfPass = this.#rows;
    }
    const changed: Campaign[] = [];
    for (let left = CAMPAIGNS_AT_ONCE; left > 0 && this.#pass !== null; left--) {
      const { done, value } = this.#pass.next();
      if (done) this.#endPass();
      else this.#lookAt(value, changed);
    }
    return changed;
  }

  /** Takes what holds for a campaign at the moment of the last look: its rows, its day. True when the bidder is to hear of it. */
  renew(campaign: Campaign): boolean {
    const { registryMs, redisMs } = this.#at;
    const isPlanned = campaign.rows === this.#rows && registryMs < campaign.plan.untilMs;
    const isOther = isPlanned ? campaign.roll(redisMs) : this.#plan(campaign);
    if (isOther) this.#steered.add(campaign);
    return isOther;
  }

  write(out: ByteWriter): void {
    for (const { group, steered } of this.#steered) writeSteered(out, group, steered);
    this.#steered.clear();
    if (this.#isRestoredWanted) for (const [group, steered] of this.#restored) writeSteered(out, group, steered);
    this.#isRestoredWanted = false;
  }

  read(from: ByteReader): void {
    while (!from.done) {
      const group = from.varint();
      const steering = { day: from.f64(), multiplier: from.f64(), steeredMs: from.f64(), killed: from.u8() === 1 };
      this.#restored.set(group, { ...steering, dampedMicros: from.f64(), dampedUntilMs: from.f64() });
    }
  }

  /** Those too that no pass has come to yet. */
  touchAll(): void {
    for (const campaign of this.all) this.#steered.add(campaign);
    this.#isRestoredWanted = true;
  }

  /** Those that are registered, then those that are not any more. */
  *#ids(registry: PacedRegistry): Generator<string, void> {
    yield* registry.campaigns.keys();
    for (const id of this.#byId.keys()) if (!registry.campaigns.has(id)) yield id;
  }

  #lookAt(id: string, changed: Campaign[]): void {
    if (!this.#isMine(id)) return;
    const { registry, monotonicMs } = this.#at;
    if (!this.#byId.has(id) && !registry.campaigns.has(id)) return;
    const campaign = this.#byId.get(id) ?? this.#add(id);
    if (this.renew(campaign)) changed.push(campaign);
    if (campaign.removedMs !== null && monotonicMs - campaign.removedMs > GONE_MS) this.#drop(campaign);
  }

  #plan(campaign: Campaign): boolean {
    const { registry, registryMs, redisMs, monotonicMs } = this.#at;
    const { id } = campaign;
    const rows = registry.campaigns.get(id);
    campaign.rows = this.#rows;
    campaign.removedMs = rows === undefined ? (campaign.removedMs ?? monotonicMs) : null;
    if (rows === undefined) {
      const gone = { ...campaign.plan, closed: 'not_valid', untilMs: Number.POSITIVE_INFINITY } as const;
      return campaign.register(gone, campaign.shares, redisMs);
    }
    const plan = planOf({ campaign: rows, budgets: registry.budgets.get(id), zones: registry.zonesOf(id) }, registryMs);
    return campaign.register(plan, registry.curveShares.get(id) ?? null, redisMs);
  }

  #endPass(): void {
    this.#pass = null;
    this.list = [...this.#byId.values()];
    this.#sinceDayMs = Number.NEGATIVE_INFINITY;
    this.#nextDayMs = Number.POSITIVE_INFINITY;
    this.#nextRowMs = Number.POSITIVE_INFINITY;
    for (const { bounds, plan } of this.list) {
      this.#sinceDayMs = Math.max(this.#sinceDayMs, bounds.startMs);
      this.#nextDayMs = Math.min(this.#nextDayMs, bounds.endMs);
      this.#nextRowMs = Math.min(this.#nextRowMs, plan.untilMs);
    }
    if (this.#rowsOfPass !== this.#rows) this.#nextRowMs = Number.NEGATIVE_INFINITY;
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
    this.#restored.delete(group);
    this.#byId.set(id, campaign);
    // No holes: sparse arrays would be slow ones.
    while (this.#byGroup.length <= group) this.#byGroup.push(undefined);
    this.#byGroup[group] = campaign;
    return campaign;
  }

  #drop(campaign: Campaign): void {
    this.#byId.delete(campaign.id);
    this.#byGroup[campaign.group] = undefined;
    this.#steered.delete(campaign);
  }
}

function writeSteered(out: ByteWriter, group: number, steered: Steered): void {
  out.varint(group);
  out.f64(steered.day);
  out.f64(steered.multiplier);
  out.f64(steered.steeredMs);
  out.u8(steered.killed ? 1 : 0);
  out.f64(steered.dampedMicros);
  out.f64(steered.dampedUntilMs);
}
