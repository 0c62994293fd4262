/**
 * The bidder's side of pacing: `check` answers from memory, in well under a microsecond, and a loop beside it keeps that
 * memory fresh. Whatever happens to Redis or to the program that writes there, `check` has an answer and never throws.
 */
import { closed, type GateAnswer } from './answer.ts';
import type { Campaign, Surroundings, Taken } from './campaign.ts';
import { Campaigns } from './campaigns.ts';
import { DONE, type GateClock } from './clock.ts';
import { Outlook } from './outlook.ts';
import type { PaceText } from './pace-text.ts';
import type { PaceReader, ReaderListener } from './reader.ts';
import { type GateSettings, gateSettings } from './settings.ts';

/** One script of this many keys holds Redis for about 2 ms. */
const KEYS_PER_READ = 500;
/** Campaigns never seen before are asked for together, this long after the first. */
const GATHER_MS = 5;
const JITTER = 0.1;

export type GateEvent =
  | { kind: 'read'; campaigns: number; tookMs: number }
  | { kind: 'read_failed'; campaigns: number; message: string }
  | { kind: 'redis_gone' | 'redis_back' }
  | { kind: Exclude<Taken, 'taken' | 'replanned'>; key: string };

export interface GateParts {
  clock: GateClock;
  openReader(listener: ReaderListener): PaceReader;
  /** For logs and metrics; what it throws is ignored. Called from the loop, never from `check`. */
  onEvent?(event: GateEvent): void;
}

export interface GateStats {
  /** Held, and of these: of how many something is known; how many are being refreshed. */
  campaigns: number;
  known: number;
  refreshed: number;
  reads: number;
  readsFailed: number;
  /** Readings older than what was known already. */
  outdated: number;
  isRedisGone: boolean;
  /** Since Redis last answered. */
  silentMs: number;
}

const GATE_CLOSED = Object.freeze(closed('gate_closed'));
const TOO_MANY = Object.freeze(closed('too_many_campaigns'));

export class PacingGate {
  readonly #settings: GateSettings;
  readonly #clock: GateClock;
  readonly #reader: PaceReader;
  readonly #onEvent: (event: GateEvent) => void;
  readonly #outlook: Outlook;
  readonly #campaigns: Campaigns;
  /** To be read at once: never seen before, or not looked at for a while. */
  readonly #urgent = new Set<Campaign>();
  /** Told of every read that has ended. */
  readonly #waiting = new Set<() => void>();
  readonly #closing = new AbortController();
  /** Aborted by the first connection. */
  readonly #contact = new AbortController();
  /** Ends the loop's present sleep. */
  #alarm = new AbortController();
  #reconnectedMs = Number.NEGATIVE_INFINITY;
  #underWay = 0;
  #reads = 0;
  #readsFailed = 0;
  #outdated = 0;

  constructor(parts: GateParts, settings: Partial<GateSettings> = {}) {
    this.#settings = gateSettings(settings);
    this.#clock = parts.clock;
    this.#onEvent = parts.onEvent?.bind(parts) ?? (() => undefined);
    this.#campaigns = new Campaigns(this.#settings);
    this.#outlook = new Outlook(parts.clock, this.#settings, (isGone) => this.#say({ kind: isGone ? 'redis_gone' : 'redis_back' }));
    this.#reader = parts.openReader({ onReady: () => this.#connected() });
    void this.#run();
  }

