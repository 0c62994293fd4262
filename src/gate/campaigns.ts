import { Campaign } from './campaign.ts';
import { paceKey } from './pace-fields.ts';
import type { GateSettings } from './settings.ts';

/** Of the time after which values are stale: so often is read what nobody checks. */
const RESTING_SHARE = 0.5;
/** Of the room; above it, campaigns are forgotten after this share of the usual time. */
const SHORT_OF_ROOM = 0.9;
const SHORT_OF_ROOM_SHARE = 1 / 24;

/** The campaigns that are held: bounded in number, refreshed while somebody checks them, forgotten when nobody does. */
export class Campaigns {
  readonly #settings: GateSettings;
  readonly #held = new Map<string, Campaign>();
  #refreshed = 0;

  constructor(settings: GateSettings) {
    this.#settings = settings;
  }

  get(campaignId: string): Campaign | undefined {
    return this.#held.get(campaignId);
  }

  get isFull(): boolean {
    return this.#held.size >= this.#settings.maxCampaigns;
  }

  add(campaignId: string, monotonicMs: number): Campaign {
    const campaign = new Campaign(paceKey(this.#settings.keyPrefix, campaignId), monotonicMs);
    this.#held.set(campaignId, campaign);
    return campaign;
  }

  /**
   * Whom to read now. One whose last read is still unanswered is not asked for again. One that nobody checks any more is
   * read just so often that it is not stale when somebody does: with many bidders each sees most campaigns seldom.
   */
  due(monotonicMs: number): Campaign[] {
    const due: Campaign[] = [];
    const { restAfterMs, staleAfterMs } = this.#settings;
    const forgetAfterMs = this.#forgetAfterMs;
    this.#refreshed = 0;
    for (const [id, campaign] of this.#held) {
      const idleMs = monotonicMs - campaign.checkedMs;
      campaign.isResting = idleMs > restAfterMs;
      if (!campaign.isResting) this.#refreshed += 1;
      else if (campaign.known === null || idleMs > forgetAfterMs) {
        this.#held.delete(id);
        continue;
      } else if (monotonicMs - campaign.askedMs < staleAfterMs * RESTING_SHARE) continue;
      if (!campaign.isAsked) due.push(campaign);
    }
    return due;
  }

  /** Where room grows short, those go first that were not checked for long. */
  get #forgetAfterMs(): number {
    const { forgetAfterMs, maxCampaigns } = this.#settings;
    return this.#held.size > maxCampaigns * SHORT_OF_ROOM ? forgetAfterMs * SHORT_OF_ROOM_SHARE : forgetAfterMs;
  }

  unread(): Campaign[] {
    return [...this.#held.values()].filter((campaign) => !campaign.wasRead);
  }

  clear(): void {
    this.#held.clear();
  }

  /** Held, and of these: of how many something is known, how many are being refreshed. */
  count(): { campaigns: number; known: number; refreshed: number } {
    let known = 0;
    for (const campaign of this.#held.values()) if (campaign.known !== null) known += 1;
    return { campaigns: this.#held.size, known, refreshed: this.#refreshed };
  }
}
