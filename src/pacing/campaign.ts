/** One campaign on its budget day: how it was steered so far, and what the bidder is told. No clock but the one it is given. */
import { hash } from 'node:crypto';
import { type BudgetDay, formatCurve, targetMicrosAt } from '../gate/curve.ts';
import { ladder, nearCapMicros, type PaceState } from '../gate/ladder.ts';
import { projectedMicros } from '../gate/projection.ts';
import { dayAt, dayBounds, dayText } from '../operators/days.ts';
import type { WeekShares } from '../sinks/registry.ts';
import { nextDayMultiplier, steer } from './controller.ts';
import { dayCurve } from './day-curve.ts';
import type { CampaignPlan, ClosedReason } from './plan.ts';
import { addSpend, microsPerSecondAt, newRate, type Span, steadyMicrosPerSecondAt } from './spend-rate.ts';
import { NO_DAY, notSteered, type Steered } from './steered.ts';

export type PaceReason = ClosedReason | 'on_pace' | 'pacing' | 'near_cap' | 'cap_projected' | 'cap_reached' | 'credit_damped' | 'overspent';

export interface PacingTimes {
  /** From a decision until the last impression that it would have prevented is in the log. */
  reactionMs: number;
  /** Over how long rates are averaged. */
  rateMs: number;
  /** How long a credit is damped at most: no word came that the reconciler has looked again. */
  creditMs: number;
}

export interface Counted {
  /** Counted on the campaign's day. */
  spendMicros: number;
  /** Null while unknown. */
  countedUntilMs: number | null;
  /** Redis TIME. */
  nowMs: number;
}

export interface Decision {
  state: PaceState;
  multiplier: number;
  reason: PaceReason;
  spendMicros: number;
  targetMicros: number;
  rateMicrosPerS: number;
  inflightMicros: number;
  countedUntilMs: number;
}

/** Of what remains after a credit so much may be spent before the next look, lest the two loops swing against each other. */
const DAMPED_SHARE = 0.8;
const UNPLANNED: CampaignPlan = {
  closed: 'not_valid',
  policy: 'graceful',
  curve: 'even',
  zone: 'UTC',
  capMicros: 0,
  fromMs: Number.NEGATIVE_INFINITY,
  untilMs: Number.NEGATIVE_INFINITY,
};

/** A bidder that cannot read a number goes on by what it was told before: more than can be told exactly is told as the most that can. */
const amountText = (micros: number): string => String(Math.min(micros, Number.MAX_SAFE_INTEGER));

export class Campaign {
  readonly id: string;
  readonly group: number;
  plan: CampaignPlan = UNPLANNED;
  shares: WeekShares | null = null;
  day = NO_DAY;
  bounds: BudgetDay = { startMs: Number.NaN, endMs: Number.NaN };
  curve: readonly number[] = [];
  /** Which rows of the registry the plan was made of. */
  rows = -1;
  /** What was last written, and when (monotonic ms). */
  told: Decision | null = null;
  toldMs = Number.NEGATIVE_INFINITY;
  /** That was decided for the plan and the day that are in force. */
  #isInForce = false;
  /** Monotonic ms at which it was found gone from the registry; null while it is there. */
  removedMs: number | null = null;
  #steered = notSteered();
  /** As it was on the day that was left last: a clock that leaps to another day and back must not acquit or hurry anyone. */
  #left: Steered | null = null;
  readonly #rate = newRate();
  /** Redis shows more for this day than is counted here, since state was lost. */
  #kept: { day: number; micros: number } | null = null;
  #credited = false;
  #texts: Record<string, string> = {};

  constructor(id: string, group: number) {
    this.id = id;
    this.group = group;
  }

  get steered(): Readonly<Steered> {
    return this.#steered;
  }

  /** Kafka time of the last spend that was counted here; -Infinity before the first. */
  get lastSpendMs(): number {
    return this.#rate.atMs;
  }

  /** What was last written, for whoever judges by plan and day; null while these are others than it was decided for. */
  get inForce(): Decision | null {
    return this.#isInForce ? this.told : null;
  }

  tell(decision: Decision, monotonicMs: number): void {
    this.told = decision;
    this.toldMs = monotonicMs;
    this.#isInForce = true;
  }

  resume(steered: Steered): void {
    this.#steered = steered;
  }

