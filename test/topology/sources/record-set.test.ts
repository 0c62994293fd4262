import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DecoderMemory } from '../../../src/operators/decoder-memory.ts';
import { ColumnBatch } from '../../../src/topology/sources/column-batch.ts';
import { columnsInPlace, releaseOf } from '../../../src/topology/sources/kafkajs-decoding.ts';
import { RecordColumns } from '../../../src/topology/sources/record-columns.ts';
import { openRecordSet, readRecords } from '../../../src/topology/sources/record-set.ts';
import { type RecordBatch, RecordView } from '../../../src/topology/types.ts';
import { type BatchShape, encodeBatch, type GivenRecord } from '../../kafka/record-batch.ts';

interface ReadRecord {
  offset: number;
  timestampMs: number;
  key: number[] | null;
  value: number[] | null;
}

const bytes = fc.option(fc.uint8Array({ maxLength: 300 }));
const header: fc.Arbitrary<[string, Uint8Array | null]> = fc.tuple(fc.string({ maxLength: 5 }), bytes);
const deltaMs = fc.oneof(fc.integer({ min: -3000, max: 3000 }), fc.integer({ min: -(2 ** 43), max: 2 ** 43 }));
const record = fc.record({ key: bytes, value: bytes, timeDeltaMs: deltaMs, gap: fc.nat(3), headers: fc.array(header, { maxLength: 2 }) });
const batch = fc.record({
  records: fc.array(record, { maxLength: 40 }),
  codec: fc.constantFrom(0, 1, 2, 3, 4),
  isAppendTime: fc.boolean(),
  /** -1: records without a time. */
  baseTimeMs: fc.constantFrom(0, 1_790_000_000_000, 2 ** 45, -1),
  gap: fc.nat(5),
});

const readAll = (from: RecordBatch): ReadRecord[] => {
  const view = new RecordView();
  const all: ReadRecord[] = [];
  const cut = (within: Uint8Array | null, start: number, end: number) => (within === null ? null : [...within.subarray(start, end)]);
  while (from.next(view)) {
    const key = cut(view.key, view.keyStart, view.keyEnd);
    all.push({ offset: view.offset, timestampMs: view.timestampMs, key, value: cut(view.value, view.valueStart, view.valueEnd) });
  }
  return all;
};

/** What goes into a log, and what a reader must see of it. */
const logOf = async (batches: readonly BatchPlan[]): Promise<{ log: Buffer[]; expected: ReadRecord[]; end: number }> => {
  const log: Buffer[] = [];
  const expected: ReadRecord[] = [];
  let offset = 0;
  for (const plan of batches) {
    const baseOffset = offset + plan.gap;
    let offsetDelta = -1;
    const records: GivenRecord[] = plan.records.map(({ gap, timeDeltaMs, ...rest }) => {
      offsetDelta += 1 + gap;
      return { ...rest, timeDeltaMs: plan.baseTimeMs === -1 ? 0 : timeDeltaMs, offsetDelta };
    });
    const lastOffsetDelta = offsetDelta + plan.gap + 1;
    const shape: BatchShape = { ...plan, baseOffset, lastOffsetDelta, maxTimeMs: 77 };
    log.push(await encodeBatch(records, shape));
    for (const { key, value, ...at } of records) {
      const ownMs = plan.baseTimeMs === -1 ? Number.NaN : plan.baseTimeMs + at.timeDeltaMs;
      // A time of -1 is none, also where a delta has led there.
      const timestampMs = plan.isAppendTime ? 77 : ownMs === -1 ? Number.NaN : ownMs;
      expected.push({ offset: baseOffset + at.offsetDelta, timestampMs, key: key && [...key], value: value && [...value] });
    }
    offset = baseOffset + lastOffsetDelta + 1;
  }
  return { log, expected, end: offset };
};

