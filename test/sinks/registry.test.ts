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

/** So many quarter hours since the epoch. */
const quarters = (count: number): number => count * 900_000;

it('each row’s zone holds from its beginning; the first also before, the last for ever, gaps keep what was', () => {
  expect(zonesOf(row('Europe/Berlin', 0, quarters(1)), row('Asia/Tokyo', quarters(2), quarters(3)))).toEqual([
    { fromMs: EVER, zone: 'Europe/Berlin' },
    { fromMs: quarters(2), zone: 'Asia/Tokyo' },
  ]);
});

it('a zone begins with the quarter hour that its row begins in: spend is known no finer', () => {
  const first = row('UTC', 0, quarters(2) + 1);
  const fromQuarter = [
    { fromMs: EVER, zone: 'UTC' },
    { fromMs: quarters(2), zone: 'Asia/Tokyo' },
  ];
  expect(zonesOf(first, row('Asia/Tokyo', quarters(2) + 1, quarters(9)))).toEqual(fromQuarter);
  expect(zonesOf(first, row('Asia/Tokyo', quarters(5), quarters(9), quarters(3) - 1))).toEqual(fromQuarter);
  const two = [row('Europe/Berlin', quarters(2) + 1, quarters(2) + 2), row('Asia/Tokyo', quarters(2) + 2, quarters(9))];
  expect(zonesOf(first, ...two)).toEqual(fromQuarter);
});

it('rows of the same zone are one', () => {
  const rows = [row('Europe/Berlin', 0, quarters(1)), row('Europe/Berlin', quarters(1), quarters(2))];
  expect(zonesOf(...rows)).toEqual([{ fromMs: EVER, zone: 'Europe/Berlin' }]);
});

it('a row reaches back as far as it says, over rows before it too', () => {
  const before = [row('UTC', 0, quarters(2)), row('Europe/Berlin', quarters(2), quarters(4))];
  const tokyo = (retroactive: number) => row('Asia/Tokyo', quarters(4), quarters(6), quarters(retroactive));
  expect(zonesOf(...before, tokyo(3))).toEqual([
    { fromMs: EVER, zone: 'UTC' },
    { fromMs: quarters(2), zone: 'Europe/Berlin' },
    { fromMs: quarters(3), zone: 'Asia/Tokyo' },
  ]);
  expect(zonesOf(...before, tokyo(1))).toEqual([
    { fromMs: EVER, zone: 'UTC' },
    { fromMs: quarters(1), zone: 'Asia/Tokyo' },
  ]);
  expect(zonesOf(row('UTC', 0, quarters(4)), tokyo(-1))).toEqual([{ fromMs: EVER, zone: 'Asia/Tokyo' }]);
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
