/** Responses that are alive together, of several partitions each, and let go in any order: each says what was written when it came. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { columnsInPlace, releaseOf } from '../../../src/topology/sources/kafkajs-decoding.ts';
import type { RecordColumns } from '../../../src/topology/sources/record-columns.ts';
import { openRecordSet } from '../../../src/topology/sources/record-set.ts';
import { responses } from '../../../src/topology/sources/response-pool.ts';
import { encodeBatch, type GivenRecord } from '../../kafka/record-batch.ts';
import { viewsOf } from './views-of.ts';

const BASE_MS = 1_790_000_000_000;
const LEAST_POOLED_BYTES = 1 << 16;
const MOST_ALIVE = 6;

const bytes = fc.option(fc.uint8Array({ maxLength: 40 }), { freq: 6 });
const record = fc.record({ key: bytes, value: bytes, timeDeltaMs: fc.nat(1e5) });
const batch = fc.record({
  records: fc.array(record, { minLength: 1, maxLength: 12 }),
  /** So often: a set of few bytes is not unpacked to memory that is used again. */
  times: fc.oneof({ arbitrary: fc.constant(1), weight: 4 }, { arbitrary: fc.nat({ max: 400 }), weight: 1 }),
  codec: fc.constantFrom(0, 0, 1),
});
const partition = fc.array(batch, { minLength: 1, maxLength: 3 });
const response = fc.record({
  partitions: fc.array(partition, { minLength: 1, maxLength: 3 }),
  isLarge: fc.oneof({ arbitrary: fc.constant(true), weight: 3 }, { arbitrary: fc.constant(false), weight: 1 }),
  /** Which of those that are alive goes next, and whether it is ever let go. */
  goes: fc.nat(MOST_ALIVE),
  isLetGo: fc.oneof({ arbitrary: fc.constant(true), weight: 6 }, { arbitrary: fc.constant(false), weight: 1 }),
});

type Batches = typeof partition extends fc.Arbitrary<infer T> ? T : never;

interface Alive {
  columns: RecordColumns;
  expected: unknown[];
  release: () => void;
  isLetGo: boolean;
}

const hex = (given: Uint8Array | null, start = 0, end = given?.length): string | null =>
  given === null ? null : Buffer.from(given.subarray(start, end)).toString('hex');

async function written(batches: Batches): Promise<{ set: Buffer; expected: unknown[] }> {
  const parts: Buffer[] = [];
  const expected: unknown[] = [];
  for (const { records, times, codec } of batches) {
    const baseOffset = expected.length;
    const given: GivenRecord[] = Array.from({ length: Math.max(1, times) }, () => records)
      .flat()
      .map((one, offsetDelta) => ({ ...one, offsetDelta, headers: [] }));
    for (const { key, value, offsetDelta, timeDeltaMs } of given) {
      expected.push([baseOffset + offsetDelta, BASE_MS + timeDeltaMs, hex(key), hex(value)]);
    }
    parts.push(await encodeBatch(given, { baseOffset, baseTimeMs: BASE_MS, codec }));
  }
  return { set: Buffer.concat(parts), expected };
}

/** All that the columns say. */
const told = (columns: RecordColumns): unknown[] =>
  viewsOf(columns, ({ offset, timestampMs, key, keyStart, keyEnd, value, valueStart, valueEnd }) => [
    offset,
    timestampMs,
    hex(key, keyStart, keyEnd),
    hex(value, valueStart, valueEnd),
  ]);

test('records are what was written, until their memory is let go', async () => {
  const seen = new WeakSet<ArrayBufferLike>();
  const counts = { guests: 0, again: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(response, { minLength: 5, maxLength: 30 }), async (plan) => {
      const alive: Alive[] = [];
      const end = (which: number): void => {
        for (const { columns, expected, release, isLetGo } of alive.splice(which % alive.length, 1)) {
          expect(told(columns)).toEqual(expected);
          if (isLetGo) release();
        }
      };
      for (const { partitions, isLarge, goes, isLetGo } of plan) {
        const sets = await Promise.all(partitions.map(written));
        const size = sets.reduce((sum, { set }) => sum + set.length, 0);
        const bytes = responses.take(Math.max(isLarge ? LEAST_POOLED_BYTES : 0, size));
        if (seen.has(bytes.buffer) && isLarge) counts.again++;
        seen.add(bytes.buffer);
        let at = bytes.length - size;
        for (const { set, expected } of sets) {
          bytes.set(set, at);
          const opened = await openRecordSet(bytes.subarray(at, at + set.length));
          const columns = columnsInPlace(opened, 0, []);
          if (columns.isGuest) counts.guests++;
          alive.push({ columns, expected, release: releaseOf(opened, columns), isLetGo });
          at += set.length;
        }
        while (alive.length > MOST_ALIVE) end(goes);
      }
      while (alive.length > 0) end(0);
    }),
    { numRuns: 25 },
  );
  expect(Math.min(counts.guests, counts.again)).toBeGreaterThan(20);
});
