/** Hours that the reconciler has settled: what days show of them, whatever comes before or after. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../src/errors.ts';
import { ByteReader } from '../../src/state/bytes.ts';
import { type Adjustment, readAdjustments, writeAdjustments } from '../../src/topology/adjustments.ts';
import { spreadOver } from '../../src/topology/evaluate-adjustments.ts';
import { DAY, HOUR, MINUTE, START } from './drive.ts';
import { Fed, spend, zoned } from './fed.ts';

const QUARTER = 15 * MINUTE;
const NOON = START;
const DAY_KEY = 'spend:{c}:2026-03-02';

const adjusted = (spendMicros: number, more: Partial<Adjustment> = {}): Adjustment => ({
  campaignId: 'c',
  hourMs: NOON,
  spendMicros,
  impressions: 3,
  untilMs: NOON + HOUR,
  bookedBeforeMs: NOON + 2 * HOUR,
  ...more,
});

const settle = (fed: Fed, ...adjustments: Adjustment[]): void => {
  for (const value of writeAdjustments(adjustments)) fed.raw(value);
};

describe('an adjusted hour', () => {
  test('is what the truth says, and what is counted later waits for the next run', () => {
    const fed = new Fed();
    fed.take([spend('c', 10, NOON), spend('c', 100, NOON + HOUR)]);
    settle(fed, adjusted(7));
    expect(fed.shown()).toEqual({ [DAY_KEY]: 107 });
    fed.take([spend('c', 15, NOON), spend('c', 5, NOON + QUARTER)]);
    expect(fed.shown()).toEqual({ [DAY_KEY]: 107 });
    settle(fed, adjusted(21, { bookedBeforeMs: NOON + 3 * HOUR }));
    expect(fed.shown()).toEqual({ [DAY_KEY]: 121 });
  });

  test('may be one that the stream never saw', () => {
    const fed = new Fed();
    settle(fed, adjusted(7, { campaignId: 'unseen' }));
    expect(fed.shown()).toEqual({ 'spend:{unseen}:2026-03-02': 7 });
  });

  test('goes to Redis at once, with impressions, and Postgres keeps what was counted', () => {
    const fed = new Fed();
    fed.take([spend('c', 10, NOON)]);
    fed.writes();
    settle(fed, adjusted(7));
    expect(fed.writes().map(({ key, fields }) => [key, fields['spend_micros'], fields['impressions']])).toEqual([[DAY_KEY, '7', '3']]);
    expect(fed.stage.takeHours(10)?.rows).toMatchObject([{ spendMicros: 10 }]);
  });

  test('never shows less than nothing, though billing may take back more than a day held', () => {
    const fed = new Fed();
    settle(fed, adjusted(-5));
    expect(fed.writes()).toMatchObject([{ fields: { spend_micros: '0' } }]);
    fed.take([spend('c', 12, NOON + HOUR)]);
    expect(fed.shown()).toEqual({ [DAY_KEY]: 7 });
  });

  test('keeps its adjustment with the highest cut, in whatever order and how often they come', () => {
    const cuts = [
      adjusted(1, { untilMs: NOON + HOUR, bookedBeforeMs: 9 }),
      adjusted(2, { untilMs: NOON + 2 * HOUR, bookedBeforeMs: 5 }),
      adjusted(3, { untilMs: NOON + 2 * HOUR, bookedBeforeMs: 6 }),
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...cuts), { maxLength: 8 }), (order) => {
        const fed = new Fed();
        settle(fed, ...order, ...cuts);
        fed.take([spend('c', 100, NOON)]);
        expect(fed.shown()).toEqual({ [DAY_KEY]: 3 });
      }),
    );
  });

  test('is spread over its quarter hours where a day begins within it', () => {
    const zone = 'Asia/Kathmandu'; // +5:45: midnight is 18:15 UTC
    const evening = NOON + 6 * HOUR;
    const fed = new Fed({ registered: zoned(zone) });
    fed.take([spend('c', 30, evening), spend('c', 10, evening + QUARTER), spend('c', 20, evening + 2 * QUARTER)]);
    expect(fed.shown()).toEqual({ [DAY_KEY]: 30, 'spend:{c}:2026-03-03': 30 });
    settle(fed, adjusted(121, { hourMs: evening }));
    expect(fed.shown()).toEqual({ [DAY_KEY]: 60, 'spend:{c}:2026-03-03': 61 });
    fed.take([spend('c', 60, evening + QUARTER)]);
    expect(fed.shown(), 'in proportion to what the stream has now').toEqual({ [DAY_KEY]: 33, 'spend:{c}:2026-03-03': 88 });
    fed.stage.register(zoned('UTC', 2));
    expect(fed.shown()).toEqual({ [DAY_KEY]: 121, 'spend:{c}:2026-03-03': 0 });
  });

  test('is there after a restart, from commits and from a snapshot, also before any cell', () => {
    const fed = new Fed();
    settle(fed, adjusted(7, { hourMs: NOON + HOUR }));
    const first = fed.commit();
    fed.take([spend('c', 10, NOON)]);
    settle(fed, adjusted(8));
    const commits = [first, fed.commit()];
    const shown = fed.shown();
    expect(shown).toEqual({ [DAY_KEY]: 15 });
    expect(new Fed({ commits }).shown()).toEqual(shown);
    const restored = new Fed({ commits: [fed.snapshot()] });
    expect(restored.shown()).toEqual(shown);
    settle(restored, adjusted(1, { bookedBeforeMs: 0 }));
    expect(restored.shown(), 'its cut is kept too').toEqual(shown);
    expect(restored.stage.state.adjustments.refused).toBe(1);
  });

  test('is forgotten with its cells, and one for a forgotten hour changes nothing', () => {
    const fed = new Fed();
    settle(fed, adjusted(7));
    fed.take([spend('c', 1, NOON)], { watermarkMs: NOON });
    fed.flushHours();
    fed.take([], { watermarkMs: NOON + 30 * DAY });
    fed.commit();
    fed.commit();
    expect([fed.stage.state.adjustments.size, fed.shown()]).toEqual([0, {}]);
    settle(fed, adjusted(9, { bookedBeforeMs: NOON + 40 * DAY }));
    expect([fed.stage.state.adjustments.size, fed.shown()]).toEqual([0, {}]);
  });

  test('of a newer format is refused by name', () => {
    const [value] = writeAdjustments([adjusted(7)]);
    value[1] = 2;
    const refused = (): string => {
      try {
        new Fed().raw(value);
        return 'taken';
      } catch (error) {
        return codeOf(error);
      }
    };
    expect(refused()).toBe('partial_format');
  });
});

describe('records of adjustments', () => {
  test('are read as they were written, split where they grow large', () => {
    const id = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    const amount = fc.integer({ min: -(2 ** 40), max: Number.MAX_SAFE_INTEGER });
    const one = fc.record({
      campaignId: id,
      hourMs: fc.nat(3_000_000).map((hour) => hour * HOUR),
      spendMicros: amount,
      impressions: amount,
      untilMs: fc.nat(),
      bookedBeforeMs: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(one), (adjustments) => {
        const read: Adjustment[] = [];
        for (const value of writeAdjustments(adjustments)) readAdjustments(new ByteReader(value), (each) => read.push(each) > 0);
        expect(read).toEqual(adjustments);
      }),
    );
    const many = writeAdjustments(Array.from({ length: 20_000 }, (_, i) => adjusted(i)));
    expect(many.length).toBeGreaterThan(1);
    expect(Math.max(...many.map(({ length }) => length))).toBeLessThan(300_000);
  });
});

test('a spread adds up, is in proportion, and is even where there is nothing to go by', () => {
  expect(spreadOver(10, [0, 0, 0, 0])).toEqual([2, 2, 2, 4]);
  expect(spreadOver(7, [1, 0, 1, 0])).toEqual([3, 0, 3, 1]);
  const weight = fc.nat(2 ** 31);
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 40), max: 2 ** 50 }), fc.tuple(weight, weight, weight, weight), (total, weights) => {
      const parts = spreadOver(total, weights);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total);
      const sum = weights.reduce((all, one) => all + one, 0);
      if (sum > 0) parts.slice(0, 3).forEach((part, i) => void expect(Math.abs(part - (total / sum) * weights[i])).toBeLessThanOrEqual(1));
    }),
  );
});
