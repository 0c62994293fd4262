/**
 * A reconciler among everything else that happens: started now and then, killed at its awaits, two at once, over a billing that books
 * in parts and counts what came late too. At the end the comparison itself is the judge: it must find nothing, and Redis must
 * hold, day by day, what the views show.
 */
import type { ExpectedSources } from '../../reconcile/cut.ts';
import { type Booking, MemoryLedger } from '../../reconcile/memory-ledger.ts';
import { MemoryReconcileStore } from '../../reconcile/memory-store.ts';
import { Reconciler } from '../../reconcile/run.ts';
import { codeOf } from '../../src/errors.ts';
import { dayOfSlot, dayText } from '../../src/operators/days.ts';
import { OPTIONS } from '../conformance/reconcile-bed.ts';
import { Injected } from './faults.ts';
import { PARTIALS, SimWriter } from './process.ts';
import type { Random } from './random.ts';
import { Actor } from './scheduler.ts';
import type { Simulation } from './simulation.ts';

const HOUR = 3_600_000;
const QUARTER = HOUR / 4;
/** After every event of every seed. */
const UNTIL = Date.UTC(2030, 0, 1);
const KILLED_AT_A_STEP = 0.06;
/** In trouble: runs that are held whatever they find, and persons who approve one of those. */
const LOCKED = 0.25;
/** In trouble: billing is not complete from some hour on. */
const INCOMPLETE = 0.3;
const HELD = 0.5;
const APPROVES = 0.5;

/** Zones of the simulation whose days begin within an hour of UTC. */
const WITH_PARTS = new Set(['Asia/Kathmandu', 'Asia/Kolkata', 'America/St_Johns']);

class Killed extends Error {}

export class Reconciling {
  readonly ledger = new MemoryLedger();
  readonly #sim: Simulation;
  readonly #random: Random;
  readonly #expected: ExpectedSources;
  /** Every hour is history: what differs is corrected in the views, and Redis is told nothing. */
  readonly #isLocked: boolean;
  #runs = 0;
  #running = 0;
  /** Whether the last run, begun after all trouble, has found nothing to do. */
  #calm = false;

  constructor(sim: Simulation, random: Random) {
    this.#sim = sim;
    this.#random = random;
    this.#isLocked = random.chance(LOCKED);
    const { plan, world, truth, scheduler } = sim;
    const input = (topic: 'impressions' | 'exposures') => ({ topic, partitions: plan.partitions[topic] });
    this.#expected = { inputs: { spend: input('impressions'), exposure: input('exposures') }, partialsPartitions: plan.partialsPartitions };
    const { ledger } = this;
    ledger.rows = () => world.totals.rows();
    ledger.positions = () => world.totals.sourcePositions();
    let lastMs = 0;
    ledger.nowMs = () => {
      lastMs = Math.max(lastMs + 1, UNTIL + scheduler.nowMs);
      return lastMs;
    };
    ledger.completeMs = { spend: Number.POSITIVE_INFINITY, exposure: Number.POSITIVE_INFINITY };
    for (const [name, amounts] of truth.mostHours) {
      const [kind, entityId, allocationVersion, variantId, hourMs] = JSON.parse(name);
      if (kind !== 'spend') continue;
      const whole = { amount: amounts.spendMicros + amounts.lateMicros, count: amounts.impressions + amounts.lateRecords };
      this.#book({ kind, entityId, allocationVersion, variantId, hourMs }, whole);
    }
  }

  start(): void {
    this.#later();
  }

  /** What is not as it must be in the end. */
  differences(): string[] {
    if (!this.#calm) return ['the reconciler has not found nothing yet'];
    if (this.#isLocked) return this.#wrongHours();
    const { counters } = this.#sim.world;
    const shown = new Map<string, { amount: number; count: number }>();
    for (const [name, { amount, count }] of this.ledger.shown()) {
      const key = this.#keyOf(name);
      const sum = shown.get(key) ?? { amount: 0, count: 0 };
      shown.set(key, { amount: sum.amount + amount, count: sum.count + count });
    }
    const held = new Map<string, { amount: number; count: number }>();
    for (const key of counters.keys()) {
      if (!key.startsWith('spend:')) continue;
      const fields = counters.get(key)?.fields ?? {};
      const name = this.#isWhole(key) ? key : key.slice(0, key.lastIndexOf('}') + 1);
      const sum = held.get(name) ?? { amount: 0, count: 0 };
      held.set(name, { amount: sum.amount + Number(fields['spend_micros']), count: sum.count + Number(fields['impressions']) });
    }
    const found: string[] = [];
    for (const key of new Set([...shown.keys(), ...held.keys()])) {
      const [a, b] = [shown.get(key) ?? { amount: 0, count: 0 }, held.get(key) ?? { amount: 0, count: 0 }];
      if (a.amount !== b.amount || a.count !== b.count)
        found.push(`${key}: Redis has ${b.amount}/${b.count}, the views show ${a.amount}/${a.count}`);
    }
    return found;
  }

  /** Hours that the views show otherwise than billing has them. */
  #wrongHours(): string[] {
    const booked = new Map<string, number>();
    for (const { entityId, hourMs, amount } of this.ledger.bookings) {
      const key = JSON.stringify([entityId, hourMs]);
      booked.set(key, (booked.get(key) ?? 0) + amount);
    }
    const shown = this.ledger.shown();
    return [...new Set([...booked.keys(), ...shown.keys()])].flatMap((key) => {
      const [ours, theirs] = [shown.get(key)?.amount ?? 0, booked.get(key) ?? 0];
      return ours === theirs ? [] : [`${key}: the views show ${ours}, billing has ${theirs}`];
    });
  }

  /** Whole-hour zones have days of hours; of the others only the sum over all days is known from hours. */
  #isWhole(key: string): boolean {
    return !WITH_PARTS.has(this.#sim.zoneOf(key.slice('spend:{'.length, key.lastIndexOf('}'))));
  }

  #keyOf(name: string): string {
    const [campaign, hourMs] = JSON.parse(name);
    const day = dayText(dayOfSlot(hourMs / QUARTER, this.#sim.zoneOf(campaign)));
    const key = `spend:{${campaign}}:${day}`;
    return this.#isWhole(key) ? key : `spend:{${campaign}}`;
  }

  /** In one to three parts, over the time of trouble. */
  #book(key: Omit<Booking, 'amount' | 'count' | 'bookedAtMs'>, { amount, count }: { amount: number; count: number }): void {
    const random = this.#random;
    const parts = random.int(1, 3);
    let [amountLeft, countLeft] = [amount, count];
    for (let i = 0; i < parts; i++) {
      const isLast = i === parts - 1;
      const [micros, impressions] = isLast ? [amountLeft, countLeft] : [random.int(0, amountLeft), random.int(0, countLeft)];
      amountLeft -= micros;
      countLeft -= impressions;
      this.ledger.bookings.push({
        ...key,
        amount: micros,
        count: impressions,
        bookedAtMs: UNTIL + random.int(0, this.#sim.plan.troubleMs),
      });
    }
  }

  #later(): void {
    const { scheduler } = this.#sim;
    scheduler.after(this.#sim.healthy ? 2500 : this.#random.int(200, 1500), () => {
      void this.#run();
      this.#later();
    });
  }

