/**
 * Spend that only Redis may still know, after evaluate has lost its state. A campaign at its cap has no traffic, so nothing
 * that is counted would ever bring its day's counter to light: it is asked for, once a day and campaign.
 */
import { dayText } from '../operators/days.ts';
import type { Campaign } from '../pacing/campaign.ts';
import { SPEND_EXPIRY_MS } from './evaluate-counters.ts';
import { earliestOf } from './evaluate-days.ts';
import type { EvaluateState } from './evaluate-state.ts';
import type { CounterOutcome, CounterWrite } from './types.ts';

interface Asked {
  campaign: Campaign;
  day: number;
}

export class LostSpend {
  readonly #state: EvaluateState;
  /** The last day that Redis was asked for. */
  readonly #known = new WeakMap<Campaign, number>();
  /** By key: what is asked with the write that is under way. */
  #asked = new Map<string, Asked>();

  constructor(state: EvaluateState) {
    this.#state = state;
  }

  /** Whether the spend of a campaign's day is missing nothing that Redis has. */
  isKnown(campaign: Campaign): boolean {
    return !this.#state.loss.reaches(earliestOf(campaign.day)) || this.#known.get(campaign) === campaign.day;
  }

  /** Takes what is counted to Redis, where more than that is kept and told; makes no key. Null while it is under way. */
  ask(campaign: Campaign): CounterWrite | null {
    const { id, group, day } = campaign;
    const key = `spend:{${id}}:${dayText(day)}`;
    if (this.#asked.has(key)) return null;
    this.#asked.set(key, { campaign, day });
    const fields = { spend_micros: String(this.#state.days.spendMicros(group, day)) };
    return { key, fields, expiryMs: SPEND_EXPIRY_MS, keepLarger: true, onlyExisting: true };
  }

  /** Those whose spend is known now. What was refused has told nothing, and is asked again. */
  answered({ refused }: Pick<CounterOutcome, 'refused'>): Campaign[] {
    if (this.#asked.size === 0) return [];
    for (const { key } of refused) this.#asked.delete(key);
    const answered = [...this.#asked.values()];
    this.#asked = new Map();
    for (const { campaign, day } of answered) this.#known.set(campaign, day);
    return answered.map(({ campaign }) => campaign);
  }
}
