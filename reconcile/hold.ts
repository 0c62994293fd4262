/** The circuit breaker: what would move without explanation, beyond a limit, moves only when a person says so. */
import { moneyText, percentText } from './texts.ts';
import type { ComparedEntity, Delta } from './types.ts';

export interface HoldLimits {
  /** Of all campaigns compared, e.g. .05. */
  campaignShare: number;
  /** Σ |delta| without explanation, in micros. */
  micros: number;
  /** A campaign counts when it moves by more than this without explanation, in micros, or by more than a hundredth of itself. */
  floorMicros: number;
}

const LEAST_SHARE = 0.01;
/** Of itself; more campaigns than the share that move by more than this by the truth's word alone: it is the truth that has moved. */
const MUCH_BY_TRUTH = 0.1;

interface Moves {
  shown: number;
  /** Σ |delta|: without explanation, and by the truth's word alone. */
  unexplained: number;
  byTruth: number;
}

/** What would be applied though nothing, or nothing but the truth, explains it. */
export class Breaker {
  readonly #campaigns = new Map<string, Moves>();

  /** A campaign may come twice. */
  add({ kind, entityId, hours }: ComparedEntity, deltas: readonly Delta[]): void {
    if (kind !== 'spend') return;
    const moves = this.#campaigns.get(entityId) ?? { shown: 0, unexplained: 0, byTruth: 0 };
    for (const { state, stream } of hours)
      if (state === 'matched' || state === 'drifted') moves.shown += Math.abs(stream?.shown.amount ?? 0);
    for (const { action, explainedBy, delta } of deltas) {
      if (explainedBy === 'stream' || (action !== 'adjust' && action !== 'correct')) continue;
      if (explainedBy === null) moves.unexplained += Math.abs(delta.amount);
      else moves.byTruth += Math.abs(delta.amount);
    }
    this.#campaigns.set(entityId, moves);
  }

  /** In words, or null when the run may be applied. `campaigns`: all that were compared. */
  holdReason(campaigns: number, { campaignShare, micros, floorMicros }: HoldLimits): string | null {
    const all = [...this.#campaigns.values()];
    const share = `of ${campaigns} campaigns would move`;
    const limit = `(more than ${percentText(campaignShare)} of them)`;
    const moved = all.filter((one) => one.unexplained > Math.min(floorMicros, LEAST_SHARE * one.shown)).length;
    if (moved > campaignShare * campaigns) return `${moved} ${share} without explanation ${limit}`;
    const unexplained = all.reduce((sum, one) => sum + one.unexplained, 0);
    if (unexplained > micros) return `${moneyText(unexplained)} would move without explanation (more than ${moneyText(micros)})`;
    const byTruth = all.filter((one) => one.byTruth > floorMicros && one.byTruth > MUCH_BY_TRUTH * one.shown).length;
    if (byTruth <= campaignShare * campaigns) return null;
    return `${byTruth} ${share} by more than ${percentText(MUCH_BY_TRUTH)} of themselves, and nothing but the truth says so ${limit}`;
  }
}
