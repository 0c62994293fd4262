/** Stream against truth: what agrees, what differs, what is not to be compared yet. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CompareOptions, compareAll } from '../../reconcile/compare.ts';
import { closedUntilMs, parseInstant, parseUntil } from '../../reconcile/cut.ts';
import { lockedBeforeMs } from '../../reconcile/lock.ts';
import { truthHourOf } from '../../reconcile/rows.ts';
import {
  type ComparedEntity,
  compareEntities,
  compareTexts,
  type Delta,
  NO_EVIDENCE,
  type StreamHour,
  type TruthHour,
} from '../../reconcile/types.ts';
import { Worst } from '../../reconcile/worst.ts';

const HOUR = 3_600_000;
const FOR_EVER = { spend: Number.POSITIVE_INFINITY, exposure: Number.POSITIVE_INFINITY };
const OPTIONS: CompareOptions = {
  tolerance: { ratio: 0.01, floorMicros: 10_000, floorCount: 1 },
  bounds: { closedMs: FOR_EVER, completeMs: FOR_EVER },
};
const key = (entityId: string, hour: number) => ({
  kind: 'spend' as const,
  entityId,
  allocationVersion: 0,
  variantId: '',
  hourMs: hour * HOUR,
});
const ours = (entityId: string, hour: number, amount: number, count = 10): StreamHour => ({
  ...key(entityId, hour),
  shown: { amount, count },
  raw: { amount, count },
  adjustedAt: null,
  isCorrected: false,
  evidence: NO_EVIDENCE,
});
const theirs = (entityId: string, hour: number, amount: number, count: number | null = 10): TruthHour => ({
  ...key(entityId, hour),
  amount,
  count,
  credits: 0,
  bookedSince: 0,
});

async function statesOf(stream: StreamHour[], truth: TruthHour[], options = OPTIONS): Promise<string[]> {
  const found: ComparedEntity[] = [];
  for await (const entity of compareAll(stream, truth, options)) found.push(entity);
  return found.flatMap(({ entityId, hours }) =>
    hours.map(({ hourMs, state, delta }) => `${entityId}/${hourMs / HOUR} ${state} ${delta.amount}`),
  );
}

describe('an hour', () => {
  test.each([
    [1_000_000, 1_010_000, 'matched'],
    [1_000_000, 1_011_000, 'drifted'],
    [5_000_000, 5_050_505, 'matched'],
    [5_000_000, 5_050_506, 'drifted'],
    [0, 10_000, 'matched'],
    [10_001, 0, 'drifted'],
  ])('of %i against %i is %s: one per cent of the truth, or a cent', async (stream, truth, state) => {
    expect(await statesOf([ours('c', 1, stream)], [theirs('c', 1, truth)])).toEqual([`c/1 ${state} ${truth - stream}`]);
  });

  test('differs by its impressions too, where the truth counts them', async () => {
    expect(await statesOf([ours('c', 1, 5, 10)], [theirs('c', 1, 5, 12)])).toEqual(['c/1 drifted 0']);
    expect(await statesOf([ours('c', 1, 5, 10)], [theirs('c', 1, 5, 11)])).toEqual(['c/1 matched 0']);
    expect(await statesOf([ours('c', 1, 5, 10)], [theirs('c', 1, 5, null)])).toEqual(['c/1 matched 0']);
  });

  test('may be on one side only, in whatever order the entities lie', async () => {
    const stream = [ours('a', 1, 1e6), ours('a', 3, 1e6), ours('c', 1, 1e6)];
    const truth = [theirs('a', 2, 1e6), theirs('a', 3, 1e6), theirs('b', 1, 1e6)];
    expect(await statesOf(stream, truth)).toEqual([
      'a/1 drifted -1000000',
      'a/2 drifted 1000000',
      'a/3 matched 0',
      'b/1 drifted 1000000',
      'c/1 drifted -1000000',
    ]);
  });

  test('that is open in the stream, or not wholly booked, is neither right nor wrong; its end counts', async () => {
    const bounds = { closedMs: { ...FOR_EVER, spend: 3 * HOUR }, completeMs: { ...FOR_EVER, spend: 2 * HOUR } };
    const hours = [0, 1, 2, 3].map((hour) => ours('c', hour, 1e6));
    expect(await statesOf(hours, [], { ...OPTIONS, bounds })).toEqual([
      'c/0 drifted -1000000',
      'c/1 drifted -1000000',
      'c/2 not_yet_booked -1000000',
      'c/3 in_flight_at_cut -1000000',
    ]);
  });
});

test('each hour of either side is compared exactly once, and deltas add up', async () => {
  const row = fc.record({ id: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }), hour: fc.nat(5), amount: fc.nat(1e9) });
  const rows = fc.uniqueArray(row, { selector: ({ id, hour }) => `${hour} ${id}` });
  const sorted = <Row extends StreamHour | TruthHour>(list: Row[]): Row[] =>
    list.sort((a, b) => compareEntities(a, b) || a.hourMs - b.hourMs);
  await fc.assert(
    fc.asyncProperty(rows, rows, async (left, right) => {
      const stream = sorted(left.map(({ id, hour, amount }) => ours(id, hour, amount)));
      const truth = sorted(right.map(({ id, hour, amount }) => theirs(id, hour, amount)));
      const seen = new Set<string>();
      let sum = 0;
      for await (const { entityId, hours } of compareAll(stream, truth, OPTIONS)) {
        for (const { hourMs, delta } of hours) {
          expect(seen.has(`${hourMs} ${entityId}`)).toBe(false);
          seen.add(`${hourMs} ${entityId}`);
          sum += delta.amount;
        }
      }
      expect(seen.size).toBe(new Set([...left, ...right].map(({ id, hour }) => `${hour * HOUR} ${id}`)).size);
      expect(sum).toBe(truth.reduce((all, { amount }) => all + amount, 0) - stream.reduce((all, { shown }) => all + shown.amount, 0));
    }),
  );
});

test('texts are in the order of their UTF-8 bytes, as in Postgres’ collation "C"', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
      expect(Math.sign(compareTexts(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }),
  );
  expect(compareTexts('\uffee', '🙂')).toBeLessThan(0);
});

test('an hour of a view that truncates in a zone with half hours is refused by name', () => {
  const row = (hourMs: number) => ['c', 0, '', hourMs, 1, 1, 0, 0];
  expect(truthHourOf('spend')(row(5 * HOUR)).hourMs).toBe(5 * HOUR);
  expect(() => truthHourOf('spend')(row(5.5 * HOUR))).toThrow('1970-01-01T05:30');
});

describe('the cut', () => {
  const expected = { inputs: { spend: { topic: 'i', partitions: 2 }, exposure: { topic: 'e', partitions: 1 } }, partialsPartitions: 1 };
  const at = (partition: number, watermarkMs: number | null, idle = false) => ({
    partialsPartition: 0,
    topic: 'i',
    partition,
    origin: 0,
    position: 1,
    watermarkMs,
    idle,
  });
  const closed = (...positions: ReturnType<typeof at>[]) => closedUntilMs('spend', positions, { expected, allowedLatenessMs: 100 });

  test('waits for the slowest partition, and for lateness; idle ones are left out, those never heard of are not', () => {
    expect(closed(at(0, 1000), at(1, 5000))).toBe(900);
    expect(closed(at(0, 1000, true), at(1, 5000))).toBe(4900);
    expect(closed(at(0, 1000, true), at(1, null, true))).toBe(Number.POSITIVE_INFINITY);
    expect(closed(at(0, 1000), at(1, null))).toBe(Number.NEGATIVE_INFINITY);
    expect(closed(at(1, 5000))).toBe(Number.NEGATIVE_INFINITY);
    expect(closed(at(0, 1000), at(1, 5000), at(2, 0))).toBe(900);
  });

  test('a bound that lies ahead is refused: its adjustments would outrank every run until then', () => {
    const nowMs = Date.UTC(2026, 10, 25, 12);
    expect(parseUntil('2026-11-25T12:00Z', nowMs)).toBe(nowMs);
    expect(() => parseUntil('2026-11-25T12:00:01Z', nowMs)).toThrow('lies ahead');
  });

  test('takes dates and times as people write them, and no others', () => {
    expect(parseInstant('--until', '2026-11-25')).toBe(Date.UTC(2026, 10, 25));
    expect(parseInstant('--until', '2026-11-25T10:30Z')).toBe(Date.UTC(2026, 10, 25, 10, 30));
    expect(parseInstant('--until', '2026-11-25T10:30:00+02:00')).toBe(Date.UTC(2026, 10, 25, 8, 30));
    for (const text of ['', 'yesterday', '2026-02-30', '2026-02-30T10:00Z', '2026-13-01', '25.11.2026', '1764066600000']) {
      expect(() => parseInstant('--until', text)).toThrow('--until');
    }
  });

  test('locks a day when its seventh day after has begun', () => {
    const DAY = 24 * HOUR;
    expect(lockedBeforeMs(8 * DAY, 7)).toBe(2 * DAY); // day 1 is locked on day 8
    expect(lockedBeforeMs(8 * DAY + 23 * HOUR, 7)).toBe(2 * DAY);
    expect(lockedBeforeMs(8 * DAY - HOUR, 7)).toBe(DAY);
  });
});

test('of many differences the largest are told, in their order', () => {
  const worst = new Worst(3);
  const amounts = [5, -9, 1, 7, 2, 0, -7, 3, 8];
  for (const amount of amounts) worst.add({ delta: { amount, count: 0 } } as Delta);
  expect(worst.take().map(({ delta }) => delta.amount)).toEqual([-9, 7, 8]);
});
