import { describe, expect, it } from 'vitest';
import type { MakePart } from '../../src/topology/evaluate-part.ts';
import { Fed, spend, units, zoned } from './fed.ts';

/** A part that writes down what it is told. */
const listening = (told: string[]): MakePart => {
  return ({ state }) => ({
    grew: (name, { group }, growth) => told.push(`${name} of ${state.groups[group].entity} by ${growth[0]}`),
    looked: ({ mark, advanced }) => told.push(`look at ${mark.stream}${advanced ? '' : ', no further'}`),
    registered: ({ experiments }) => told.push(`registered: ${[...experiments.keys()]}`),
    owned: () => told.push('owned'),
  });
};
const rows = (id: string, version: number) => ({
  ...zoned('UTC', version),
  experiments: new Map([[id, {} as never]]),
  variants: new Map(),
  allocations: new Map(),
});

describe('a part of evaluate', () => {
  it('hears of every total that grows, then of the look that ends the emission', () => {
    const told: string[] = [];
    const fed = new Fed({ parts: [listening(told)] });
    told.length = 0;
    fed.take([units('e', 'a', 5), spend('c', 7)], { stream: 'exposures', position: 9 });
    fed.take([units('e', 'a', 5), units('e', 'b', 1)], { stream: 'exposures', position: 9 });
    expect(told).toEqual([
      'unitsTotal of e by 5',
      'spend of c by 7',
      'look at exposures',
      'unitsTotal of e by 1',
      'look at exposures, no further',
    ]);
  });

  it('hears the totals again when they are restored, before it owns them', () => {
    const fed = new Fed({ parts: [] });
    fed.take([units('e', 'a', 5)]);
    const told: string[] = [];
    new Fed({ parts: [listening(told)], commits: [fed.commit()] });
    expect(told).toEqual(['unitsTotal of e by 5', 'owned']);
  });

  it('is told what is registered when it has changed, and not of times that pass', () => {
    const told: string[] = [];
    const fed = new Fed({ parts: [listening(told)], registered: rows('e1', 1) });
    fed.stage.register(rows('e1', 1));
    fed.stage.register(rows('e2', 2));
    expect(told.filter((text) => text.startsWith('registered'))).toEqual(['registered: e1', 'registered: e2']);
  });
});
