/** The circuit breaker: what would move without explanation, beyond a limit, moves only when a person says so. */
import type { Delta } from './types.ts';

export interface HoldLimits {
  /** Of all campaigns compared, e.g. .05. */
  campaignShare: number;
  /** Σ |delta| without explanation, in micros. */
  micros: number;
}

/** In words, or null when the run may be applied. Only what would be applied counts. */
export function holdReason(deltas: readonly Delta[], campaigns: number, limits: HoldLimits): string | null {
  const moving = deltas.filter(({ action, explained }) => (action === 'adjust' || action === 'correct') && !explained);
  const moved = new Set(moving.map(({ entityId }) => entityId));
  const micros = moving.reduce((sum, { delta }) => sum + Math.abs(delta.amount), 0);
  if (moved.size > limits.campaignShare * campaigns) {
    const percent = (100 * limits.campaignShare).toLocaleString('en-US');
    return `${moved.size} of ${campaigns} campaigns would move without explanation (more than ${percent} %)`;
  }
  if (micros > limits.micros) return `${micros} micros would move without explanation (more than ${limits.micros})`;
  return null;
}
