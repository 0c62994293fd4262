/** Damage to state in memory: there are neither bytes at rest nor files, so only what owners do to one another. */
import { expect } from 'vitest';
import { MemoryDisk, MemoryStateStore } from '../../src/state/memory-store.ts';
import type { Commit } from '../../src/topology/types.ts';
import { TASK } from './commit-log.ts';
import type { Damage, DamageBench, DamageTable } from './damage.ts';
import { Owner } from './damage-life.ts';
import { zombies } from './damage-zombies.ts';

export class MemoryBench implements DamageBench {
  readonly disk = new MemoryDisk();

  process(): MemoryStateStore {
    return new MemoryStateStore({ disk: this.disk });
  }

  get entries() {
    return this.disk.logOf(`${TASK.stage}/${TASK.topic}/${TASK.partition}`);
  }

  get commits(): Commit[] {
    return this.entries.flatMap((entry) => ('commit' in entry ? [entry.commit] : []));
  }

  async claims(): Promise<number[]> {
    return this.entries.flatMap((entry) => ('header' in entry ? [entry.claim] : []));
  }

  async land(_log: unknown, claim: number, commit: Commit): Promise<void> {
    this.entries.push({ claim, commit });
  }

  async close(): Promise<void> {}
}

const damages: Damage<MemoryBench>[] = [
  {
    kind: 'a duplicated commit',
    what: 'the last one again',
    outcome: 'harmless',
    after: async ({ entries }) => void entries.push(entries[entries.length - 1]),
  },
  {
    kind: 'a duplicated commit',
    what: 'one before again, under the claim of the last',
    outcome: 'harmless',
    after: async ({ entries }) => void entries.push(entries[entries.length - 2]),
  },
  ...zombies<MemoryBench>(),
];

export const MEMORY: DamageTable<MemoryBench> = {
  store: 'memory',
  bench: async () => new MemoryBench(),
  damages,
  impossible: [
    {
      kind: 'a corrupted byte',
      cannot: 'what was appended and what is restored are copies, so nobody else holds its bytes',
      check: async (bench, life) => {
        const owner = await Owner.open(life, bench.process());
        const commit = owner.next();
        await owner.log.append(commit);
        commit.changes.fill(0xff);
        const claim = await bench.process().open(TASK).claim(owner.header);
        for await (const { changes } of claim.commits()) changes.fill(0xff);
        expect(await Owner.recount(life, bench.process())).toEqual(life.truth());
      },
    },
    {
      kind: 'a truncated file',
      cannot: 'there is none; a process that ends takes all of it along, and then all is counted anew',
      check: async (_bench, life) => expect(await Owner.recount(life, new MemoryBench().process())).toEqual(life.truth()),
    },
    {
      kind: 'a missing segment',
      cannot: 'a complete snapshot removes what it replaced in the same step in which it counts',
      check: async ({ entries }) => expect('complete' in entries[0] || 'header' in entries[0]).toBe(true),
    },
    {
      kind: 'a missing chunk',
      cannot: 'a commit is one entry, there or not',
      check: async ({ commits }, life) => expect(commits.at(-1)).toMatchObject({ from: life.leftAt - life.step, to: life.leftAt }),
    },
  ],
};
