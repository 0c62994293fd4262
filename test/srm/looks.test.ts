import { describe, expect, it } from 'vitest';
import { cells, registryOf, segment, WatchedFed } from './watched.ts';

const HALF = { versions: { 1: { a: 0.5, b: 0.5 } } };
const exposed = (counts: Record<string, number>, version = 1, id = 'e') => cells('unitsTotal', id, counts, version);
const registered = registryOf([{ id: 'e', ...HALF }]);

/** A part of an emission of exposures/`partition`, one of two. */
const half = (fed: WatchedFed, partition: number, [emission, part]: [number, number], changed: ReturnType<typeof cells>): void => {
  const place = { stream: 'exposures', topic: 'exposures', partition, partitions: 2 } as const;
  fed.take(changed, { ...place, position: emission, emission }, { part, parts: 2 });
};

describe('emissions of several records', () => {
  /** Of each source the first half of the next emission comes before the other's second half: one is always unfinished. */
  const interleaved = (fed: WatchedFed, rounds: number): void => {
    half(fed, 0, [1, 0], exposed({ a: 70 }));
    for (let n = 1; n <= rounds; n++) {
      half(fed, 1, [n, 0], exposed({ a: 70 * n }));
      half(fed, 0, [n, 1], exposed({ b: 30 * n }));
      half(fed, 0, [n + 1, 0], exposed({ a: 70 * (n + 1) }));
      half(fed, 1, [n, 1], exposed({ b: 30 * n }));
    }
  };

  it('of two sources that are never both whole are looked at each time one ends, with what is whole', () => {
    const fed = new WatchedFed({ registered });
    interleaved(fed, 20);
    const { exposures } = fed.experiment('e');
    // The 21st of the first source is half there.
    expect(exposures).toMatchObject({ looks: 40, units: 4000 });
    expect([...(exposures.versions.get(1)?.counts ?? [])]).toEqual([2800, 1200]);
    expect(fed.alertsOf('srm')).toHaveLength(1);
  });

  it('are the same looks after a restart between two halves', () => {
    const whole = new WatchedFed({ registered });
    interleaved(whole, 3);
    half(whole, 0, [4, 1], exposed({ b: 120 }));
    const before = new WatchedFed({ registered });
    interleaved(before, 3);
    const restarted = new WatchedFed({ registered, commits: [before.commit()] });
    half(restarted, 0, [4, 1], exposed({ b: 120 }));
    for (const fed of [whole, restarted])
      expect(fed.experiment('e').exposures).toMatchObject({ units: 700, lnE: whole.experiment('e').exposures.lnE });
  });

  it('of a source that has died in the middle hold nobody up', () => {
    const fed = new WatchedFed({ registered });
    half(fed, 0, [1, 0], exposed({ a: 500 }));
    for (let n = 1; n <= 10; n++) fed.look(exposed({ a: 500 + 70 * n, b: 30 * n }), { partition: 1 });
    expect(fed.experiment('e').exposures.looks).toBe(10);
  });

  it('do not make a segment look broken that is half there', () => {
    const fed = new WatchedFed({ registered });
    half(fed, 0, [1, 0], [...exposed({ a: 400, b: 400 }), ...segment('e', { a: 400 }, ['country', 'DE'])]);
    for (let n = 1; n <= 3; n++) fed.look(exposed({ a: 600 * n, b: 600 * n }), { partition: 1 });
    expect(fed.alerts).toEqual([]);
    half(fed, 0, [1, 1], segment('e', { b: 400 }, ['country', 'DE']));
    const [counts] = [...fed.experiment('e').segments().values()];
    expect(counts.of(1)).toEqual([400, 400]);
  });
});
