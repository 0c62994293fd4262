/** The circuit breaker: what would move without explanation, beyond a limit, moves only when a person says so. */
import type { Delta } from './types.ts';

export interface HoldLimits {
  /** Of all campaigns compared, e.g. .05. */
  campaignShare: number;
  /** Σ |delta| without explanation, in micros. */
  micros: number;
}

/** What would be applied though nothing explains it. */
export class Unexplained {
  readonly #campaigns = new Set<string>();
  #micros = 0;

  add({ action, explained, entityId, delta }: Delta): void {
    if (explained || (action !== 'adjust' && action !== 'correct')) return;
    this.#campaigns.add(entityId);
    this.#micros += Math.abs(delta.amount);
  }

  /** In words, or null when the run may be applied. `campaigns`: all that were compared. */
  holdReason(campaigns: number, limits: HoldLimits): string | null {
    const moved = this.#campaigns.size;
    if (moved > limits.campaignShare * campaigns) {
      const percent = (100 * limits.campaignShare).toLocaleString('en-US');
      return `${moved} of ${campaigns} campaigns would move without explanation (more than ${percent} %)`;
    }
    if (this.#micros > limits.micros) return `${this.#micros} micros would move without explanation (more than ${limits.micros})`;
    return null;
  }
}
