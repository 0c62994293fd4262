/**
 * Guardrails: does a variant harm a metric by more than it may? Units with at least one event, among those exposed, against the
 * control's. Hourly looks at an experiment that goes on need a test that may be looked at always: the log-rank e-process of
 * srm.md. Of the units that have their first event between two looks, given how many there are, an arm's number is
 * hypergeometric among those still without one; the likelihood of each ratio beyond the tolerance is held against the
 * tolerated one, so that a harm within it raises a false alarm with probability at most alpha over the experiment's life.
 */
import { lnMomentOf } from '../src/stats/log-rank.ts';
import { lnMean } from '../src/stats/log-space.ts';

/** How much beyond the tolerance: ln of the ratio, small harms and large. */
const BEYOND = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6] as const;

export type Verdict = 'PASS' | 'WARNING' | 'VIOLATED';

export interface Guardrail {
  experimentId: string;
  metric: string;
  /** Which way harms. */
  harm: 'increase' | 'decrease';
  /** Relative: .1 tolerates a tenth more (or less) units with an event than the control has. */
  tolerance: number;
  autoPause: boolean;
}

/** Cumulative: units exposed, and those of them with an event since. */
export interface ArmCounts {
  units: number;
  events: number;
}

export interface Look {
  control: ArmCounts;
  arm: ArmCounts;
  /** ln of the likelihood ratio of each of BEYOND, over all looks so far. */
  logE: readonly number[];
}

export const FIRST_LOOK: Look = { control: { units: 0, events: 0 }, arm: { units: 0, events: 0 }, logE: BEYOND.map(() => 0) };

/** Goes on from the look before. Where counts have fallen (corrections), or nothing is new, the evidence stays as it was. */
export function lookAgain(
  { harm, tolerance }: Pick<Guardrail, 'harm' | 'tolerance'>,
  before: Look,
  control: ArmCounts,
  arm: ArmCounts,
): Look {
  const drawnArm = arm.events - before.arm.events;
  const drawn = drawnArm + control.events - before.control.events;
  const waiting = arm.units - before.arm.events;
  const allWaiting = waiting + control.units - before.control.events;
  const isNew = drawnArm >= 0 && drawn > 0 && drawn >= drawnArm && waiting > 0 && waiting < allWaiting && drawn < allWaiting;
  if (!isNew || drawnArm > waiting || drawn - drawnArm > allWaiting - waiting) return { control, arm, logE: before.logE };
  const urn = { waiting, allWaiting, drawn };
  const tolerated = harm === 'increase' ? Math.log1p(tolerance) : Math.log1p(-Math.min(tolerance, 0.99));
  const lnTolerated = lnMomentOf(urn, tolerated);
  const logE = BEYOND.map((more, i) => {
    const ratio = tolerated + (harm === 'increase' ? more : -more);
    return before.logE[i] + drawnArm * (ratio - tolerated) - (lnMomentOf(urn, ratio) - lnTolerated);
  });
  return { control, arm, logE };
}

/** ln of the e-value: the mixture of all ratios. */
export const logEOf = ({ logE }: Look): number => lnMean(logE);

/** @param alphas false alarms over a life: of VIOLATED, and of WARNING */
export function verdictOf(logE: number, { violated, warning }: { violated: number; warning: number }): Verdict {
  if (logE >= -Math.log(violated)) return 'VIOLATED';
  return logE >= -Math.log(warning) ? 'WARNING' : 'PASS';
}

/** What the registry may call the direction that harms; null for another word. */
export function harmOf(direction: string): Guardrail['harm'] | null {
  if (/^(up|increase|higher|above|max)$/i.test(direction)) return 'increase';
  return /^(down|decrease|lower|below|min)$/i.test(direction) ? 'decrease' : null;
}
