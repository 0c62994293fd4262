import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BYTES_AT, DecoderMemory } from '../../../src/operators/decoder-memory.ts';
import { RecordColumns } from '../../../src/topology/sources/record-columns.ts';
import { type OpenBatch, readRecords } from '../../../src/topology/sources/record-set.ts';
import { encodePlainBatch, HEADER_BYTES } from '../../kafka/record-batch.ts';
import { viewsOf } from './views-of.ts';

const ROOM_BYTES = 1 << 16;
const MOST_RECORDS = 100;

const bytes = fc.option(fc.uint8Array({ maxLength: 150 }));
const deltaMs = fc.oneof(fc.integer({ min: -200, max: 9000 }), fc.integer({ min: -(2 ** 55), max: 2 ** 55 }));
const record = fc.record({ key: bytes, value: bytes, timeDeltaMs: deltaMs, gap: fc.oneof(fc.nat(2), fc.nat(20_000)) });
const batch = fc.record({
  records: fc.array(record, { maxLength: 30 }),
  baseOffset: fc.oneof(
    { arbitrary: fc.constantFrom(0, 7, 2 ** 40), weight: 5 },
    { arbitrary: fc.constantFrom(2 ** 53 - 20, 2 ** 53, -(2 ** 53)), weight: 1 },
  ),
  baseTimeMs: fc.constantFrom(-1, 0, 1_790_000_000_000),
  appendTimeMs: fc.constantFrom(Number.NaN, Number.NaN, -1, 77),
  /** Of what its header says, where that is not so. */
  moreCount: fc.oneof({ arbitrary: fc.constant(0), weight: 8 }, { arbitrary: fc.integer({ min: -2, max: 2 }), weight: 1 }),
  lessDelta: fc.oneof({ arbitrary: fc.constant(0), weight: 8 }, { arbitrary: fc.integer({ min: -3, max: 3 }), weight: 1 }),
});
/** Bytes that are put in place of others; most of them say that something goes on, or is very long. */
const damage = fc.record({ at: fc.nat(), byte: fc.oneof(fc.constantFrom(0xff, 0xfe, 0x80, 0x7f, 0x01, 0x00), fc.nat(255)) });

type Plan = typeof batch extends fc.Arbitrary<infer T> ? T : never;
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

/** At the very end of where a response may lie. */
const placed = (memory: DecoderMemory, plan: Plan, damages: readonly Damage[]): OpenBatch => {
  let offsetDelta = -1;
  const records = plan.records.map(({ gap, ...given }) => {
    offsetDelta += 1 + gap;
    return { ...given, offsetDelta, headers: [] };
  });
  const body = encodePlainBatch(records, { baseOffset: 0, baseTimeMs: 0 }).subarray(HEADER_BYTES);
  for (const { at, byte } of damages) if (body.length > 0) body[at % body.length] = byte;
  memory.bytes.fill(0xff, BYTES_AT);
  const end = BYTES_AT + memory.byteLength;
  memory.bytes.set(body, end - body.length);
  return {
    fetched: body,
    bytes: memory.bytes,
    start: end - body.length,
    end,
    baseOffset: plan.baseOffset,
    lastOffset: plan.baseOffset + offsetDelta - plan.lessDelta,
    baseTimeMs: plan.baseTimeMs,
    appendTimeMs: plan.appendTimeMs,
    count: Math.max(0, records.length + plan.moreCount),
    isControl: false,
    transaction: null,
  };
};

/** All that the columns say. */
const told = (columns: RecordColumns): unknown[] =>
  viewsOf(columns, ({ offset, timestampMs, key, keyStart, keyEnd, value, valueStart, valueEnd }) => [
    offset,
    timestampMs,
    key === null ? null : [keyStart, keyEnd],
    value === null ? null : [valueStart, valueEnd],
  ]);

/** By RecordReader: what is wrong, else the records. */
const slow = (batch: OpenBatch, fromOffset: number): unknown => {
  const columns = new RecordColumns();
  const fault = readRecords([batch], fromOffset, columns);
  return fault === null ? told(columns) : fault.cause.message;
};

/** By compiled code: null where it is not sure. */
const fast = (memory: DecoderMemory, batch: OpenBatch, fromOffset: number): unknown => {
  memory.clear();
  const columns = new RecordColumns(MOST_RECORDS, memory.roomFor(MOST_RECORDS));
  columns.lieIn(batch.bytes);
  // Not by way of `readRecords`: that would take a read beyond the memory for a batch that is damaged.
  return columns.find(batch, fromOffset) ? told(columns) : null;
};

const areExact = ({ baseOffset, lastOffset }: OpenBatch): boolean => Number.isSafeInteger(baseOffset) && Number.isSafeInteger(lastOffset);

const from = fc.oneof(fc.constant(0), fc.nat(60));

test('records that compiled code finds are those that are there, and it finds them in every batch that is as usual', () => {
  const memory = DecoderMemory.make(ROOM_BYTES);
  if (memory === null) return;
  fc.assert(
    fc.property(batch, from, (plan, after) => {
      const whole = placed(memory, plan, []);
      const found = fast(memory, whole, plan.baseOffset + after);
      const expected = slow(whole, plan.baseOffset + after);
      // More than 7 bytes of a time are left to others, and so are offsets that a double does not tell apart.
      const isUsual =
        Array.isArray(expected) && areExact(whole) && plan.records.every(({ timeDeltaMs }) => Math.abs(timeDeltaMs) < 2 ** 48);
      if (found !== null || isUsual) expect(found).toEqual(expected);
    }),
    { numRuns: 1000 },
  );
});

