import { expect, it } from 'vitest';
import { campaignForever, makeRegistry, StaticRegistry, validAt } from '../../src/sinks/registry.ts';

const at = (asOfMs: number) => ({ version: 0, epoch: 1, asOfMs, loadedWallMs: 0 });
const rowsOf = (...rows: [string, number, number][]) =>
  rows.map(([timeZone, fromMs, toMs]) => ({ ...campaignForever('c', timeZone), fromMs, toMs }));

const zoneAt = (asOfMs: number, ...rows: [string, number, number][]): string => {
  const empty = { budgets: new Map(), experiments: new Map(), variants: new Map(), allocations: new Map() };
  return makeRegistry({ ...empty, campaigns: new Map([['c', rowsOf(...rows)]]) }, at(asOfMs)).zoneOf('c');
};

it('the zone is that of the row valid now', () => {
  const history: [string, number, number][] = [
    ['Europe/Berlin', 0, 100],
    ['Asia/Tokyo', 100, 200],
  ];
  expect(zoneAt(99, ...history)).toBe('Europe/Berlin');
  expect(zoneAt(100, ...history)).toBe('Asia/Tokyo');
});

it('a campaign that has ended keeps its last zone, and one that has not begun has its first', () => {
  expect(zoneAt(500, ['Europe/Berlin', 0, 100], ['Asia/Tokyo', 100, 200])).toBe('Asia/Tokyo');
  expect(zoneAt(150, ['Europe/Berlin', 0, 100], ['Asia/Tokyo', 200, 300])).toBe('Europe/Berlin');
  expect(zoneAt(-1, ['Europe/Berlin', 0, 100], ['Asia/Tokyo', 100, 200])).toBe('Europe/Berlin');
});

it('zones hold until the next row of any campaign begins', () => {
  const empty = { budgets: new Map(), experiments: new Map(), variants: new Map(), allocations: new Map() };
  const campaigns = new Map([
    ['a', rowsOf(['UTC', Number.NEGATIVE_INFINITY, 50], ['Asia/Tokyo', 300, 400])],
    ['b', rowsOf(['UTC', 100, 200])],
  ]);
  const until = [0, 99, 100, 300].map((asOfMs) => makeRegistry({ ...empty, campaigns }, at(asOfMs)).zonesUntilMs());
  expect(until).toEqual([100, 100, 300, Number.POSITIVE_INFINITY]);
});

it('an unregistered campaign is counted in UTC, one named like a property of every object too', async () => {
  const registry = await new StaticRegistry({ campaigns: new Map([['c', [campaignForever('c', 'Asia/Tokyo')]]]) }).load();
  expect(registry.zoneOf('c')).toBe('Asia/Tokyo');
  expect(registry.zoneOf('__proto__')).toBe('UTC');
});

it('a row is valid until its end exclusive', () => {
  const [row] = rowsOf(['UTC', 0, 100]);
  expect(validAt([row], 99)).toBe(row);
  expect(validAt([row], 100)).toBeNull();
  expect(validAt(undefined, 0)).toBeNull();
});

it('a static registry that is changed has a new version', async () => {
  const source = new StaticRegistry();
  const before = await source.load();
  source.set({ campaigns: new Map([['c', [campaignForever('c', 'Asia/Tokyo')]]]) });
  const after = await source.load();
  expect([before.version, after.version, before.zoneOf('c'), after.zoneOf('c')]).toEqual([0, 1, 'UTC', 'Asia/Tokyo']);
});
