/**
 * One seed: the production pipeline in one to three processes over logs and stores in memory, with everything going
 * wrong that the seed's plan names; then all trouble ends, and what is visible must become the oracle's truth exactly.
 */
import { AlertRows } from '../../src/alerts/store.ts';
import { codeOf, StreamError } from '../../src/errors.ts';
import { campaignForever, StaticRegistry } from '../../src/sinks/registry.ts';
import { MemoryDisk } from '../../src/state/memory-store.ts';
import type { IngestTask, PipelineObserver } from '../../src/topology/pipeline.ts';
import { MemoryBroker } from '../../src/topology/sources/memory-log.ts';
import type { TaskId } from '../../src/topology/types.ts';
import { STREAMS } from '../../src/topology/types.ts';
import { wrongAlerts } from './alerts.ts';
import { differsFromReplay, EXPERIMENT_ROWS } from './experiments.ts';
import { crashChance, faultOf, Injected } from './faults.ts';
import { Coordinator } from './group.ts';
import { Judge } from './judge.ts';
import { budgetsOf } from './pace-judge.ts';
import { type Plan, planOf, type Trouble } from './plan.ts';
import { PARTIALS, SimProcess, type World } from './process.ts';
import { Random } from './random.ts';
import { Reconciling } from './reconciling.ts';
import { type Actor, Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';
import { LIVE_START_MS, type SimRecord, type Slot, type Traffic, trafficOf, ZONES } from './traffic.ts';
import { Troublemaker } from './troubles.ts';
import { Truth } from './truth.ts';
import { WatchedCounters, WatchedTotals } from './watched.ts';

export interface Outcome {
  seed: number;
  problems: string[];
  /** Of everything that happened. */
  hash: string;
  lines: readonly string[];
  coverage: ReadonlyMap<Trouble, number>;
  virtualMs: number;
}

/** After all trouble has ended, everything must be counted within this. */
const PATIENCE_MS = 60_000;
/** And must then stay as it is for this long. */
const SETTLED_MS = 1500;
const LOOK_MS = 250;
/** Processes read the registry every 2 s; until then they may see different ones. */
const REGISTRY_MS = 3000;
const MAX_TURNS = 400_000;

export class Simulation {
  readonly plan: Plan;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly traffic: Traffic;
  readonly truth: Truth;
  readonly judge: Judge;
  readonly world: World;
  readonly coordinator: Coordinator;
  readonly coverage = new Map<Trouble, number>();
  /** The folder that all share, or the last that a process of this number had. */
  readonly disks: MemoryDisk[] = [];
  acceptStateLoss = false;
  /** Partitions (`topic/partition`) behind whose truncated log state was lost. */
  readonly lost = new Set<string>();
  totalsFailUntilMs = 0;
  readonly #seed: number;
  readonly #trace: Trace;
  readonly #troubles: Troublemaker;
  readonly #zones: Record<string, string> = { ...ZONES };
  readonly #waiting: { atMs: number; name: string; slot: Slot }[];
  #produced = 0;
  /** The last change of the registry. */
  #registeredMs = Number.NEGATIVE_INFINITY;
  readonly #complete = new Set<string>();
  readonly #agreed = new Set<string>();
  #names = 0;
  #processes: SimProcess[] = [];
  #healthy = false;
  #reconciling: Reconciling | null = null;

  constructor(seed: number, keepTrace: boolean) {
    this.#seed = seed;
    this.random = new Random(seed);
    this.#trace = new Trace(keepTrace);
    this.plan = planOf(this.random.fork());
    this.traffic = trafficOf(this.random.fork(), this.plan);
    this.truth = new Truth(this.plan, this.traffic, (id) => this.#zones[id] ?? 'UTC');
    this.judge = new Judge(this.plan, this.truth, this.traffic, (id) => this.#zones[id] ?? 'UTC');
    this.scheduler = new Scheduler({
      random: this.random,
      trace: this.#trace,
      passing: (label) => (label.startsWith('poll') || label.endsWith('after') ? 0.5 : 0.1),
      judge: (actor, label) => this.#judgeStep(actor, label),
      startWallMs: this.plan.live ? LIVE_START_MS : 1_790_000_000_000,
    });
    this.world = this.#makeWorld();
    this.coordinator = new Coordinator(this.plan, this.random.fork(), this.scheduler);
    this.#troubles = new Troublemaker(this, this.random.fork());
    this.#waiting = this.#productionOrder();
    if (!this.plan.troubles.has('reconcile')) return;
    this.#reconciling = new Reconciling(this, this.random.fork());
    this.judge.spend = this.#reconciling;
  }

  async run(): Promise<Outcome> {
    for (let i = 0; i < this.plan.processes; i++) this.spawn(i);
    this.#troubles.start();
    this.#reconciling?.start();
    try {
      await this.#turns();
    } catch (error) {
      this.judge.wrong(`the simulation stopped: ${error instanceof Error ? error.stack : error}`);
    }
    const { problems } = this.judge;
    this.scheduler.close();
    return {
      seed: this.#seed,
      problems,
      hash: this.#trace.hash,
      lines: this.#trace.lines,
      coverage: this.coverage,
      virtualMs: this.scheduler.nowMs,
    };
  }

  happened(trouble: Trouble, what = ''): void {
    this.coverage.set(trouble, (this.coverage.get(trouble) ?? 0) + 1);
    this.#trace.add(`${this.scheduler.nowMs} * ${trouble} ${what}`);
  }

  /** Virtual time is over for whatever ails. */
  get healthy(): boolean {
    return this.#healthy;
  }

  /** All that live, those whom the group has given up included. */
  get processes(): SimProcess[] {
    return this.#processes.filter(({ actor }) => actor.alive);
  }

  /** A new process, on the folder of that number. */
  spawn(number: number): void {
    const index = this.plan.sharedState ? 0 : number;
    this.disks[index] ??= this.#makeDisk();
    const name = `P${++this.#names}`;
    const process: SimProcess = new SimProcess(name, this.world, {
      disk: this.disks[index],
      acceptStateLoss: this.acceptStateLoss,
      observer: this.#observer(() => process),
    });
    this.#trace.add(`${this.scheduler.nowMs} ${name} begins in folder ${index}`);
    process.pipeline.start().catch((error) => this.#fatal(process, error));
    this.#processes = [...this.processes, process];
    this.coordinator.members.add(process);
    this.coordinator.rebalance(1000);
  }

  /** Ends a process at once; the group hears of it later, and another one begins later still. */
  kill(process: SimProcess, options: { respawn: boolean }): void {
    const { random, scheduler, coordinator, plan } = this;
    if (!process.actor.alive) return;
    scheduler.kill(process.actor);
    coordinator.members.delete(process);
    scheduler.after(this.#healthy ? 0 : random.int(0, 2000), () => coordinator.rebalance(1000));
    if (!options.respawn) return;
    const number = this.disks.indexOf(process.disk);
    const isEmptied = !plan.sharedState && random.chance(0.3);
    scheduler.after(this.#healthy ? 0 : random.int(100, 2500), () => {
      if (isEmptied && number >= 0) this.disks[number] = this.#makeDisk();
      this.spawn(number >= 0 ? number : 0);
    });
  }

  zoneOf(campaignId: string): string {
    return this.#zones[campaignId] ?? 'UTC';
  }

  setZone(campaignId: string, zone: string): void {
    this.#zones[campaignId] = zone;
    this.#registeredMs = this.scheduler.nowMs;
    this.judge.moved.add(campaignId);
    this.world.registry.set({ campaigns: this.#campaigns() });
    this.truth.count();
  }

  async #turns(): Promise<void> {
    let lookMs = 0;
    let goodSinceMs: number | null = null;
    for (let turn = 0; this.judge.problems.length === 0; turn++) {
      this.#produce();
      await this.scheduler.turn();
      const nowMs = this.scheduler.nowMs;
      if (!this.#healthy && nowMs >= this.plan.troubleMs && this.#produced === this.#waiting.length) this.#heal();
      if (turn > MAX_TURNS) return this.judge.wrong(`no end after ${turn} turns`);
      if (!this.#healthy || nowMs < Math.max(lookMs, this.#registeredMs + REGISTRY_MS)) continue;
      lookMs = nowMs + LOOK_MS;
      const missing = this.#missing();
      if (missing.length === 0) goodSinceMs ??= nowMs;
      else if (goodSinceMs !== null) return this.#wrongAll('what was right is wrong again', missing);
      if (goodSinceMs !== null && nowMs >= goodSinceMs + SETTLED_MS) return await this.#replay();
      if (nowMs > this.plan.troubleMs + PATIENCE_MS) return this.#wrongAll('not right in time', missing);
    }
  }

  /** What was decided about experiments must follow from the log alone. */
  async #replay(): Promise<void> {
    const registry = await this.world.registry.load();
    const wrong = this.processes.flatMap(({ pipeline }) =>
      pipeline.evaluateTasks.flatMap(({ id: { topic, partition }, stage }) => {
        if (stage === null || this.judge.forgotten.has(partition)) return [];
        const log = this.world.broker.partition(topic, partition);
        return differsFromReplay({ stage, log, topic, partition, settings: this.plan.settings, registry });
      }),
    );
    if (wrong.length > 0) this.#wrongAll('experiments', wrong);
  }

  #wrongAll(why: string, what: readonly string[]): void {
    this.judge.wrong(`${why}:`);
    for (const one of what.slice(0, 10)) this.judge.wrong(one);
  }

  #missing(): string[] {
    const { counters, totals, broker } = this.world;
    const missing = this.#uncommitted();
    if (missing.length > 0) return missing;
    const different = this.judge.differences(counters, totals);
    if (different.length > 0) return different;
    const told = this.judge.pace.differences(
      counters,
      { wallMs: this.scheduler.now().wallMs, spends: this.judge.spend === null },
      Object.keys(this.#zones),
    );
    return [...told, ...this.judge.sideOutputs(broker), ...this.#unreported(), ...this.#wrongAlerts()];
  }

  /** Partitions of which nobody has ever committed everything, since trouble ended. */
  #uncommitted(): string[] {
    const complete = this.#complete;
    for (const { pipeline } of this.processes)
      for (const task of pipeline.ingestTasks) {
        const { topic, partition } = task.id;
        if (task.committed === this.world.broker.partition(topic, partition).end) complete.add(`${topic}/${partition}`);
      }
    return [...this.traffic.keys()].filter((name) => !complete.has(name)).map((name) => `${name} is not committed to its end`);
  }

  /** A loss of state behind a truncated log has to be told by everyone who evaluates. */
  #unreported(): string[] {
    return this.processes.flatMap(({ pipeline }) =>
      pipeline.evaluateTasks.flatMap(({ id, stage }) => {
        if (stage === null) return [];
        if (this.judge.forgotten.has(id.partition)) return stage.lossy ? [] : [`${id.topic}/${id.partition} does not report its own loss`];
        const { sources } = stage.state;
        const reported = new Set([...sources.lost].map((index) => `${sources.all()[index].topic}/${sources.all()[index].partition}`));
        return [...this.lost]
          .filter((name) => !reported.has(name))
          .map((name) => `${id.topic}/${id.partition} does not report the loss of ${name}`);
      }),
    );
  }

  #wrongAlerts(): string[] {
    const { truth, lost, judge, world } = this;
    const books = this.processes.flatMap(({ pipeline }) =>
      pipeline.evaluateTasks.flatMap(({ stage }) => (stage === null ? [] : [stage.state.alerts])),
    );
    return wrongAlerts({
      truth,
      lost,
      forgotten: judge.forgotten,
      broker: world.broker,
      rows: world.alerts.all(),
      books,
      agreed: this.#agreed,
      isForgotten: (entity) => judge.isForgotten(entity),
    });
  }

  #heal(): void {
    this.#healthy = true;
    this.#troubles.stop();
    for (const { actor } of this.processes) actor.heldUntilMs = 0;
    this.totalsFailUntilMs = 0;
    this.#trace.add(`${this.scheduler.nowMs} all trouble ends`);
    if (this.lost.size > 0) this.acceptStateLoss = true;
    this.coordinator.rebalance(0);
  }

  #judgeStep(actor: Actor, label: string): Error | 'gone' | null {
    if (this.#healthy) return null;
    const process = this.processes.find((candidate) => candidate.actor === actor);
    const { plan, random } = this;
    if (process && plan.troubles.has('crash') && random.chance(plan.crashing * crashChance(label))) {
      this.happened('crash', `${actor.name} at ${label}`);
      this.kill(process, { respawn: true });
      return 'gone';
    }
    if ((label === 'totals.before' || label === 'alerts.before') && this.scheduler.nowMs < this.totalsFailUntilMs)
      return new StreamError('postgres_unreachable', 'injected');
    const fault = faultOf(label, plan, random);
    if (fault === null) return null;
    this.happened(fault.trouble);
    return fault.error;
  }

  #observer(self: () => SimProcess): PipelineObserver {
    return {
      restored: (task, { commits, position, resumed }) => {
        this.#restored(self(), task, { commits, position });
        const beganAnew = !resumed && commits === 0 && position > 0;
        if (beganAnew && !self().acceptStateLoss && this.lost.has(`${task.topic}/${task.partition}`))
          this.judge.wrong(`${task.topic}/${task.partition} goes on at ${position} without its state, and nobody has accepted that`);
      },
      committed: (task) => this.#committed(self(), task),
      failed: (task, error, backoffMs) => {
        if (!self().actor.alive) return;
        this.#trace.add(
          `${this.scheduler.nowMs} ${self().actor.name} ${task.stage} of ${task.topic}/${task.partition} failed: ${error.message}`,
        );
        if (codeOf(error) === 'unexpected' && !(error instanceof Injected))
          this.judge.wrong(`${task.stage} ${task.topic}/${task.partition}: ${error.stack}`);
        if (backoffMs !== null) return;
        // A task that is stopped waits for a person, who starts the process again with --accept-state-loss.
        if (this.#isExpected(self(), error)) this.#fatal(self(), error);
        else this.judge.wrong(`${task.stage} ${task.topic}/${task.partition} stopped: ${error.stack}`);
      },
      fatal: (error) => this.#fatal(self(), error),
    };
  }

  #restored(process: SimProcess, task: TaskId, { commits, position }: { commits: number; position: number }): void {
    const where = `${task.stage} of ${task.topic}/${task.partition}`;
    this.#trace.add(`${this.scheduler.nowMs} ${process.actor.name} restored ${where} to ${position} from ${commits} commits`);
  }

  #committed(process: SimProcess, id: TaskId): void {
    if (id.stage !== 'ingest') return;
    const task = process.pipeline.ingestTasks.find((one: IngestTask) => one.id.topic === id.topic && one.id.partition === id.partition);
    if (!task?.stage) return;
    const at = { origin: task.stage.state.origin, position: task.committed };
    const problem = this.judge.committed(`${id.topic}/${id.partition}`, at, task.stage.committedTotals);
    if (problem !== null) this.judge.wrong(problem);
  }

  #isExpected(process: SimProcess, error: Error): boolean {
    return codeOf(error) === 'state_lost' && this.lost.size + this.judge.forgotten.size > 0 && !process.acceptStateLoss;
  }

  /** The process ends by itself; where state was lost, the next one is told to accept it. */
  #fatal(process: SimProcess, error: Error): void {
    if (!process.actor.alive) return;
    if (!this.#isExpected(process, error)) this.judge.wrong(`${process.actor.name} ended: ${error.stack}`);
    this.acceptStateLoss = true;
    this.kill(process, { respawn: true });
  }

  #produce(): void {
    for (; this.#produced < this.#waiting.length; this.#produced++) {
      const { atMs, name, slot } = this.#waiting[this.#produced];
      if (atMs > this.scheduler.nowMs) return;
      const [topic, partition] = name.split('/');
      if (slot === null) this.world.broker.appendControl(topic, Number(partition));
      else this.world.broker.append(topic, Number(partition), this.plan.live ? this.#now(slot) : slot);
    }
  }

  /** As a broker with LogAppendTime takes it. */
  #now(slot: SimRecord): SimRecord {
    const timestampMs = this.scheduler.now().wallMs;
    this.judge.pace.appended(slot, timestampMs);
    return { ...slot, timestampMs };
  }

  #productionOrder(): { atMs: number; name: string; slot: Slot }[] {
    const all = [...this.traffic].flatMap(([name, slots]) => {
      let atMs = 0;
      return slots.map((slot) => {
        atMs = slot?.atMs ?? atMs;
        return { atMs, name, slot };
      });
    });
    return all.sort((a, b) => a.atMs - b.atMs);
  }

  #campaigns(): Map<string, ReturnType<typeof campaignForever>[]> {
    return new Map(Object.entries(this.#zones).map(([id, zone]) => [id, [campaignForever(id, zone)]]));
  }

  #makeDisk(): MemoryDisk {
    const disk = new MemoryDisk();
    disk.noticesLaterClaim = () => this.random.chance(0.5);
    return disk;
  }

  #makeWorld(): World {
    const { plan, scheduler, judge } = this;
    const outputs = ['duplicates', 'late', 'invalid', 'violations', 'unique', 'alerts'].map(
      (name) => [`exposure-stream.${name}`, 2] as const,
    );
    const topics = Object.fromEntries([...STREAMS.map((stream) => [stream, plan.partitions[stream]] as const), ...outputs]);
    const counters = new WatchedCounters(() => scheduler.now().wallMs);
    const totals = new WatchedTotals();
    counters.watcher = judge;
    totals.watcher = judge;
    return {
      plan,
      scheduler,
      counters,
      totals,
      alerts: new AlertRows(),
      broker: new MemoryBroker(scheduler.clockOf(null), { ...topics, [PARTIALS]: plan.partialsPartitions }),
      registry: new StaticRegistry(
        { campaigns: this.#campaigns(), budgets: budgetsOf(plan), ...EXPERIMENT_ROWS },
        1,
        scheduler.clockOf(null),
      ),
      repeats: (what, again) => this.#troubles.repeat(what, again),
    };
  }
}