test('in a damaged batch compiled code finds what RecordReader finds, or leaves it to that, and reads nowhere else', () => {
  const memory = DecoderMemory.make(ROOM_BYTES);
  if (memory === null) return;
  let sure = 0;
  fc.assert(
    fc.property(batch, fc.array(damage, { minLength: 1, maxLength: 5 }), from, (plan, damages, after) => {
      const damaged = placed(memory, plan, damages);
      const found = fast(memory, damaged, plan.baseOffset + after);
      if (found === null) return;
      sure++;
      expect(found).toEqual(slow(damaged, plan.baseOffset + after));
    }),
    { numRuns: 3000 },
  );
  expect(sure).toBeGreaterThan(200);
});

const HUGE = [0xfe, 0xff, 0xff, 0xff, 0x0f];
const FIELDS_AFTER = [1, 1, 0];

/** A record of these bytes after its length. */
const recordOf = (body: readonly number[]): number[] => [2 * body.length, ...body];

test.each([
  ['a number of 32 bits in six bytes', recordOf([0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, ...FIELDS_AFTER]), 'more than 32 bits'],
  ['one with a 33rd bit', recordOf([0, 0, 0xfe, 0xff, 0xff, 0xff, 0x1f, ...FIELDS_AFTER]), 'more than 32 bits'],
  ['a record of 2 GiB', [...HUGE, 0, 0, 0, ...FIELDS_AFTER], 'a record in it says that it is 2147483647 bytes long'],
  ['a key of 2 GiB', recordOf([0, 0, 0, ...HUGE, 1, 0]), 'a record in it ends before its fields do'],
  ['a value of 2 GiB', recordOf([0, 0, 0, 1, ...HUGE, 0]), 'a record in it ends before its fields do'],
])('%s is left to who refuses it', (_name, bytes, message) => {
  const memory = DecoderMemory.make(ROOM_BYTES);
  if (memory === null) return;
  const plan: Plan = { records: [], baseOffset: 0, baseTimeMs: 0, appendTimeMs: Number.NaN, moreCount: 2, lessDelta: 0 };
  const at = BYTES_AT + memory.byteLength - bytes.length;
  const batch = { ...placed(memory, plan, []), start: at, lastOffset: 2 ** 31 - 1 };
  memory.bytes.set(bytes, at);
  expect([fast(memory, batch, 0), slow(batch, 0)]).toEqual([null, expect.stringContaining(message)]);
});

test('columns that grow beyond the room they were given go on in memory of their own', () => {
  const memory = DecoderMemory.make(ROOM_BYTES);
  if (memory === null) return;
  const columns = new RecordColumns(2, memory.roomFor(2));
  columns.lieIn(memory.bytes);
  for (let offset = 0; offset < 5; offset++) {
    expect(columns.isGuest).toBe(offset < 3);
    columns.add(offset, offset);
    columns.value(offset, offset + 1);
  }
  expect(told(columns)).toEqual([0, 1, 2, 3, 4].map((offset) => [offset, offset, null, [offset, offset + 1]]));
});

test('more columns than a memory has room for lie elsewhere', () => {
  const memory = DecoderMemory.make(ROOM_BYTES);
  if (memory === null) return;
  expect(memory.roomFor(1e6)).toBeNull();
  const rooms = [memory.roomFor(300), memory.roomFor(300)];
  expect((rooms[1]?.at ?? 0) - (rooms[0]?.at ?? 0)).toBe(300 * 32);
  while (memory.roomFor(300) !== null);
  memory.clear();
  expect(memory.roomFor(300)?.at).toBe(rooms[0]?.at);
});

const PLAIN: Plan = {
  records: Array.from({ length: 5 }, (_, i) => ({ key: null, value: Buffer.from([i]), timeDeltaMs: i, gap: 0 })),
  ...{ baseOffset: 7, baseTimeMs: 0, appendTimeMs: Number.NaN, moreCount: 0, lessDelta: 0 },
};

test('of a batch with more records than there is room for none is found, and nothing is written behind the room', () => {
  const memory = DecoderMemory.make(ROOM_BYTES);
  if (memory === null) return;
  const batch = placed(memory, PLAIN, []);
  const [room, next] = [memory.roomFor(6), memory.roomFor(1)];
  const columns = new RecordColumns(6, room);
  columns.add(1, 1);
  columns.add(2, 2);
  const behind = memory.bytes.slice(next?.at);
  expect([columns.find(batch, 0), columns.size]).toEqual([false, 2]);
  expect(memory.bytes.slice(next?.at)).toEqual(behind);
  const roomy = new RecordColumns(5, memory.roomFor(5));
  expect([roomy.find(batch, 0), roomy.size]).toEqual([true, 5]);
});

test('records are not looked for in a memory other than the one they lie in', () => {
  const [memory, other] = [DecoderMemory.make(ROOM_BYTES), DecoderMemory.make(ROOM_BYTES)];
  if (memory === null || other === null) return;
  // At the same place, and just as good.
  placed(memory, { ...PLAIN, records: PLAIN.records.map((record) => ({ ...record, timeDeltaMs: 9 })) }, []);
  const columns = new RecordColumns(5, memory.roomFor(5));
  expect(columns.find(placed(other, PLAIN, []), 0)).toBe(false);
});
