/**
 * What damage does to a state, on every store: it is harmless, or a named stop; never a wrong count. One life of a task is
 * played on each store, something is done to what it left, and who opens it next must stop by name or end with the truth: the
 * same verdict on every record, the same keys remembered, and the same numbers shown by evaluate.
 */
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import type { StateStore, Stream } from '../../src/topology/types.ts';
import type { StateBench } from './commit-log.ts';
import { Life, Owner } from './damage-life.ts';

export const KINDS = [
  'a corrupted byte',
  'a truncated file',
  'a missing segment',
  'a duplicated commit',
  'a missing chunk',
  'two owners at once',
] as const;
export type Kind = (typeof KINDS)[number];

/** A bench that can say who has claimed, rising; `land` takes these numbers. */
export interface DamageBench extends StateBench {
  claims(): Promise<number[]>;
}

export type Outcome = 'harmless' | ErrorCode;

export type Meddling<B> = (bench: B, first: Owner, second: Owner) => Promise<void>;

/** One cell's worth: what is done, and what comes of it. */
export interface Damage<B extends DamageBench> {
  kind: Kind;
  /** What is damaged, in words. */
  what: string;
  outcome: Outcome;
  /** After all owners are gone. */
  after?: (bench: B, life: Life) => Promise<void>;
  /** Between the claim of the second owner and its first commit: the first is still there. */
  meanwhile?: Meddling<B>;
  /** After the first commit of the second owner. */
  later?: Meddling<B>;
  /** The first offset that the input still has; all of it where not given. */
  inputBegins?: number;
  /** Every commit is cut into several chunks. */
  chunked?: boolean;
  /** There was no second owner. */
  alone?: boolean;
}

/** A kind that there is not on a store: why not, and a check of that. */
export interface Impossible<B extends DamageBench> {
  kind: Kind;
  cannot: string;
  check: (bench: B, life: Life) => Promise<void>;
}

/** The next owner's place, where it is not a fresh one. */
export type Reopen<B> = (bench: B) => Promise<StateStore>;

export interface DamageTable<B extends DamageBench> {
  store: string;
  bench: (damage: Pick<Damage<B>, 'chunked'>) => Promise<B>;
  damages: readonly Damage<B>[];
  impossible: readonly Impossible<B>[];
  reopen?: Reopen<B>;
  streams?: readonly Stream[];
}

export function damageConformance<B extends DamageBench>(table: DamageTable<B>): void {
  const { store, damages, impossible, streams = ['exposures', 'impressions'] } = table;
  const reopen: Reopen<B> = table.reopen ?? (async (bench) => bench.process());
  describe(`damage: ${store}`, () => {
    const on = async (damage: Pick<Damage<B>, 'chunked'>, act: (bench: B) => Promise<void>): Promise<void> => {
      const bench = await table.bench(damage);
      await act(bench).finally(() => bench.close());
    };

    test('every kind of damage is here, or said to be impossible', () => {
      for (const kind of KINDS) {
        const isHere = damages.some((damage) => damage.kind === kind);
        expect([kind, isHere !== impossible.some((one) => one.kind === kind)]).toEqual([kind, true]);
      }
    });

    for (const stream of streams) {
      test(`without damage: ${stream} are counted as by one owner that never ended`, () =>
        on({}, async (bench) => {
          const life = await new Life({ stream }).played(bench);
          expect(await Owner.recount(life, await reopen(bench))).toEqual(life.truth());
          const [accepted, duplicate, late, invalid] = life.truth().dispositions;
          expect([accepted > 100, duplicate > 20, late > 10, invalid]).toEqual([true, true, true, 0]);
        }));

      for (const damage of damages) {
        const { kind, what, outcome, after, inputBegins = 0, alone = false } = damage;
        test(`${kind}, ${what}: ${outcome} (${stream})`, () =>
          on(damage, async (bench) => {
            const life = await new Life({ stream, alone }).played(bench, damage);
            await after?.(bench, life);
            const found = await Owner.recount(life, await reopen(bench), inputBegins);
            expect(found).toEqual(outcome === 'harmless' ? life.truth() : outcome);
            if (outcome !== 'harmless') return;
            // What that owner has written is whole again.
            expect(await Owner.recount(life, await reopen(bench), inputBegins)).toEqual(life.truth());
          }));
      }
    }

    for (const { kind, cannot, check } of impossible) {
      test(`${kind} there cannot be: ${cannot}`, () =>
        on({}, async (bench) => check(bench, await new Life({ stream: 'exposures' }).played(bench))));
    }
  });
}
