import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOURLY_AMOUNTS, type HourlyBatch, type HourlyRow, type PositionRow, type TotalsSink } from '../../src/sinks/totals.ts';

/** One store of totals, and how a test reads it. */
export interface TotalsHarness {
  sink(): TotalsSink;
  rows(): Promise<HourlyRow[]>;
  positions(): Promise<PositionRow[]>;
  close(): Promise<void>;
}

const HOUR_MS = 3_600_000;
export const NOTHING = {
  spendMicros: 0,
  impressions: 0,
  units: 0,
  lateRecords: 0,
  lateMicros: 0,
  duplicateRecords: 0,
  duplicateMicros: 0,
  suspectedRecords: 0,
  suspectedMicros: 0,
  invalidTrafficRecords: 0,
  invalidTrafficMicros: 0,
};

export const spendRow = (entityId: string, hour: number, values: Partial<HourlyRow> = {}): HourlyRow => ({
  kind: 'spend',
  entityId,
  allocationVersion: 0,
  variantId: '',
  hourMs: hour * HOUR_MS,
  ...NOTHING,
  ...values,
});

export const batchOf = (rows: HourlyRow[], values: Partial<HourlyBatch> = {}): HourlyBatch => ({
  partialsPartition: 2,
  epoch: 1,
  version: 10,
  rows,
  positions: [],
  ...values,
});