interface BatchPlan {
  records: { key: Uint8Array | null; value: Uint8Array | null; timeDeltaMs: number; gap: number; headers: [string, Uint8Array | null][] }[];
  codec: number;
  isAppendTime: boolean;
  baseTimeMs: number;
  gap: number;
}

test('any records, in batches of any shape and codec, come out as they went in, from any offset on', async () => {
  const plans = fc.array(batch, { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(plans, fc.nat(40), async (batches, from) => {
      const { log, expected, end } = await logOf(batches);
      const set = await openRecordSet(Buffer.concat(log));
      const columns = new RecordColumns();
      expect(readRecords(set.batches, from, columns)).toBeNull();
      const place = { topic: 't', partition: 0, nextOffset: set.nextOffset, endOffset: 0, byteLength: 0 };
      expect(readAll(new ColumnBatch(place, columns))).toEqual(expected.filter(({ offset }) => offset >= from));
      expect([set.fault, set.nextOffset]).toEqual([null, batches.length === 0 ? -1 : end]);
    }),
    { numRuns: 300 },
  );
});

test('whatever byte of a set is changed, no record comes out that did not go in', async () => {
  const plans = fc.array(batch, { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(plans, fc.nat(), fc.integer({ min: 1, max: 255 }), async (batches, where, flip) => {
      const { log, expected } = await logOf(batches);
      const bytes = Buffer.concat(log);
      // Offset and leader epoch of a batch are not under its checksum: the broker sets them.
      const at = where % bytes.length;
      const starts = log.map((_, i) => log.slice(0, i).reduce((sum, one) => sum + one.length, 0));
      const within = at - Math.max(...starts.filter((start) => start <= at));
      if (within < 8 || (within >= 12 && within < 16)) return;
      bytes[at] ^= flip;
      const set = await openRecordSet(bytes);
      const columns = new RecordColumns();
      readRecords(set.batches, 0, columns);
      const seen = readAll(new ColumnBatch({ topic: 't', partition: 0, nextOffset: 0, endOffset: 0, byteLength: 0 }, columns));
      expect(seen).toEqual(expected.slice(0, seen.length));
      expect(set.batches.length).toBeLessThan(log.length);
    }),
    { numRuns: 300 },
  );
});

test.each([1, 2, 3, 4])('batches that codec %i unpacks to much lie one behind the other where compiled code sees them', async (codec) => {
  const PER_BATCH = 500;
  const recordsAt = (first: number): GivenRecord[] =>
    Array.from({ length: PER_BATCH }, (_, k) => {
      const value = Buffer.from(String(first + k).repeat(60));
      return { key: Buffer.from(String(first + k)), value, offsetDelta: k, timeDeltaMs: k, headers: [] };
    });
  const firsts = [0, 1, 2, 3, 4].map((number) => number * PER_BATCH);
  const log = await Promise.all(firsts.map((baseOffset) => encodeBatch(recordsAt(baseOffset), { baseOffset, baseTimeMs: 0, codec })));
  const set = await openRecordSet(Buffer.concat(log));
  const memories = new Set(set.batches.map(({ bytes }) => bytes.buffer));
  expect(memories.size).toBeLessThan(firsts.length);
  if (DecoderMemory.make(1) !== null) expect([...memories].every((memory) => DecoderMemory.of(memory) !== null)).toBe(true);
  const columns = columnsInPlace(set, 0, []);
  const release = releaseOf(set, columns);
  const seen = readAll(new ColumnBatch({ topic: 't', partition: 0, nextOffset: 0, endOffset: 0, byteLength: 0 }, columns));
  expect(seen.map(({ value }) => String(Buffer.from(value ?? [])))).toEqual(
    firsts.flatMap((first) => recordsAt(first).map(({ value }) => String(value))),
  );
  release();
  // They are used again.
  const next = await openRecordSet(Buffer.concat(log));
  expect(next.batches.some(({ bytes }) => memories.has(bytes.buffer))).toBe(true);
});
