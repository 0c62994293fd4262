import { expect, it } from 'vitest';
import { type CampaignRow, campaignForever, EMPTY_ROWS, makeRegistry, StaticRegistry, validAt } from '../../src/sinks/registry.ts';

const row = (timeZone: string, fromMs: number, toMs: number, retroactiveFromMs: number | null = null): CampaignRow => ({
  ...campaignForever('c', timeZone),
  fromMs,
  toMs,
  retroactiveFromMs,
});
const zonesOf = (...rows: CampaignRow[]) =>
  makeRegistry({ ...EMPTY_ROWS, campaigns: new Map([['c', rows]]) }, { version: 0, epoch: 1, asOfMs: 0, loadedWallMs: 0 }).zonesOf('c');
const EVER = Number.NEGATIVE_INFINITY;

it('each row’s zone holds from its beginning; the first also before, the last for ever, gaps keep what was', () => {
  expect(zonesOf(row('Europe/Berlin', 0, 100), row('Asia/Tokyo', 200, 300))).toEqual([
    { fromMs: EVER, zone: 'Europe/Berlin' },
    { fromMs: 200, zone: 'Asia/Tokyo' },
  ]);
});

it('rows of the same zone are one', () => {
  expect(zonesOf(row('Europe/Berlin', 0, 100), row('Europe/Berlin', 100, 200))).toEqual([{ fromMs: EVER, zone: 'Europe/Berlin' }]);
});

it('a row reaches back as far as it says, over rows before it too', () => {
  const before = [row('UTC', 0, 100), row('Europe/Berlin', 100, 200)];
  expect(zonesOf(...before, row('Asia/Tokyo', 200, 300, 150))).toEqual([
    { fromMs: EVER, zone: 'UTC' },
    { fromMs: 100, zone: 'Europe/Berlin' },
    { fromMs: 150, zone: 'Asia/Tokyo' },
  ]);
  expect(zonesOf(...before, row('Asia/Tokyo', 200, 300, 50))).toEqual([
    { fromMs: EVER, zone: 'UTC' },
    { fromMs: 50, zone: 'Asia/Tokyo' },
  ]);
  expect(zonesOf(row('UTC', 0, 100), row('Asia/Tokyo', 100, 200, -50))).toEqual([{ fromMs: EVER, zone: 'Asia/Tokyo' }]);
});

it('an unregistered campaign is counted in UTC, one named like a property of every object too', async () => {
  const registry = await new StaticRegistry({ campaigns: new Map([['c', [campaignForever('c', 'Asia/Tokyo')]]]) }).load();
  expect(registry.zonesOf('c')).toEqual([{ fromMs: EVER, zone: 'Asia/Tokyo' }]);
  expect(registry.zonesOf('__proto__')).toEqual([{ fromMs: EVER, zone: 'UTC' }]);
});

it('a row is valid until its end exclusive', () => {
  const valid = row('UTC', 0, 100);
  expect(validAt([valid], 99)).toBe(valid);
  expect(validAt([valid], 100)).toBeNull();
  expect(validAt(undefined, 0)).toBeNull();
});

it('a static registry that is changed has a new version', async () => {
  const source = new StaticRegistry();
  const before = await source.load();
  source.set({ campaigns: new Map([['c', [campaignForever('c', 'Asia/Tokyo')]]]) });
  const after = await source.load();
  expect([before.version, after.version]).toEqual([0, 1]);
  expect([before, after].map((registry) => registry.zonesOf('c')[0].zone)).toEqual(['UTC', 'Asia/Tokyo']);
});
