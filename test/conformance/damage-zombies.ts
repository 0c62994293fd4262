/** Two owners at once, the same on every store: what the one that has lost its claim writes never counts. */
import { expect } from 'vitest';
import type { Damage, DamageBench } from './damage.ts';
import { type Owner, poison } from './damage-life.ts';

const LOST = { code: 'claim_lost' };

/** Appends as one does that has looked for later claims just before there was one. */
async function landUnseen(bench: DamageBench, zombie: Owner, from: number): Promise<void> {
  const claim = (await bench.claims()).at(-2) as number;
  await bench.land(zombie.log, claim, await poison(zombie, from));
}

export const zombies = <B extends DamageBench>(): Damage<B>[] => [
  {
    kind: 'two owners at once',
    what: 'the zombie first, which does not know yet',
    outcome: 'harmless',
    meanwhile: (bench, first) => landUnseen(bench, first, first.stage.position),
  },
  {
    kind: 'two owners at once',
    what: 'the zombie first, which is told and goes on telling evaluate',
    outcome: 'harmless',
    meanwhile: async (_bench, first) => {
      await expect(first.log.append(first.next())).rejects.toMatchObject(LOST);
      first.next();
    },
  },
  {
    kind: 'two owners at once',
    what: 'the owner first, then the zombie from its own position',
    outcome: 'harmless',
    later: (bench, first) => landUnseen(bench, first, first.stage.position),
  },
  {
    kind: 'two owners at once',
    what: 'the owner first, then the zombie from the position of the owner',
    outcome: 'harmless',
    later: (bench, first, second) => landUnseen(bench, first, second.stage.position),
  },
  {
    kind: 'two owners at once',
    what: 'the owner first, then the zombie, which is told, and claims again after the owner has ended',
    outcome: 'harmless',
    later: async (_bench, first, second) => {
      await expect(first.log.append(first.next())).rejects.toMatchObject(LOST);
      await expect(first.log.beginSnapshot()).rejects.toMatchObject(LOST);
      await second.until(second.life.leftAt);
      expect((await first.log.claim(first.header)).current).toBe(false);
    },
  },
];
