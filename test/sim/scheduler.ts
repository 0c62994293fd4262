/**
 * The one place that decides what happens next. Every await of a port is a pending operation here; they are completed in
 * an order that the seed draws, while time passes only here. A dead actor's operations never complete, but for those
 * that were already on their way: they may still take effect.
 */
import type { Clock, Now } from '../../src/topology/types.ts';
import type { Random } from './random.ts';
import type { Trace } from './trace.ts';

/** Each its own: one for all would keep everything that ever waited for it. */
const never = (): Promise<void> => new Promise(() => {});

/** Somebody whose operations are scheduled: a process, or the network between processes. */
export class Actor {
  readonly name: string;
  alive = true;
  /** Stands still until then: a pause of the machine, a partition of the network. */
  heldUntilMs = 0;

  constructor(name: string) {
    this.name = name;
  }
}

interface Operation {
  actor: Actor;
  label: string;
  notBeforeMs: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

interface Timer {
  atMs: number;
  actor: Actor | null;
  fire: () => void;
  /** Lets go of what would end it early. */
  forget?: () => void;
}

/** What happens to an operation when its turn has come: null lets it go on; `gone` has killed its actor. */
export type StepJudge = (actor: Actor, label: string) => Error | 'gone' | null;

export interface SchedulerOptions {
  random: Random;
  trace: Trace;
  /** Chance that a step completes at once, without a turn of its own. */
  passing: (label: string) => number;
  judge: StepJudge;
  /** The wall clock at the beginning. */
  startWallMs: number;
}

/** Labels of steps inside a port, before an effect: what may still happen after its actor has died. */
const isEffect = (label: string): boolean =>
  /^(send|append|claim|snapshot|commit|counters|totals)/.test(label) && !/ after$|\.marker\.after$|totals\.after$/.test(label);

export class Scheduler {
  readonly #options: SchedulerOptions;
  #nowMs = 0;
  #operations: Operation[] = [];
  #timers: Timer[] = [];
  /** Topics' partitions whose reads wait until then. */
  readonly #lagging = new Map<string, number>();

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  now(): Now {
    return { monotonicMs: this.#nowMs, wallMs: this.#options.startWallMs + this.#nowMs };
  }

  clockOf(actor: Actor | null): Clock {
    return { now: () => this.now(), sleep: (ms, signal) => this.#sleep(actor, ms, signal) };
  }

  /** Reads of this partition stand still until then. */
  lag(partition: string, untilMs: number): void {
    this.#lagging.set(partition, untilMs);
  }

  /** The hook of every port. */
  step(actor: Actor, label: string): Promise<void> {
    const { random, passing } = this.#options;
    if (!actor.alive) {
      // Only what was already under way inside a port gets here.
      if (!isEffect(label) || random.chance(0.3)) return never();
      return this.#enqueue(actor, label, this.#nowMs + random.int(0, 3000));
    }
    if (random.chance(passing(label))) return Promise.resolve();
    return this.#enqueue(actor, label, this.#lagging.get(label.split(' ')[1]) ?? 0);
  }

  /** Something that happens at its time unless the scheduler is late. */
  at(ms: number, act: () => void): void {
    this.#addTimer({ atMs: ms, actor: null, fire: act });
  }

  after(ms: number, act: () => void): void {
    this.at(this.#nowMs + ms, act);
  }

  /** Nothing of the dead that is still on its way and has such a label arrives. */
  drop(matches: (label: string) => boolean): void {
    this.#operations = this.#operations.filter(({ actor, label }) => actor.alive || !matches(label));
  }

  /** Ends an actor. What it had sent may arrive later, or never. */
  kill(actor: Actor): void {
    actor.alive = false;
    const { random } = this.#options;
    this.#operations = this.#operations.filter((operation) => {
      if (operation.actor !== actor) return true;
      if (!isEffect(operation.label) || random.chance(0.5)) return false;
      operation.notBeforeMs = this.#nowMs + (random.chance(0.5) ? 0 : random.int(0, 5000));
      return true;
    });
    this.#timers = this.#timers.filter((timer) => {
      if (timer.actor === actor) timer.forget?.();
      return timer.actor !== actor;
    });
  }

