import { Campaign } from './campaign.ts';
import { paceKey } from './pace-fields.ts';
import type { GateSettings } from './settings.ts';

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

  /** Whom to read now. One whose last read is still unanswered is not asked for again. */
  due(monotonicMs: number): Campaign[] {
    const due: Campaign[] = [];
    this.#refreshed = 0;
    for (const [id, campaign] of this.#held) {
      const idleMs = monotonicMs - campaign.checkedMs;
      if (idleMs <= this.#settings.restAfterMs) {
        this.#refreshed += 1;
        if (!campaign.isAsked) due.push(campaign);
      } else if (campaign.known === null || idleMs > this.#settings.forgetAfterMs) this.#held.delete(id);
      else campaign.isResting = true;
    }
    return due;
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
