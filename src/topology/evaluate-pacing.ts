/**
 * What evaluate tells the bidder: one `pace:` key for every registered campaign of its partition, traffic or none. The
 * numbers follow from what is counted, the registry and two clocks, Redis' for the day and the registry's for what is
 * valid now; only how a campaign was steered so far is kept in the state.
 */
import type { PacingSettings } from '../config.ts';
import type { PaceState } from '../gate/ladder.ts';
import { dayText } from '../operators/days.ts';
import type { Campaign } from '../pacing/campaign.ts';
import type { Expected } from '../pacing/platform.ts';
import type { Span } from '../pacing/spend-rate.ts';
import { isLaterCut } from '../sinks/registry.ts';
import type { EvaluateState } from './evaluate-state.ts';
import { LostSpend } from './lost-spend.ts';
import { PacedCampaigns, type PacedRegistry } from './paced-campaigns.ts';
import type { FeedStatus } from './stage.ts';
import type { CounterOutcome, CounterWrite, Now } from './types.ts';

/** Where state and plan stay, a changed amount is written this often at most: the gate projects in between. */
const AMOUNT_MS = 250;
const SLICE_MS = 200;
/** Campaigns that are told of in one go. */
const TOLD_AT_ONCE = 2048;
/** What is left is gone on with after that: others are to have their turn. */
const GO_ON_MS = 5;
const LEAST_SLICE_MS = 25;
const EXPIRY_MS = 10 * 60_000;
const NO_FORECAST: ReadonlyMap<number, number> = new Map();

export interface PacingOptions {
  partition: number;
  partialsPartitions: number;
  pacing: PacingSettings;
}

interface Moment {
  /** Redis TIME. */
  nowMs: number;
  countedUntilMs: number | null;
  monotonicMs: number;
}

export class Pacing {
  /** Of this hour, of all campaigns; known in partition 0 only. */
  expectedOfPlatform: Expected | null = null;
  readonly #settings: PacingSettings;
  readonly #state: EvaluateState;
  readonly #campaigns: PacedCampaigns;
  readonly #lostSpend: LostSpend;
  /** In the order in which they will be told of. */
  readonly #dirty = new Set<Campaign>();
  /** More is to be told than was looked at in the last go. */
  #isBehind = false;
  #registry: PacedRegistry | null = null;
  #owned = false;
  /**
   * Nothing is told before the log is read to where it ended when this owner began: until then the bidder knows more by
   * itself. Null before that end is known, -Infinity once it is reached.
   */
  #readUntil: number | null = null;
  /** Redis TIME, and the monotonic time at which it was told. */
  #told: { timeMs: number; monotonicMs: number } | null = null;
  #cursor = 0;
  #slicedMs = Number.NEGATIVE_INFINITY;
  #span: Span = { fromMs: Number.NaN, toMs: Number.NaN };