const byIdentity = (a: HourlyRow, b: HourlyRow): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** The promises of a TotalsSink, held against the fake and the real thing. */
export const totalsSinkConformance = (name: string, open: () => Promise<TotalsHarness>): void => {
  describe(`${name} keeps the promises of a totals sink`, () => {
    let store: TotalsHarness;
    let sink: TotalsSink;
    beforeEach(async () => {
      store = await open();
      sink = store.sink();
    });
    afterEach(async () => {
      await sink.close();
      await store.close();
    });

    it('every column of a row comes back, to the last micro', async () => {
      const spend = spendRow('c', 490_000, {
        spendMicros: Number.MAX_SAFE_INTEGER,
        impressions: 1,
        lateRecords: 2,
        lateMicros: 3,
        duplicateRecords: 4,
        duplicateMicros: 5,
        suspectedRecords: 6,
        suspectedMicros: 7,
        invalidTrafficRecords: 8,
        invalidTrafficMicros: 9,
      });
      const exposure: HourlyRow = {
        ...spendRow('e', 490_001),
        kind: 'exposure',
        allocationVersion: 2 ** 31 - 1,
        variantId: 'v',
        units: 77,
      };
      expect(await sink.flush(batchOf([spend, exposure]))).toBe('written');
      expect((await store.rows()).sort(byIdentity)).toEqual([exposure, spend].sort(byIdentity));
    });

    it('ids of any kind arrive unchanged: escapes, breaks, quotes, emoji, 256 code points', async () => {
      const ids = [
        'a\tb',
        'a\nb',
        'a\r\nb',
        '\\',
        '\\N',
        '\\.',
        'quote"back\\slash',
        "'",
        '__proto__',
        '💶'.repeat(256),
        ' ',
        '{}:',
        'NULL',
        '\u0001\u2028',
      ];
      const rows = ids.flatMap((id) => [
        spendRow(id, 490_000, { spendMicros: 1 }),
        { ...spendRow(id, 490_000, { units: 1 }), kind: 'exposure' as const, allocationVersion: 1, variantId: id },
      ]);
      await sink.flush(batchOf(rows));
      expect((await store.rows()).sort(byIdentity)).toEqual(rows.sort(byIdentity));
    });

    it('hours from the first to the last that an event can have', async () => {
      const rows = [0, 8.64e15 / HOUR_MS].map((hour) => spendRow('c', hour, { impressions: 1 }));
      await sink.flush(batchOf(rows));
      expect((await store.rows()).sort(byIdentity)).toEqual(rows.sort(byIdentity));
    });

    it('a row replaces what was there, at a later and at an equal version', async () => {
      await sink.flush(batchOf([spendRow('c', 490_000, { spendMicros: 5 })]));
      await sink.flush(batchOf([spendRow('c', 490_000, { spendMicros: 4 })]));
      expect(await store.rows()).toMatchObject([{ spendMicros: 4 }]);
      await sink.flush(batchOf([spendRow('c', 490_000, { spendMicros: 9 })], { version: 11 }));
      expect(await store.rows()).toMatchObject([{ spendMicros: 9 }]);
    });

    it('a task that has lost state raises amounts and lowers none, to the last micro', async () => {
      const amounts = (values: number[]) => Object.fromEntries(HOURLY_AMOUNTS.map((name, i) => [name, values[i]])) as Partial<HourlyRow>;
      const before = [2 ** 53 - 1, 10, 5, 4, 0, 1, 100, 3, 9, 8, 2];
      const lost = [2 ** 53 - 2, 20, 0, 4, 1, 0, 99, 30, 10, 1, 3];
      await sink.flush(batchOf([spendRow('c', 490_000, amounts(before))]));
      const again = [spendRow('c', 490_000, amounts(lost)), spendRow('new', 490_000, { impressions: 1 })];
      expect(await sink.flush(batchOf(again, { version: 11, keepLarger: true }))).toBe('written');
      expect((await store.rows()).sort(byIdentity)).toEqual([
        spendRow('c', 490_000, amounts(before.map((amount, i) => Math.max(amount, lost[i])))),
        spendRow('new', 490_000, { impressions: 1 }),
      ]);
      expect(await sink.flush(batchOf(again, { version: 10, keepLarger: true }))).toBe('fenced');
      expect(await sink.flush(batchOf(again, { version: 11 }))).toBe('written');
      expect((await store.rows()).sort(byIdentity)).toEqual(again);
    });

    it('a lower version is fenced and changes nothing, positions included', async () => {
      const position: PositionRow = {
        topic: 't',
        partition: 0,
        origin: 0,
        position: 50,
        watermarkMs: 5,
        countedUntilMs: null,
        idle: false,
      };
      await sink.flush(batchOf([spendRow('c', 490_000, { spendMicros: 5 })], { positions: [position] }));
      const zombie = batchOf([spendRow('c', 490_000, { spendMicros: 3 }), spendRow('new', 490_000)], {
        version: 9,
        positions: [{ ...position, position: 40 }],
      });
      expect(await store.sink().flush(zombie)).toBe('fenced');
      expect(await store.rows()).toMatchObject([{ spendMicros: 5 }]);
      expect(await store.positions()).toEqual([position]);
    });

    it('an epoch is above every version of the one before, in the rows too where an entity moved to another partition', async () => {
      await sink.flush(batchOf([spendRow('c', 490_000, { spendMicros: 5 })], { epoch: 1, version: 1_000 }));
      expect(await sink.flush(batchOf([spendRow('c', 490_000, { spendMicros: 7 })], { partialsPartition: 0, epoch: 2, version: 1 }))).toBe(
        'written',
      );
      expect(await sink.flush(batchOf([spendRow('c', 490_000, { spendMicros: 6 })], { epoch: 1, version: 1_001 }))).toBe('written');
      expect(await store.rows()).toMatchObject([{ spendMicros: 7 }]);
    });

    it('positions come back whole, those without a watermark included, and are replaced', async () => {
      const first: PositionRow = {
        topic: 'impressions',
        partition: 7,
        origin: 3,
        position: 9,
        watermarkMs: null,
        countedUntilMs: null,
        idle: true,
      };
      const other: PositionRow = {
        topic: 'exposures',
        partition: 7,
        origin: 0,
        position: 2 ** 53 - 1,
        watermarkMs: 1,
        countedUntilMs: 2,
        idle: false,
      };
      await sink.flush(batchOf([], { positions: [first, other] }));
      const later = { ...first, position: 10, watermarkMs: 8.64e15, idle: false };
      await sink.flush(batchOf([], { version: 12, positions: [later] }));
      expect((await store.positions()).sort((a, b) => (a.topic < b.topic ? -1 : 1))).toEqual([other, later]);
    });

    it('an empty batch moves the fence', async () => {
      await sink.flush(batchOf([], { version: 20 }));
      expect(await sink.flush(batchOf([], { version: 19 }))).toBe('fenced');
    });
  });
};
