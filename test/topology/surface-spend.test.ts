/** Spend by surface: an hour takes a handful of names, and decides alike after a restart. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadSettings } from '../../src/config.ts';
import { Decoder } from '../../src/operators/decode.ts';
import { TO_COMMIT, TO_SEND } from '../../src/state/cell-changes.ts';
import { SeededHash } from '../../src/state/hash.ts';
import { MemoryBudget } from '../../src/state/memory-budget.ts';
import { BLOCK, IngestBlock } from '../../src/topology/ingest-block.ts';
import { IngestState } from '../../src/topology/ingest-state.ts';
import { ListedBatch } from '../../src/topology/sources/listed-batch.ts';
import { SurfaceSpend } from '../../src/topology/surface-spend.ts';
import { DAY, HOUR, SECOND, START, Story } from './drive.ts';

/** By surface, in the hour of the story's start. */
const surfaces = async (story: Story): Promise<Record<string, number>> => {
  const process = await story.started();
  await story.pass(5 * SECOND);
  const { groups, totals } = process.evaluate().stage?.state ?? {};
  const found: Record<string, number> = {};
  groups?.forEach(({ entity }, group) => {
    const index = totals?.surfaceSpend.find(group, 0, START / HOUR) ?? -1;
    if (index !== -1) found[entity] = totals?.surfaceSpend.get(index, 0) ?? 0;
  });
  process.kill();
  return found;
};

test('is counted by hour, invalid traffic and what names no surface apart', async () => {
  const story = new Story();
  story.impression({ at: 0, surface: 'feed', spend_micros: 3 });
  story.impression({ at: 1, surface: 'feed', spend_micros: 4, campaign_id: 'other' });
  story.impression({ at: 2, surface: 'home', spend_micros: 5 });
  story.impression({ at: 3, surface: 'home', spend_micros: 9, is_valid: false });
  story.impression({ at: 4, spend_micros: 7 });
  story.impression({ at: HOUR, surface: 'feed', spend_micros: 100 });
  expect(await surfaces(story)).toEqual({ feed: 7, home: 5 });
});

test('beyond 64 names an hour, and of long names, is counted under none; a restart in between changes nothing', async () => {
  const names = Array.from({ length: 70 }, (_, i) => `surface ${i}`);
  const send = (story: Story, some: readonly string[]) => {
    for (const surface of some) story.impression({ at: 0, surface, spend_micros: 1 });
  };
  const once = new Story();
  send(once, [...names, 'x'.repeat(65), ...names]);
  const twice = new Story();
  send(twice, names.slice(0, 40));
  const before = await surfaces(twice);
  send(twice, [...names.slice(40), 'x'.repeat(65), ...names]);
  const after = await surfaces(twice);
  expect(Object.keys(before)).toHaveLength(40);
  expect(after).toEqual(await surfaces(once));
  expect(Object.keys(after)).toHaveLength(65);
  expect(after['']).toBe(1 + 2 * 6);
});

test('goes to the right hour though records of two hours take turns, and each hour has its own 64 names', async () => {
  const story = new Story();
  const names = (hour: number): string[] => Array.from({ length: 60 }, (_, i) => `surface ${i + 50 * hour}`);
  for (let round = 1; round <= 3; round++) {
    // The later hour first: it is no later than the records are allowed to come out of order.
    for (const surface of names(1)) story.impression({ at: HOUR, surface, spend_micros: 1000 });
    for (const surface of names(0)) story.impression({ at: HOUR - 1, surface, spend_micros: round });
  }
  expect(await surfaces(story)).toEqual(Object.fromEntries(names(0).map((name) => [name, 6])));
});

test('of closed hours is forgotten by ingest, and by evaluate with the days', async () => {
  const story = new Story();
  const process = await story.started();
  story.impression({ at: 0, surface: 'feed' });
  story.impression({ at: 3 * HOUR, surface: 'feed' });
  await story.pass(3 * SECOND);
  expect(process.ingest('impressions').stage?.state.cells.surfaceSpend.size).toBe(1);
  expect(process.evaluate().stage?.state.totals.surfaceSpend.size).toBe(2);
  story.impression({ at: 20 * DAY, surface: 'feed' });
  await story.pass(3 * SECOND);
  expect(process.evaluate().stage?.state.totals.surfaceSpend.size).toBe(1);
});

interface Impression {
  surface: string;
  hour: number;
  micros: number;
  /** Compiled code reads another surface before it is not sure. */
  isOdd: boolean;
}

const KEY = Buffer.from('k');

const textOf = ({ surface, hour, micros, isOdd }: Impression, i: number): string => {
  const plain = JSON.stringify({ event_id: `e${i}`, campaign_id: 'c', event_ts: START + hour * HOUR + i, spend_micros: micros, surface });
  return isOdd ? `{"surface":"s0",${plain.slice(1)}` : plain;
};

