import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { murmur2, partitionOf } from '../../../src/topology/sources/murmur2.ts';

const kafkajsMurmur2 = createRequire(import.meta.url)('kafkajs/src/producer/partitioners/default/murmur2.js') as (key: Buffer) => number;

/** From UtilsTest.java of Apache Kafka. */
const VECTORS: [string, number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
];

test.each(VECTORS)('%j hashes as in the Java client', (key, hash) => {
  expect(murmur2(Buffer.from(key))).toBe(hash);
});

test('any bytes hash as in kafkajs, also from the middle of a buffer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(5), (key, before) => {
      const inside = Buffer.concat([Buffer.alloc(before, 7), key, Buffer.from('behind')]);
      expect(murmur2(inside, before, before + key.length)).toBe(kafkajsMurmur2(Buffer.from(key)));
    }),
  );
});

test('a partition is the hash without its sign, modulo the count', () => {
  expect(partitionOf(Buffer.from('foobar'), 0, 6, 8)).toBe((-790332482 & 0x7fffffff) % 8);
});
