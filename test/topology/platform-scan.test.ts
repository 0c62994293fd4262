import { expect, it } from 'vitest';
import { CellTable } from '../../src/state/cells.ts';
import { PlatformScan, type ScanParts, type Told } from '../../src/topology/platform-scan.ts';
import { Random } from '../sim/random.ts';

const HOUR = 500_000;
const CAMPAIGNS = 300;

/** Campaigns of seven advertisers, three of them surfaces too, with spend at random over two days. */
function world(): ScanParts & { micros(group: number, hour: number): number } {
  const random = new Random(7);
  const spend = new CellTable(2);
  const surfaceSpend = new CellTable(2);
  const groups = Array.from({ length: CAMPAIGNS }, (_, group) => ({ entity: `c${group}`, version: 0, variant: '' }));
  for (let group = 0; group < CAMPAIGNS; group++) {
    for (let slot = (HOUR - 30) * 4; slot < (HOUR + 1) * 4; slot++) {
      if (random.chance(0.5)) spend.add(spend.at(group, 0, slot), 0, Math.floor(random.next() * 1000));
    }
    if (group < 3) surfaceSpend.add(surfaceSpend.at(group, 0, HOUR), 0, 10 + group);
  }
  const micros = (group: number, hour: number): number => {
    let sum = 0;
    for (let slot = hour * 4; slot < hour * 4 + 4; slot++) {
      const index = spend.find(group, 0, slot);
      if (index !== -1) sum += spend.get(index, 0);
    }
    return sum;
  };
  return { groups, spend, surfaceSpend, advertiserOf: (id) => `a${Number(id.slice(1)) % 7}`, micros };
}

function scan(parts: ScanParts, groups: number): { told: Told[]; slices: number } {
  const one = new PlatformScan([HOUR, HOUR - 1], parts);
  for (let slices = 1; ; slices++) {
    const told = one.go(groups);
    if (told !== null) return { told, slices };
  }
}

it('an hour’s spend, and the twenty whose spend has grown most since yesterday, are what they are when added up by hand', () => {
  const parts = world();
  const { told } = scan(parts, CAMPAIGNS);
  for (const { hour, micros, parts: splits } of told) {
    const all = parts.groups.map(({ entity }, group) => {
      return { name: entity, micros: parts.micros(group, hour), yesterday: parts.micros(group, hour - 24) };
    });
    const grown = (part: { micros: number; yesterday: number }): number => part.micros - part.yesterday;
    const order = (a: (typeof all)[number], b: (typeof all)[number]): number => grown(b) - grown(a) || (a.name < b.name ? -1 : 1);
    expect(micros).toBe(all.reduce((sum, part) => sum + part.micros, 0));
    expect(splits.campaign).toEqual([...all].sort(order).slice(0, 20));
    const advertisers = Array.from({ length: 7 }, (_, at) => {
      const own = all.filter((_, group) => group % 7 === at);
      const sum = (of: 'micros' | 'yesterday'): number => own.reduce((total, part) => total + part[of], 0);
      return { name: `a${at}`, micros: sum('micros'), yesterday: sum('yesterday') };
    });
    expect(splits.advertiser).toEqual(advertisers.sort(order));
  }
  expect(told.map(({ parts: { surface } }) => surface.map(({ micros }) => micros))).toEqual([[12, 11, 10], []]);
});

it('slice by slice it comes to the same, in as many as the campaigns need', () => {
  const parts = world();
  const whole = scan(parts, CAMPAIGNS);
  expect(whole.slices).toBe(1);
  const sliced = scan(parts, 7);
  expect(sliced.told).toEqual(whole.told);
  expect(sliced.slices).toBe(Math.ceil(CAMPAIGNS / 7));
});