/** Spend by surface alone, over cells of its own, and what those should hold. */
class Counted {
  readonly cells;
  /** By hour and surface: micros and impressions. */
  readonly expected = new Map<number, Map<string, [micros: number, count: number]>>();
  readonly #state: IngestState;
  readonly #spend: SurfaceSpend;
  readonly #block: IngestBlock;

  constructor() {
    const { time, limits } = loadSettings({}, () => '');
    const hash = new SeededHash(new Uint8Array(8).fill(7));
    this.#state = new IngestState({ time, limits, hash, budget: new MemoryBudget(), reasons: 0 });
    this.cells = this.#state.cells.surfaceSpend;
    this.#spend = new SurfaceSpend(this.#state);
    const decoder = new Decoder('impressions', { mapping: {}, maxSpendMicros: Number.MAX_SAFE_INTEGER, maxFutureSkewMs: DAY });
    this.#block = new IngestBlock('impressions', decoder, hash);
  }

  add(impressions: readonly Impression[]): void {
    const records = impressions.map((one, offset) => ({ offset, timestampMs: START, key: KEY, value: Buffer.from(textOf(one, offset)) }));
    const place = { topic: 't', partition: 0, nextOffset: records.length, endOffset: records.length, byteLength: 0 };
    const batch = new ListedBatch(place, records);
    while (this.#block.fill(batch)) {
      expect([...new Set(this.#block.reasons)]).toEqual([0]);
      this.#spend.add(
        this.#block,
        Uint8Array.from({ length: this.#block.size }, (_, i) => i),
        this.#block.size,
      );
    }
    for (const { surface, hour, micros } of impressions) {
      const ofHour = this.expected.get(hour) ?? new Map<string, [number, number]>();
      const name = ofHour.has(surface) || (ofHour.size < 64 && surface.length <= 64) ? surface : '';
      const [sum, count] = ofHour.get(name) ?? [0, 0];
      this.expected.set(hour, ofHour.set(name, [sum + micros, count + 1]));
    }
  }

  settle(): void {
    this.#spend.settle();
  }

  /** Forgets an hour, as when it is closed and all is committed. */
  close(hour: number): void {
    this.settle();
    for (const purpose of [TO_SEND, TO_COMMIT]) this.cells.takeChanged(purpose);
    this.cells.drop((index) => this.cells.timeOf(index) === START / HOUR + hour);
    this.expected.delete(hour);
  }

  found(): Counted['expected'] {
    const found: Counted['expected'] = new Map();
    for (let index = 0; index < this.cells.size; index++) {
      const hour = this.cells.timeOf(index) - START / HOUR;
      const { entity } = this.#state.groups.nameOf(this.cells.groupOf(index));
      const sums: [number, number] = [this.cells.get(index, 0), this.cells.get(index, 1)];
      found.set(hour, (found.get(hour) ?? new Map<string, [number, number]>()).set(entity, sums));
    }
    return found;
  }
}

const impression: fc.Arbitrary<Impression> = fc.record({
  surface: fc.oneof(
    { arbitrary: fc.nat(5).map((i) => `s${i}`), weight: 6 },
    { arbitrary: fc.nat(90).map((i) => `s${i}`), weight: 2 },
    { arbitrary: fc.constantFrom('', 'x'.repeat(65)), weight: 1 },
  ),
  hour: fc.oneof({ arbitrary: fc.constant(1), weight: 5 }, { arbitrary: fc.nat(3), weight: 1 }),
  micros: fc.nat(1000),
  isOdd: fc.oneof({ arbitrary: fc.constant(false), weight: 3 }, { arbitrary: fc.constant(true), weight: 1 }),
});

test('comes to what adding each to its cell does, however records were read, and whenever it is settled and hours are closed', () => {
  const round = fc.record({
    impressions: fc.array(impression, { maxLength: 2 * BLOCK, size: 'max' }),
    isSettled: fc.boolean(),
    closed: fc.option(fc.nat(3)),
  });
  fc.assert(
    fc.property(fc.array(round, { maxLength: 8, size: 'max' }), (rounds) => {
      const counted = new Counted();
      for (const { impressions, isSettled, closed } of rounds) {
        counted.add(impressions);
        if (isSettled) counted.settle();
        if (closed !== null) counted.close(closed);
      }
      counted.settle();
      expect(counted.found()).toEqual(counted.expected);
    }),
    { numRuns: 60 },
  );
});

test('a sum that would not be exact any more is refused by name when it is added up, not when it is settled', () => {
  const most: Impression = { surface: 'feed', hour: 0, micros: Number.MAX_SAFE_INTEGER, isOdd: false };
  const overflow = expect.objectContaining({ code: 'total_overflow' });
  const [quick, slow] = [new Counted(), new Counted()];
  for (const counted of [quick, slow]) {
    counted.add([{ ...most, micros: 0 }]);
    counted.add([most]);
  }
  expect(() => quick.add([{ ...most, micros: 1 }])).toThrow(overflow);
  expect(() => slow.add([{ ...most, micros: 1, isOdd: true }])).toThrow(overflow);
});