  constructor(state: EvaluateState, { partition, partialsPartitions, pacing }: PacingOptions) {
    this.#state = state;
    this.#settings = pacing;
    this.#campaigns = new PacedCampaigns({ partition, partialsPartitions, groupOf: (id) => state.groupNamed(id) });
    this.#lostSpend = new LostSpend(state);
    state.keep(this.#campaigns);
    state.credits.onCredit = (group, day) => this.credited(group, day);
    state.onSpend = (group, day, micros) => this.#spent(group, day, micros);
  }

  /** Takes what is registered now. */
  register(registry: PacedRegistry): void {
    if (registry.campaigns !== this.#registry?.campaigns || registry.budgets !== this.#registry.budgets) this.#campaigns.stale();
    this.#registry = registry;
  }

  /** The state is complete: groups may be named now. */
  owned(): void {
    this.#owned = true;
    this.#readUntil = null;
    this.#campaigns.stale();
    this.touchAll();
  }

  touchAll(): void {
    for (const campaign of this.#campaigns.all) this.#tellAnew(campaign);
  }

  /** What is spent in the cells that follow was spent in this time, by Kafka. */
  within(fromMs: number | null, toMs: number | null): void {
    this.#span = { fromMs: fromMs ?? Number.NaN, toMs: toMs ?? Number.NaN };
  }

  /** The reconciler has lowered the spend of a campaign's day. */
  credited(group: number, day: number): void {
    const campaign = this.#campaigns.of(group);
    if (campaign === undefined) return;
    campaign.credited(day);
    this.#dirty.add(campaign);
  }

  /** Records up to the state's position were read; the log ended there when they were fetched. */
  read(endOffset: number): void {
    this.#readUntil ??= endOffset;
  }

  /** Adds what must be written now. Nothing before Redis' time is known. */
  take(now: Now, feed: FeedStatus, writes: CounterWrite[]): void {
    const redisMs = this.redisMs(now);
    this.#isBehind = false;
    if (redisMs === null || this.#registry === null || !this.#owned || !this.#isCaughtUp(feed)) return;
    const { monotonicMs } = now;
    for (const campaign of this.#campaigns.look(this.#registry, { redisMs, monotonicMs })) this.#tellAnew(campaign);
    const at = { nowMs: redisMs, countedUntilMs: this.countedUntilMs, monotonicMs };
    const [steered, changed] = [this.#slice(monotonicMs), this.#next()];
    if (!this.#state.days.isSettled) this.#state.days.settle([...steered, ...changed].map(({ group }) => group));
    for (const campaign of steered) {
      this.#write(campaign, at, true, writes);
      this.#dirty.delete(campaign);
    }
    this.#tell(changed, at, writes);
  }

  /** How long until `take` is wanted again, whether or not something comes. */
  get waitMs(): number {
    if (this.#isBehind) return GO_ON_MS;
    return this.#dirty.size > 0 ? Math.min(AMOUNT_MS, this.#sliceMs) : this.#sliceMs;
  }

  /** True when something can be told that could not be before: Redis' time was not known, or a campaign's spend. */
  delivered({ timeMs, kept, refused }: CounterOutcome, now: Now): boolean {
    const isFirst = this.#told === null;
    this.#told = { timeMs, monotonicMs: now.monotonicMs };
    for (const { key, spendMicros } of kept) {
      const end = key.lastIndexOf('}:');
      const campaign = this.#campaigns.named(key.slice('spend:{'.length, end));
      if (campaign !== undefined && key.slice(end + 2) === dayText(campaign.day)) campaign.keeps(campaign.day, spendMicros);
    }
    const answered = this.#lostSpend.answered({ refused });
    for (const campaign of answered) this.#tellAnew(campaign);
    return isFirst || answered.length > 0;
  }

  /** Campaigns by what their bidders are told, and what is spent while it is not yet counted. */
  summary(now: Now): { states: Record<PaceState, number>; atRiskMicros: number } {
    const states: Record<PaceState, number> = { open: 0, throttled: 0, stopped: 0, killed: 0 };
    const { countedUntilMs } = this;
    const lagS = Math.max(0, (this.redisMs(now) ?? 0) - (countedUntilMs ?? Number.POSITIVE_INFINITY)) / 1000;
    let atRiskMicros = 0;
    for (const campaign of this.#campaigns.list) {
      if (campaign.told !== null) states[campaign.told.state]++;
      atRiskMicros += campaign.rateMicrosPerS(countedUntilMs, this.#settings) * lagS;
    }
    return { states, atRiskMicros: Math.round(atRiskMicros) };
  }

  /** Redis TIME, as told by the last write and gone on since; null before the first. */
  redisMs({ monotonicMs }: Now): number | null {
    return this.#told === null ? null : this.#told.timeMs + Math.max(0, monotonicMs - this.#told.monotonicMs);
  }

  /** How far all impressions are counted, by Kafka time; null while unknown. */
  get countedUntilMs(): number | null {
    return this.#state.sources.countedUntilMs('impressions');
  }

  get campaigns(): readonly Campaign[] {
    return this.#campaigns.list;
  }

  /** Spend expected of all campaigns by the hour's start. */
  get forecast(): ReadonlyMap<number, number> {
    return this.#registry?.forecast ?? NO_FORECAST;
  }

  /** '' where there is none. */
  advertiserOf(campaignId: string): string {
    return this.#registry?.campaigns.get(campaignId)?.at(-1)?.advertiserId ?? '';
  }

  #spent(group: number, day: number, micros: number): void {
    const campaign = this.#campaigns.of(group);
    if (campaign?.spent(day, micros, this.#span, this.#settings)) this.#dirty.add(campaign);
  }

  /** The bidder hears of it at once. */
  #tellAnew(campaign: Campaign): void {
    campaign.toldMs = Number.NEGATIVE_INFINITY;
    this.#dirty.add(campaign);
  }

  #isCaughtUp(feed: FeedStatus): boolean {
    const { position } = this.#state;
    const isAtEnd = feed.endReachedMs(position) !== null || (this.#readUntil !== null && position >= this.#readUntil);
    if (isAtEnd) this.#readUntil = Number.NEGATIVE_INFINITY;
    return isAtEnd;
  }

  /** The next few campaigns, so that each has its turn within `rewriteMs`. */
  #slice(monotonicMs: number): Campaign[] {
    const elapsedMs = monotonicMs - this.#slicedMs;
    if (elapsedMs < Math.min(SLICE_MS, this.#sliceMs)) return [];
    this.#slicedMs = monotonicMs;
    const { list } = this.#campaigns;
    const share = Math.min(1, (Number.isFinite(elapsedMs) ? elapsedMs : SLICE_MS) / this.#settings.rewriteMs);
    const length = Math.min(TOLD_AT_ONCE, Math.ceil(list.length * share));
    return Array.from({ length }, () => list[this.#cursor++ % list.length]).filter((campaign) => !this.#isGone(campaign));
  }

  /** In which half of what may be told in one go has its turn. */
  get #sliceMs(): number {
    const { length } = this.#campaigns.list;
    return Math.max(LEAST_SLICE_MS, (this.#settings.rewriteMs * TOLD_AT_ONCE) / (2 * length));
  }

  #isGone(campaign: Campaign): boolean {
    return this.#campaigns.of(campaign.group) !== campaign;
  }

  /** The first that have changed. */
  #next(): Campaign[] {
    const next: Campaign[] = [];
    for (const campaign of this.#dirty) if (next.push(campaign) === TOLD_AT_ONCE) break;
    return next;
  }

  /** Tells of them, those that were just told of left out; who may wait comes again after all others. */
  #tell(changed: readonly Campaign[], at: Moment, writes: CounterWrite[]): void {
    const waiting: Campaign[] = [];
    for (const campaign of changed) {
      if (!this.#dirty.delete(campaign) || this.#isGone(campaign)) continue;
      if (!this.#write(campaign, at, false, writes)) waiting.push(campaign);
    }
    this.#isBehind = this.#dirty.size > 0 || this.#campaigns.isUnderWay;
    for (const campaign of waiting) this.#dirty.add(campaign);
  }

  /** The reconciler has run since its last word on this campaign. */
  #wasLookedAtAgain({ group }: Campaign): boolean {
    const reconciled = this.#registry?.reconciled ?? null;
    const credited = this.#state.adjustments.cutOf(group);
    return reconciled !== null && (credited === null || isLaterCut(reconciled, credited));
  }

  /** As of now, whatever has not been looked at yet. False when it may wait. Of what may have been spent already nothing is told before Redis was asked. */
  #write(campaign: Campaign, at: Moment, steering: boolean, writes: CounterWrite[]): boolean {
    if (this.#campaigns.renew(campaign)) campaign.toldMs = Number.NEGATIVE_INFINITY;
    if (!this.#lostSpend.isKnown(campaign)) {
      const question = this.#lostSpend.ask(campaign);
      if (question !== null) writes.push(question);
      return true;
    }
    if (campaign.isDamped(at.nowMs) && this.#wasLookedAtAgain(campaign)) campaign.undamp();
    const spendMicros = this.#state.days.spendMicros(campaign.group, campaign.day);
    const decision = campaign.decide({ ...at, spendMicros }, this.#settings, steering);
    const isNews = decision.state !== campaign.told?.state;
    if (!steering && !isNews && at.monotonicMs - campaign.toldMs < AMOUNT_MS) return false;
    if (steering || isNews) this.#campaigns.steered(campaign);
    campaign.tell(decision, at.monotonicMs);
    writes.push({ key: `pace:{${campaign.id}}`, fields: campaign.fields(decision), expiryMs: EXPIRY_MS, stamped: true });
    return true;
  }
}
