/** Coordinates both consumer groups: who has which partition, and when each member hears of it. */

import type { AssignedPartition } from '../../src/topology/sources/memory-source.ts';
import { STREAMS } from '../../src/topology/types.ts';
import type { Plan } from './plan.ts';
import { GROUPS, type Group, PARTIALS, type SimProcess } from './process.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

export class Coordinator {
  readonly #plan: Plan;
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly members = new Set<SimProcess>();
  #generation = 0;
  readonly #heard = new Map<string, number>();

  constructor(plan: Plan, random: Random, scheduler: Scheduler) {
    this.#plan = plan;
    this.#random = random;
    this.#scheduler = scheduler;
  }

  /** Everything is given out anew. Members hear of it after up to that long, each at its own time; so do those who lose all. */
  rebalance(delayMs: number, leaving: readonly SimProcess[] = []): void {
    const members = [...this.members];
    const generation = ++this.#generation;
    for (const group of GROUPS) {
      const shares = new Map<SimProcess, AssignedPartition[]>(members.map((member) => [member, []]));
      if (members.length > 0) for (const partition of this.#partitions(group)) shares.get(this.#random.pick(members))?.push(partition);
      for (const member of leaving) shares.set(member, []);
      for (const [member, share] of shares) this.#tell(member, group, { share, generation, delayMs });
    }
  }

  #tell(member: SimProcess, group: Group, news: { share: AssignedPartition[]; generation: number; delayMs: number }): void {
    const name = `${member.actor.name} ${group}`;
    this.#scheduler.after(this.#random.int(0, news.delayMs), () => {
      if (!member.actor.alive || member.stopping || (this.#heard.get(name) ?? 0) > news.generation) return;
      this.#heard.set(name, news.generation);
      member.assign(group, news.share);
    });
  }

  #partitions(group: Group): AssignedPartition[] {
    const { partitions, partialsPartitions } = this.#plan;
    const topics =
      group === 'ingest' ? STREAMS.map((stream) => [stream, partitions[stream]] as const) : [[PARTIALS, partialsPartitions] as const];
    return topics.flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => ({ topic, partition })));
  }
}