  async #run(): Promise<void> {
    if (this.#running >= 2) return;
    this.#running++;
    const sim = this.#sim;
    const isAfterTrouble = sim.healthy;
    const actor = new Actor(`R${++this.#runs}`);
    let holdsLock = false;
    const step = async (label: string): Promise<void> => {
      await sim.scheduler.step(actor, `reconcile ${label}`);
      if (!sim.healthy && this.#random.chance(KILLED_AT_A_STEP)) throw new Killed(label);
    };
    const store = new MemoryReconcileStore(this.ledger, step);
    const lock = store.lock.bind(store);
    store.lock = async () => {
      const release = await lock();
      holdsLock = release !== null;
      return release;
    };
    const held = this.ledger.runs.filter(({ status }) => status === 'held');
    const isApproval = held.length > 0 && !isAfterTrouble && this.#random.chance(APPROVES);
    sim.happened('reconcile', isApproval ? `${actor.name} approves` : actor.name);
    const anHour = this.#random.pick(this.ledger.bookings)?.hourMs ?? 0;
    const completeMs = !isAfterTrouble && this.#random.chance(INCOMPLETE) ? anHour : Number.POSITIVE_INFINITY;
    this.ledger.completeMs = { spend: completeMs, exposure: completeMs };
    const limit = !isAfterTrouble && this.#random.chance(HELD) ? 0 : Number.POSITIVE_INFINITY;
    try {
      const reconciler = this.#reconciler(store, step, limit);
      if (isApproval) return void (await reconciler.approve(this.#random.pick(held).head.runId));
      const { summary, head } = await reconciler.run({
        untilMs: UNTIL,
        scope: { fromMs: 0, toMs: UNTIL, isBackfill: false },
        dryRun: false,
      });
      // Silent partitions are idle in the end: only then every hour has been compared, and a run with a lower cut says nothing.
      if (isAfterTrouble && head.cut.closedMs.spend === Number.POSITIVE_INFINITY) this.#calm = summary.adjusted + summary.corrected === 0;
    } catch (error) {
      this.#ended(error, actor.name, holdsLock);
    } finally {
      this.#running--;
    }
  }

  #ended(error: unknown, name: string, holdsLock: boolean): void {
    // A connection that is gone frees its lock; the reconciler itself has freed it where it could.
    if (holdsLock) this.ledger.locked = false;
    if (error instanceof Killed) this.#sim.happened('crash', `${name} at ${error.message}`);
    else if (!(error instanceof Injected) && codeOf(error) === 'unexpected') this.#sim.judge.wrong(`${name}: ${(error as Error).stack}`);
  }

  #reconciler(store: MemoryReconcileStore, step: (label: string) => Promise<void>, holdLimit: number): Reconciler {
    const { world, plan, scheduler } = this.#sim;
    return new Reconciler({
      store,
      writer: new SimWriter(world, step),
      registry: world.registry,
      partialsTopic: PARTIALS,
      expected: async () => this.#expected,
      clock: scheduler.clockOf(null),
      // Everything differs from a billing that is behind; what is judged here is the repair.
      options: {
        ...OPTIONS,
        tolerance: { ratio: 0, floorMicros: 0, floorCount: 0 },
        hold: { campaignShare: holdLimit, micros: holdLimit, floorMicros: 0 },
        allowedLatenessMs: plan.settings.time.allowedLatenessMs,
        lockDays: this.#isLocked ? 1 : 30_000, // all is history, or nothing: seeds begin in 1970 or in 2026
      },
      versions: { code: 'sim', config: 'sim' },
    });
  }
}