  /** Begins the day that it is by now. True when it is another one. */
  roll(nowMs: number): boolean {
    if (this.bounds.startMs <= nowMs && nowMs < this.bounds.endMs) return false;
    this.#begin(nowMs);
    return true;
  }

  /** Takes what is registered now. True when the bidder is to hear of it. */
  register(plan: CampaignPlan, shares: WeekShares | null, nowMs: number): boolean {
    const { plan: before } = this;
    const isSame =
      before.closed === plan.closed &&
      before.policy === plan.policy &&
      before.curve === plan.curve &&
      before.zone === plan.zone &&
      before.capMicros === plan.capMicros &&
      this.shares === shares;
    this.plan = plan;
    this.shares = shares;
    if (isSame) return this.roll(nowMs);
    // What is held back of a credit stays so much, whatever the cap is now.
    if (before !== UNPLANNED)
      for (const steered of [this.#steered, this.#left]) if (steered) steered.dampedMicros += plan.capMicros - before.capMicros;
    this.#begin(nowMs);
    return true;
  }

  /** Money was counted on a day. True when it changes what the bidder is told: the day's spend, or the rate on the day that has begun. */
  spent(day: number, micros: number, span: Span, times: PacingTimes): boolean {
    if (day < this.day) return false;
    addSpend(this.#rate, micros, span, times.rateMs);
    return true;
  }

  /** Redis kept this amount instead of a smaller one. */
  keeps(day: number, micros: number): void {
    this.#kept = { day, micros };
  }

  /** The reconciler has lowered the spend of this day. */
  credited(day: number): void {
    if (day === this.day) this.#credited = true;
  }

  /** After a credit only a part of what remains may be spent. */
  isDamped(nowMs: number): boolean {
    return this.#credited || nowMs < this.#steered.dampedUntilMs;
  }

  /** The reconciler has looked again since. */
  undamp(): void {
    if (this.#credited) this.#steered.killed = false;
    this.#credited = false;
    this.#steered.dampedMicros = Number.POSITIVE_INFINITY;
    this.#steered.dampedUntilMs = 0;
  }

  rateMicrosPerS(countedUntilMs: number | null, times: PacingTimes): number {
    return microsPerSecondAt(this.#rate, countedUntilMs ?? Number.NEGATIVE_INFINITY, times.rateMs);
  }

  /** What the bidder is to be told now. With `steering` the multiplier may move on. */
  decide(counted: Counted, times: PacingTimes, steering: boolean): Decision {
    const { nowMs } = counted;
    const spendMicros = this.#kept?.day === this.day ? Math.max(this.#kept.micros, counted.spendMicros) : counted.spendMicros;
    const rateMicrosPerS = Math.ceil(this.rateMicrosPerS(counted.countedUntilMs, times) - 0.01);
    const inflightMicros = Math.ceil((rateMicrosPerS * times.reactionMs) / 1000);
    const ageMs = counted.countedUntilMs === null ? 0 : Math.max(0, nowMs - counted.countedUntilMs);
    const countedUntilMs = counted.countedUntilMs ?? 0;
    const facts = { spendMicros, rateMicrosPerS, inflightMicros, countedUntilMs, updatedMs: nowMs };
    const seenMicros = projectedMicros({ ...facts, inflightMicros: 0 }, ageMs);
    const common = {
      spendMicros,
      rateMicrosPerS,
      inflightMicros,
      countedUntilMs,
      targetMicros: targetMicrosAt(this.curve, this.bounds, nowMs),
    };
    if (this.plan.closed !== null) return { ...common, state: 'stopped', multiplier: 0, reason: this.plan.closed };
    const step = this.#step(spendMicros, projectedMicros(facts, ageMs), counted, times);
    if (steering && step.state === 'open' && this.plan.curve !== 'accelerated')
      this.#steer(seenMicros, steadyMicrosPerSecondAt(this.#rate, counted.countedUntilMs ?? Number.NEGATIVE_INFINITY, times.rateMs), nowMs);
    const own = this.plan.curve === 'accelerated' ? 1 : this.#steered.multiplier;
    const multiplier = Math.floor(Math.min(own, step.multiplier) * 1e6) / 1e6;
    return { ...common, state: step.state, multiplier, reason: this.#reason(step.state, multiplier, spendMicros) };
  }

  /** Without `updated_ms`, which is set where it is written. */
  fields(decision: Decision): Record<string, string> {
    return {
      state: decision.state,
      multiplier: String(decision.multiplier),
      reason: decision.reason,
      ...this.#texts,
      spend_micros: amountText(decision.spendMicros),
      target_micros: amountText(decision.targetMicros),
      rate_micros_per_s: amountText(decision.rateMicrosPerS),
      inflight_micros: amountText(decision.inflightMicros),
      counted_until_ms: String(Math.max(0, Math.floor(decision.countedUntilMs))),
    };
  }

  #begin(nowMs: number): void {
    const { plan } = this;
    this.#isInForce = false;
    this.day = dayAt(nowMs, plan.zone);
    this.bounds = dayBounds(this.day, plan.zone);
    this.curve = dayCurve({ ...plan, shares: this.shares, day: this.day });
    const texts = {
      policy: plan.policy,
      day: dayText(this.day),
      day_start_ms: String(this.bounds.startMs),
      day_end_ms: String(this.bounds.endMs),
      cap_micros: String(plan.capMicros),
      curve: formatCurve(this.curve),
    };
    // So that a bidder need not read all of it each second to see that it is the same.
    this.#texts = { ...texts, plan: hash('sha1', Object.values(texts).join(' ')).slice(0, 16) };
    if (this.#steered.day !== this.day) this.#turn(nowMs);
  }

  /** To another day: to the one that was left last as it was left, to a later one carefully, to an earlier one as on this. */
  #turn(nowMs: number): void {
    const before = this.#steered;
    const { day, multiplier } = before;
    if (this.#left?.day === this.day) {
      this.#steered = { ...this.#left, steeredMs: Math.min(this.#left.steeredMs, nowMs) };
    } else {
      const next = day === NO_DAY || day > this.day ? multiplier : nextDayMultiplier(multiplier);
      const nothing = { killed: false, dampedMicros: Number.POSITIVE_INFINITY, dampedUntilMs: 0 };
      this.#steered = { day: this.day, multiplier: next, steeredMs: nowMs, ...nothing };
    }
    this.#left = day === NO_DAY ? null : before;
    this.#credited = false;
  }

  #step(spendMicros: number, projected: number, { nowMs }: Counted, { creditMs }: PacingTimes): ReturnType<typeof ladder> {
    const steered = this.#steered;
    const { capMicros, policy } = this.plan;
    if (this.#credited) {
      this.#credited = false;
      if (nowMs < steered.dampedUntilMs || (this.told !== null && this.told.state !== 'open')) {
        const limitMicros = policy === 'strict' ? nearCapMicros(capMicros) : capMicros;
        steered.dampedMicros = spendMicros + Math.floor(Math.max(0, limitMicros - spendMicros) * DAMPED_SHARE);
        steered.dampedUntilMs = nowMs + creditMs;
      }
      steered.killed = false;
    }
    if (nowMs >= steered.dampedUntilMs) this.undamp();
    const step = ladder({ spendMicros, projectedMicros: projected }, { capMicros, policy }, steered.killed);
    steered.killed = step.state === 'killed';
    if (step.state === 'killed' || step.state === 'stopped') return step;
    const damped = Math.min(capMicros, steered.dampedMicros);
    if (projected >= damped) return { state: 'stopped', multiplier: 0 };
    return step;
  }

  #steer(spendMicros: number, rateMicrosPerS: number, nowMs: number): void {
    const steered = this.#steered;
    const elapsedMs = Number.isFinite(steered.steeredMs) ? nowMs - steered.steeredMs : 0;
    const seen = { spendMicros, rateMicrosPerS, atMs: nowMs };
    steered.multiplier = steer({ multiplier: steered.multiplier, elapsedMs }, seen, this.curve, this.bounds);
    steered.steeredMs = nowMs;
  }

  #reason(state: PaceState, multiplier: number, spendMicros: number): PaceReason {
    if (state === 'killed') return 'overspent';
    if (state === 'throttled') return 'near_cap';
    if (state === 'open') return multiplier < 1 ? 'pacing' : 'on_pace';
    if (spendMicros >= this.plan.capMicros) return 'cap_reached';
    return this.#steered.dampedMicros < this.plan.capMicros ? 'credit_damped' : 'cap_projected';
  }
}
