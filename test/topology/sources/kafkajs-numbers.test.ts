import { createRequire } from 'node:module';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { repairKafkajs } from '../../../src/topology/sources/kafkajs-internals.ts';

interface Long {
  readonly value: bigint;
  add(addend: unknown): Long;
  subtract(subtrahend: unknown): Long;
  equals(other: unknown): boolean;
  compare(other: unknown): number;
  toNumber(): number;
  toJSON(): string;
}
type LongClass = { fromValue(value: unknown): Long };
type DecoderClass = new (bytes: Buffer) => { offset: number; readVarLong(): Long };

const require = createRequire(import.meta.url);
const internal = <T>(path: string): T => require(`kafkajs/src/${path}`) as T;
beforeAll(repairKafkajs);

const LEAST = -(2n ** 63n);
const numbers = fc.oneof(
  fc.bigInt({ min: LEAST, max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 53n) - 3n, max: 2n ** 53n + 3n }),
  fc.bigInt({ min: -1000n, max: 1000n }),
);

test('a number of 64 bits, read from text and added to, is what BigInts make of it', () => {
  const Long = internal<LongClass>('utils/long.js');
  fc.assert(
    fc.property(fc.array(fc.tuple(numbers, numbers), { maxLength: 20 }), (pairs) => {
      for (const [a, b] of [...pairs, ...pairs]) {
        const [first, second] = [Long.fromValue(String(a)), Long.fromValue(String(b))];
        for (const sum of [first.add(second), first.add(Long.fromValue(b)), first.add(String(b))]) {
          expect([String(sum), sum.value, sum.toJSON()]).toEqual([String(a + b), a + b, String(a + b)]);
        }
        expect(String(first.add(Number(b % 1000n)))).toBe(String(a + (b % 1000n)));
        expect([first.equals(second), first.compare(second), first.toNumber()]).toEqual([a === b, a < b ? -1 : a > b ? 1 : 0, Number(a)]);
        // Of the least number kafkajs has no other sign.
        if (b !== LEAST) expect(first.subtract(second).value).toBe(a - b);
      }
    }),
  );
});

test('what is no plain number is read as before', () => {
  const Long = internal<LongClass>('utils/long.js');
  expect(['0x10', ' 12 ', '007', '-0'].map((text) => Long.fromValue(text).value)).toEqual([16n, 12n, 7n, 0n]);
  expect(() => Long.fromValue('')).toThrow('empty string');
  expect(() => Long.fromValue('1.5')).toThrow(SyntaxError);
  expect(Long.fromValue('NaN').value).toBe(0n);
});

test('a zigzag number of any length is read, and the reader stands behind it', () => {
  const Decoder = internal<DecoderClass>('protocol/decoder.js');
  fc.assert(
    fc.property(numbers, (number) => {
      const bytes: number[] = [];
      let rest = BigInt.asUintN(64, (number << 1n) ^ (number >> 63n));
      for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
      bytes.push(Number(rest));
      const decoder = new Decoder(Buffer.from([...bytes, 255]));
      expect([decoder.readVarLong().value, decoder.offset]).toEqual([number, bytes.length]);
    }),
  );
});