  /** What may be bid for that campaign at this moment. The first check of a campaign is closed: it is read within some ms. */
  check(campaignId: string): GateAnswer {
    const now = this.#outlook.now();
    let campaign = this.#campaigns.get(campaignId);
    if (campaign === undefined) {
      if (this.#closing.signal.aborted) return GATE_CLOSED;
      if (this.#campaigns.isFull) return TOO_MANY;
      campaign = this.#campaigns.add(campaignId, now.monotonicMs);
      this.#hurry(campaign);
    }
    campaign.checkedMs = now.monotonicMs;
    if (campaign.isResting) this.#hurry(campaign);
    return campaign.answer(now);
  }

  /** Resolves once each of them has been read; false when that took too long, or the gate was closed. */
  async preload(campaignIds: Iterable<string>, withinMs = 5000): Promise<boolean> {
    const ids = [...campaignIds];
    const untilMs = this.#clock.monotonicMs() + withinMs;
    for (const id of ids) this.check(id);
    for (;;) {
      if (ids.every((id) => this.#campaigns.get(id)?.wasRead)) return true;
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0 || this.#closing.signal.aborted) return false;
      const enough = new AbortController();
      const wake = (): void => enough.abort(DONE);
      this.#waiting.add(wake);
      await this.#clock.sleep(leftMs, enough.signal);
      this.#waiting.delete(wake);
    }
  }

  get stats(): GateStats {
    return {
      ...this.#campaigns.count(),
      reads: this.#reads,
      readsFailed: this.#readsFailed,
      outdated: this.#outdated,
      isRedisGone: this.#outlook.now().isRedisGone,
      silentMs: this.#outlook.silentMs,
    };
  }

  /** Ends the loop and the connection. Later checks answer closed. */
  close(): void {
    for (const controller of [this.#closing, this.#contact, this.#alarm]) controller.abort(DONE);
    this.#campaigns.clear();
    this.#urgent.clear();
    this.#reader.close();
    for (const wake of this.#waiting) wake();
  }

  #connected(): void {
    this.#contact.abort(DONE);
    for (const campaign of this.#campaigns.unread()) this.#hurry(campaign);
  }

  #hurry(campaign: Campaign): void {
    if (campaign.isAsked || this.#urgent.has(campaign)) return;
    this.#urgent.add(campaign);
    this.#alarm.abort(DONE);
  }

  async #run(): Promise<void> {
    await this.#clock.sleep(this.#settings.timeoutMs, this.#contact.signal);
    while (!this.#closing.signal.aborted) {
      this.#outlook.notice();
      const { isRedisGone, monotonicMs } = this.#outlook.now();
      // A connection that stands but never became usable fails every read at once: no read's timeout would tell.
      if (isRedisGone && monotonicMs - this.#reconnectedMs > this.#settings.goneAfterMs) this.#reconnect();
      const slices = slicesOf(this.#campaigns.due(monotonicMs));
      // Nobody asks: that Redis does not answer must still mean that it is gone.
      if (slices.length === 0 && this.#underWay === 0) slices.push([]);
      const cycleMs = this.#settings.refreshMs * (1 - JITTER + 2 * JITTER * this.#clock.random());
      // Spread over the cycle, so that a bidder with many campaigns is never held up by all of them at once.
      for (const slice of slices) {
        void this.#read(slice);
        await this.#pause(cycleMs / slices.length);
      }
      if (slices.length === 0) await this.#pause(cycleMs);
    }
  }

  /** Waits, and reads meanwhile what is urgent. */
  async #pause(ms: number): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + ms;
    while (!this.#closing.signal.aborted) {
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0) return;
      if (this.#urgent.size === 0) {
        this.#alarm = new AbortController();
        await this.#clock.sleep(leftMs, this.#alarm.signal);
      } else {
        await this.#clock.sleep(GATHER_MS, this.#closing.signal);
        const urgent = [...this.#urgent].filter((campaign) => !campaign.isAsked);
        this.#urgent.clear();
        for (const slice of slicesOf(urgent)) void this.#read(slice);
      }
    }
  }

  async #read(campaigns: readonly Campaign[]): Promise<void> {
    const sentMs = this.#clock.monotonicMs();
    for (const campaign of campaigns) {
      campaign.isAsked = true;
      campaign.askedMs = sentMs;
    }
    this.#reads += 1;
    this.#underWay += 1;
    try {
      const { redisMs, texts } = await this.#inTime(
        this.#reader.read(
          keysOf(campaigns),
          campaigns.some(({ needsWhole }) => needsWhole),
        ),
      );
      if (this.#closing.signal.aborted) return;
      this.#outlook.answered(redisMs, sentMs);
      const now = this.#outlook.now();
      campaigns.forEach((campaign, at) => {
        this.#take(campaign, texts[at], now);
      });
      this.#say({ kind: 'read', campaigns: campaigns.length, tookMs: now.monotonicMs - sentMs });
    } catch (error) {
      this.#readsFailed += 1;
      this.#say({ kind: 'read_failed', campaigns: campaigns.length, message: error instanceof Error ? error.message : String(error) });
    } finally {
      this.#underWay -= 1;
      for (const campaign of campaigns) campaign.isAsked = false;
      for (const wake of this.#waiting) wake();
    }
  }

  #take(campaign: Campaign, text: PaceText | null, now: Surroundings): void {
    if (text === null) return;
    const taken = campaign.take(text, now);
    if (taken === 'taken') return;
    if (taken === 'replanned') {
      campaign.isAsked = false;
      this.#hurry(campaign);
      return;
    }
    if (taken === 'outdated') this.#outdated += 1;
    this.#say({ kind: taken, key: campaign.key });
  }

  async #inTime<Value>(reading: Promise<Value>): Promise<Value> {
    const settled = new AbortController();
    const { timeoutMs } = this.#settings;
    const timeout = this.#clock.sleep(timeoutMs, settled.signal).then(() => {
      if (settled.signal.aborted) return reading;
      this.#reconnect();
      throw new Error(`Redis did not answer within ${timeoutMs} ms`);
    });
    try {
      return await Promise.race([reading, timeout]);
    } finally {
      settled.abort(DONE);
    }
  }

  #reconnect(): void {
    this.#reconnectedMs = this.#clock.monotonicMs();
    this.#reader.reconnect();
  }

  #say(event: GateEvent): void {
    try {
      this.#onEvent(event);
    } catch {
      // A faulty listener must not end the loop.
    }
  }
}

const keysOf = (campaigns: readonly Campaign[]): string[] => campaigns.map(({ key }) => key);

/** Those of which the whole key is needed apart: of the others not even half is read. */
function slicesOf(campaigns: readonly Campaign[]): Campaign[][] {
  const slices: Campaign[][] = [];
  for (const needsWhole of [false, true]) {
    const alike = campaigns.filter((campaign) => campaign.needsWhole === needsWhole);
    for (let from = 0; from < alike.length; from += KEYS_PER_READ) slices.push(alike.slice(from, from + KEYS_PER_READ));
  }
  return slices;
}
