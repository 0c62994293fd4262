/**
 * The ladder of a campaign's budget day: how near its cap the money is, and what may still be bid. Pure integer micros
 * (all ≤ 2^53 − 1). Evaluate, the bidder's gate and the docs for other languages share these rules.
 */

/** From best to worst. */
export const PACE_STATES = ['open', 'throttled', 'stopped', 'killed'] as const;
export type PaceState = (typeof PACE_STATES)[number];

/** `graceful` throttles from 95 % of the cap on and stops at it; `strict` stops at 95 %. */
export const PACE_POLICIES = ['graceful', 'strict'] as const;
export type PacePolicy = (typeof PACE_POLICIES)[number];

const NEAR_PERCENT = 95;
const KILL_PERCENT = 102;

export interface Budget {
  capMicros: number;
  policy: PacePolicy;
}

export interface Spent {
  /** Counted. */
  spendMicros: number;
  /** Counted, and what is believed to be won since: see `projectedMicros`. At least `spendMicros`. */
  projectedMicros: number;
}

export interface Step {
  state: PaceState;
  /** 0…1: the share of auctions that may be entered as far as the cap is concerned. */
  multiplier: number;
}

const OPEN: Step = Object.freeze({ state: 'open', multiplier: 1 });
const STOPPED: Step = Object.freeze({ state: 'stopped', multiplier: 0 });
const KILLED: Step = Object.freeze({ state: 'killed', multiplier: 0 });

/** The least whole amount that is at least `percent` of `micros`; exact, where `micros * percent` would leave the integers. */
export function atLeastPercent(micros: number, percent: number): number {
  const rest = micros % 100;
  return ((micros - rest) / 100) * percent + Math.ceil((rest * percent) / 100);
}

/** From here on a campaign is `throttled` (graceful) or `stopped` (strict). */
export const nearCapMicros = (capMicros: number): number => atLeastPercent(capMicros, NEAR_PERCENT);

/** From this counted spend on a campaign is `killed`. */
export const killMicros = (capMicros: number): number => Math.max(capMicros + 1, atLeastPercent(capMicros, KILL_PERCENT));

/**
 * Where a campaign stands. Only counted money kills, for what is projected may not come; a killed one stays so until a
 * credit or a higher cap has brought the counted spend below the cap (a new budget day begins with `wasKilled` false).
 */
export function ladder(spent: Spent, budget: Budget, wasKilled = false): Step {
  const { spendMicros, projectedMicros } = spent;
  const { capMicros, policy } = budget;
  if (spendMicros >= killMicros(capMicros) || (wasKilled && spendMicros >= capMicros)) return KILLED;
  if (projectedMicros >= capMicros) return STOPPED;
  const nearMicros = nearCapMicros(capMicros);
  if (projectedMicros < nearMicros) return OPEN;
  if (policy === 'strict') return STOPPED;
  return { state: 'throttled', multiplier: (capMicros - projectedMicros) / (capMicros - nearMicros) };
}

/** The worse of two states. */
export const worseState = (one: PaceState, other: PaceState): PaceState =>
  PACE_STATES.indexOf(one) >= PACE_STATES.indexOf(other) ? one : other;
