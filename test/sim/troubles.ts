/** Large troubles: what befalls whole processes, logs and stores. They come at random moments until the plan ends them. */
import type { StoredCounter } from '../../src/sinks/memory-counters.ts';
import { MemoryStateStore } from '../../src/state/memory-store.ts';
import type { StateHeader } from '../../src/topology/types.ts';
import { STREAMS } from '../../src/topology/types.ts';
import { TROUBLES, type Trouble } from './plan.ts';
import { PARTIALS, type SimProcess } from './process.ts';
import type { Random } from './random.ts';
import type { Simulation } from './simulation.ts';

const OTHER_ZONES = ['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'America/St_Johns'] as const;

/** Claims a state only to read it. */
const NOBODY: StateHeader = { formatVersion: 0, hashSeedId: '', partitionCounts: {}, epoch: 0, configuration: '' };

/** What happens again by itself, and how often: an append shows only where the state is read before the next one. */
const REPEATS = { send: 'repeated send', counters: 'repeated counters', append: 'repeated append' } as const;
const REPEAT_CHANCE = { send: 0.03, counters: 0.03, append: 0.2 } as const;

export class Troublemaker {
  readonly #sim: Simulation;
  readonly #random: Random;
  readonly #large: Partial<Record<Trouble, () => boolean>>;
  #dump: ReadonlyMap<string, StoredCounter> | null = null;
  #over = false;

  constructor(sim: Simulation, random: Random) {
    this.#sim = sim;
    this.#random = random;
    this.#large = {
      crash: () => this.#crash(),
      rebalance: () => this.#rebalance(),
      zombie: () => this.#zombie(),
      'clean stop': () => this.#cleanStop(),
      'lagging partition': () => this.#lag(),
      'redis wiped': () => this.#wipe(),
      'redis restored': () => this.#restore(),
      'stale key': () => this.#staleKey(),
      'totals failing': () => this.#totalsFail(),
      'ingest state lost': () => this.#loseState('ingest', false),
      'evaluate state lost': () => this.#loseState('evaluate', false),
      'ingest log truncated': () => this.#loseState('ingest', true),
      'evaluate log truncated': () => this.#loseState('evaluate', true),
      retention: () => this.#retention(),
      'zones changed': () => this.#changeZone(),
      'alert acknowledged': () => this.#acknowledge(),
    };
  }

  start(): void {
    const { plan, scheduler } = this.#sim;
    const kinds = TROUBLES.filter((trouble) => plan.troubles.has(trouble) && this.#large[trouble]);
    if (kinds.length === 0) return;
    const next = (): void => {
      if (this.#over) return;
      const kind = this.#random.pick(kinds);
      if (this.#random.chance(0.3)) this.#dump = this.#sim.world.counters.dump();
      if (this.#large[kind]?.()) this.#sim.happened(kind);
      scheduler.after(this.#random.int(1, plan.troubleEveryMs * 2), next);
    };
    scheduler.after(this.#random.int(1, plan.troubleEveryMs * 2), next);
  }

  stop(): void {
    this.#over = true;
  }

  /** The network delivers some calls twice. */
  repeat(what: keyof typeof REPEATS, again: () => void): void {
    const trouble = REPEATS[what];
    if (this.#over || !this.#sim.plan.troubles.has(trouble) || !this.#random.chance(REPEAT_CHANCE[what])) return;
    this.#sim.scheduler.after(this.#random.pick([0, 50, 1000, 5000]), () => {
      this.#sim.happened(trouble);
      again();
    });
  }

  #someone(): SimProcess | null {
    const able = this.#sim.processes.filter(({ stopping }) => !stopping);
    return able.length === 0 ? null : this.#random.pick(able);
  }

  #crash(): boolean {
    const process = this.#someone();
    if (process) this.#sim.kill(process, { respawn: true });
    return process !== null;
  }

  #rebalance(): boolean {
    this.#sim.coordinator.rebalance(this.#random.pick([0, 500, 3000]));
    return true;
  }

  /** The group gives its partitions to others while it stands still or goes on; it hears of that much later. */
  #zombie(): boolean {
    const process = this.#someone();
    const { coordinator, scheduler, processes } = this.#sim;
    if (process === null || processes.length < 2) return false;
    if (this.#random.chance(0.7)) process.actor.heldUntilMs = scheduler.nowMs + this.#random.int(500, 5000);
    coordinator.members.delete(process);
    coordinator.rebalance(300);
    scheduler.after(this.#random.int(1000, 6000), () => {
      if (!process.actor.alive) return;
      coordinator.members.add(process);
      coordinator.rebalance(1000);
    });
    return true;
  }

  #cleanStop(): boolean {
    const process = this.#someone();
    const { coordinator, scheduler, judge, disks } = this.#sim;
    if (process === null) return false;
    process.stopping = true;
    const stopped = (): void => {
      if (!process.actor.alive) return;
      scheduler.kill(process.actor);
      coordinator.members.delete(process);
      coordinator.rebalance(500);
      const number = disks.indexOf(process.disk);
      scheduler.after(this.#random.int(100, 2000), () => this.#sim.spawn(Math.max(0, number)));
    };
    process.pipeline.stop().then(stopped, (error) => judge.wrong(`a clean stop failed: ${error.stack}`));
    return true;
  }

  #lag(): boolean {
    const name = this.#random.pick([...this.#sim.traffic.keys(), `${PARTIALS}/0`]);
    this.#sim.scheduler.lag(name, this.#sim.scheduler.nowMs + this.#random.int(1000, 8000));
    return true;
  }

  #wipe(): boolean {
    this.#sim.world.counters.wipe();
    return true;
  }

  #restore(): boolean {
    if (this.#dump === null) return false;
    this.#sim.world.counters.restore(this.#dump);
    return true;
  }

  #staleKey(): boolean {
    const keys = [...(this.#dump?.keys() ?? [])].filter((key) => !key.startsWith('marker:'));
    if (keys.length === 0) return false;
    const key = this.#random.pick(keys);
    this.#sim.world.counters.plant(key, this.#dump?.get(key) as StoredCounter);
    return true;
  }

  #totalsFail(): boolean {
    this.#sim.totalsFailUntilMs = this.#sim.scheduler.nowMs + this.#random.int(1000, 10_000);
    return true;
  }

  /** All processes end, and the state of one task is gone; truncated, its log does not hold all that was counted either. */
  #loseState(stage: 'ingest' | 'evaluate', truncated: boolean): boolean {
    const { world, truth, lost, judge, disks, scheduler } = this.#sim;
    const place = this.#somePartition(stage);
    const name = `${place.topic}/${place.partition}`;
    const log = world.broker.partition(place.topic, place.partition);
    if (lost.has(name) || judge.forgotten.has(place.partition) || (log.first > 0 && !truncated)) return false;
    if (truncated && (world.broker.bounds(stage, place.topic, place.partition).committed === null || log.end === 0)) return false;
    this.#killAll();
    scheduler.drop((label) => /^(append|claim) /.test(label));
    for (const disk of disks) disk?.logs.delete(`${stage}/${name}`);
    if (!truncated) return true;
    log.truncate(this.#random.int(Math.max(1, log.first), log.end));
    this.#sim.acceptStateLoss = this.#random.chance(0.5);
    if (stage === 'ingest') {
      lost.add(name);
      truth.lose(name, log.first);
    } else judge.forgotten.add(place.partition);
    return true;
  }

  /** Old records go, as they do, up to where the state of their task is. */
  #retention(): boolean {
    const { world, disks } = this.#sim;
    this.#killAll();
    this.#sim.scheduler.drop((label) => label.startsWith('append '));
    for (const stage of ['ingest', 'evaluate'] as const)
      for (const place of this.#partitions(stage)) {
        const log = new MemoryStateStore({ disk: disks[0] }).open({ stage, ...place });
        void log.claim(NOBODY).then(async (claim) => {
          let position = 0;
          for await (const commit of claim.commits()) position = commit.to;
          const { first } = world.broker.bounds(stage, place.topic, place.partition);
          if (position > first) world.broker.partition(place.topic, place.partition).truncate(this.#random.int(first, position));
        });
      }
    return true;
  }

  #changeZone(): boolean {
    this.#sim.setZone(this.#random.pick(['c1', 'c2', 'ünïcode']), this.#random.pick(OTHER_ZONES));
    return true;
  }

  #acknowledge(): boolean {
    const { alerts } = this.#sim.world;
    const open = alerts.all().filter(({ endedAtMs }) => endedAtMs === null);
    if (open.length === 0) return false;
    return alerts.acknowledge(this.#random.pick(open).id, this.#sim.scheduler.clockOf(null).now().wallMs);
  }

  #killAll(): void {
    for (const process of this.#sim.processes) this.#sim.kill(process, { respawn: true });
  }

  #partitions(stage: 'ingest' | 'evaluate'): { topic: string; partition: number }[] {
    const { plan } = this.#sim;
    const topics =
      stage === 'ingest'
        ? STREAMS.map((stream) => [stream, plan.partitions[stream]] as const)
        : [[PARTIALS, plan.partialsPartitions] as const];
    return topics.flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => ({ topic, partition })));
  }

  #somePartition(stage: 'ingest' | 'evaluate'): { topic: string; partition: number } {
    return this.#random.pick(this.#partitions(stage));
  }
}