  /** Lets go of everything that would still happen. */
  close(): void {
    for (const timer of this.#timers) timer.forget?.();
    this.#timers = [];
    this.#operations = [];
  }

  /** One event: an operation completes, or time passes. */
  async turn(): Promise<void> {
    const { random, trace } = this.#options;
    const ready: number[] = [];
    for (let i = 0; i < this.#operations.length; i++) {
      const { actor, notBeforeMs } = this.#operations[i];
      if (notBeforeMs <= this.#nowMs && (!actor.alive || actor.heldUntilMs <= this.#nowMs)) ready.push(i);
    }
    if (ready.length === 0 || (this.#timers.length > 0 && random.chance(0.03))) this.#passTime();
    else {
      const index = ready[Math.floor(random.next() * ready.length)];
      const operation = this.#operations[index];
      this.#operations[index] = this.#operations[this.#operations.length - 1];
      this.#operations.pop();
      if (random.chance(0.3)) this.#nowMs += 1;
      const fault = operation.actor.alive ? this.#options.judge(operation.actor, operation.label) : null;
      trace.add(`${this.#nowMs} ${operation.actor.name} ${operation.label}${fault ? ' !' : ''}`);
      if (fault === null) operation.resolve();
      else if (fault !== 'gone') operation.reject(fault);
    }
    await settled();
  }

  #enqueue(actor: Actor, label: string, notBeforeMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#operations.push({ actor, label, notBeforeMs, resolve, reject });
    });
  }

  /** To the next moment at which anything can happen. */
  #passTime(): void {
    let next = this.#timers.length > 0 ? this.#timers[0].atMs : Number.POSITIVE_INFINITY;
    for (const { actor, notBeforeMs } of this.#operations) {
      const ms = actor.alive ? Math.max(notBeforeMs, actor.heldUntilMs) : notBeforeMs;
      if (ms > this.#nowMs && ms < next) next = ms;
    }
    if (!Number.isFinite(next)) throw new Error('nothing is left that could happen');
    if (next > this.#nowMs) this.#nowMs = next;
    this.#options.trace.add(`${this.#nowMs} time`);
    while (this.#timers.length > 0 && this.#timers[0].atMs <= this.#nowMs) this.#fire(this.#timers.shift() as Timer);
  }

  #fire(timer: Timer): void {
    const { actor } = timer;
    if (actor !== null && actor.heldUntilMs > this.#nowMs) {
      timer.atMs = actor.heldUntilMs;
      this.#addTimer(timer);
    } else timer.fire();
  }

  #sleep(actor: Actor | null, ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (actor?.alive === false) return never();
    if (signal?.aborted) return Promise.resolve();
    if (!Number.isFinite(ms)) throw new RangeError(`a sleep of ${ms} ms`);
    return new Promise((resolve) => {
      const fire = (): void => {
        timer.forget?.();
        resolve();
      };
      const timer: Timer = { atMs: this.#nowMs + Math.max(0, ms), actor, fire };
      this.#addTimer(timer);
      if (signal === undefined) return;
      const aborted = (): void => {
        const index = this.#timers.indexOf(timer);
        if (index >= 0) this.#timers.splice(index, 1);
        fire();
      };
      // A listener that stays keeps its signal for ever.
      timer.forget = () => signal.removeEventListener('abort', aborted);
      signal.addEventListener('abort', aborted);
    });
  }

  #addTimer(timer: Timer): void {
    let at = this.#timers.length;
    while (at > 0 && this.#timers[at - 1].atMs > timer.atMs) at--;
    this.#timers.splice(at, 0, timer);
  }
}

/** Until nothing more follows by itself: Node runs this queue again only when all promises have settled. */
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
