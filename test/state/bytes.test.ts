import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/state/bytes.ts';

const FIELDS = ['u8', 'u16', 'u32', 'i32', 'f64', 'varint', 'string'] as const;
type Field = { kind: (typeof FIELDS)[number]; value: number | string };

const field: fc.Arbitrary<Field> = fc.oneof(
  fc.record({ kind: fc.constant('u8' as const), value: fc.nat(0xff) }),
  fc.record({ kind: fc.constant('u16' as const), value: fc.nat(0xffff) }),
  fc.record({ kind: fc.constant('u32' as const), value: fc.integer({ min: 0, max: 0xffff_ffff }) }),
  fc.record({ kind: fc.constant('i32' as const), value: fc.integer() }),
  fc.record({ kind: fc.constant('f64' as const), value: fc.double({ noNaN: true }) }),
  fc.record({ kind: fc.constant('varint' as const), value: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant('string' as const), value: fc.string({ unit: 'grapheme', maxLength: 120 }) }),
);

const write = (writer: ByteWriter, { kind, value }: Field): void => {
  if (kind === 'string') writer.string(value as string);
  else writer[kind](value as number);
};

test('what was written is read again, in order, to the last byte', () => {
  const writer = new ByteWriter(16);
  fc.assert(
    fc.property(fc.array(field), (fields) => {
      for (const one of fields) write(writer, one);
      const reader = new ByteReader(writer.take());
      for (const one of fields) expect(reader[one.kind]()).toBe(one.value);
      expect(reader.done).toBe(true);
      expect(writer.length).toBe(0);
    }),
  );
});

test('a varint is as short as LEB128 allows, at every border', () => {
  const writer = new ByteWriter();
  for (let bits = 7; bits <= 49; bits += 7) {
    for (const value of [2 ** bits - 1, 2 ** bits]) {
      writer.varint(value);
      expect(writer.length).toBe(value < 2 ** bits ? bits / 7 : bits / 7 + 1);
      expect(new ByteReader(writer.take()).varint()).toBe(value);
    }
  }
  writer.varint(Number.MAX_SAFE_INTEGER);
  expect(new ByteReader(writer.take()).varint()).toBe(Number.MAX_SAFE_INTEGER);
});

test('several varints are written as one after the other', () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeNat()), fc.nat(), (values, from) => {
      const [together, alone] = [new ByteWriter(), new ByteWriter()];
      const start = from % (values.length + 1);
      together.varints(Float64Array.from(values), start, values.length);
      for (const value of values.slice(start)) alone.varint(value);
      expect([...together.take()]).toEqual([...alone.take()]);
    }),
  );
  expect(() => new ByteWriter().varints(Float64Array.of(1, 0.5), 0, 2)).toThrow(RangeError);
});

test('a varint refuses what it cannot hold exactly', () => {
  const writer = new ByteWriter();
  for (const value of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) expect(() => writer.varint(value)).toThrow(RangeError);
  expect(() => new ByteReader(new Uint8Array(9).fill(0xff)).varint()).toThrow(RangeError);
  expect(() => new ByteReader(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127)).varint()).toThrow(RangeError);
});

test('bytes that end early are a RangeError, never undefined', () => {
  const empty = new ByteReader(new Uint8Array(8), 8);
  for (const kind of FIELDS) expect(() => empty[kind]()).toThrow(RangeError);
  expect(() => new ByteReader(Uint8Array.of(5, 65)).string()).toThrow(RangeError);
  expect(() => new ByteReader(new Uint8Array(4), 0, 2).u32()).toThrow(RangeError);
});

test('the beginning of an array is written, and what comes next stands right behind it, also where the buffer grows', () => {
  const source = Uint8Array.from({ length: 40 }, (_, i) => i + 1);
  const writer = new ByteWriter(16);
  for (const length of [0, 1, 39, 40]) {
    writer.beginOf(source, length);
    writer.u8(99);
  }
  expect([...writer.take()]).toEqual([99, 1, 99, ...source.subarray(0, 39), 99, ...source, 99]);
});

test('a part of a larger buffer is copied in and read out as a view', () => {
  const writer = new ByteWriter(16);
  const source = new Uint8Array(300).map((_, i) => i);
  writer.bytes(source, 2, 5);
  writer.bytes(source);
  const reader = new ByteReader(writer.take());
  expect([...reader.bytes(3)]).toEqual([2, 3, 4]);
  expect(reader.bytes(300)).toEqual(source);
});

test('words of a view are its bytes, however many, and nothing beside them is written', () => {
  const shown = new DataView(Uint8Array.from({ length: 40 }, (_, i) => i + 1).buffer, 3, 30);
  for (let length = 0; length <= 25; length++) {
    const writer = new ByteWriter(16);
    writer.u8(99);
    writer.words(shown, 5, 5 + length);
    writer.u8(98);
    expect([...writer.take()]).toEqual([99, ...Array.from({ length }, (_, i) => i + 9), 98]);
  }
});

test('digits are those of the number, at every length, also where they begin at the end of a buffer', () => {
  const borders = Array.from({ length: 15 }, (_, i) => 10 ** (i + 1)).flatMap((power) => [power - 1, power, power + 1]);
  for (const number of [0, 1, 100, ...borders, Number.MAX_SAFE_INTEGER]) {
    for (const unit of [1, 2] as const) {
      const writer = new ByteWriter(16);
      writer.bytes(new Uint8Array(writer.capacity));
      writer.digits(number, unit);
      const text = String(number);
      expect([...writer.take().subarray(16)]).toEqual([unit * text.length, ...Buffer.from(text)]);
    }
  }
});
