import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PackedRecords, PackedRun, packedTexts, unpacked } from '../../src/topology/packed-records.ts';
import { writeRecordBatch } from '../../src/topology/sources/record-batch-writer.ts';
import type { OutRecord } from '../../src/topology/types.ts';

const bytes = fc.option(fc.uint8Array({ maxLength: 300 }));
const text = fc.oneof(fc.string({ maxLength: 100, unit: 'grapheme' }), fc.maxSafeNat().map(String));
const records: fc.Arbitrary<OutRecord[]> = fc.array(
  fc.record({
    topic: fc.constant('late'),
    partition: fc.constant(null),
    key: bytes,
    value: bytes,
    headers: fc.dictionary(
      fc.string({ maxLength: 20, unit: 'grapheme' }).map((name) => `h${name}`),
      text,
      { maxKeys: 4, noNullPrototype: true },
    ),
  }),
  { maxLength: 300 },
);

function addTo(pack: PackedRecords, { key, value, headers = {} }: OutRecord): void {
  const around = Buffer.concat([Buffer.from('..'), key ?? [], value ?? [], Buffer.from('..')].map((part) => Buffer.from(part)));
  const middle = 2 + (key?.length ?? 0);
  pack.addKey(key && around, 2, middle);
  pack.addValue(value && around, middle, middle + (value?.length ?? 0));
  pack.addHeaders(Object.keys(headers).length);
  for (const [name, said] of Object.entries(headers)) {
    if (name.length % 2 === 0) {
      pack.addTexts(packedTexts([name, said]));
      continue;
    }
    pack.addText(name);
    if (/^(0|[1-9]\d*)$/.test(said) && Number.isSafeInteger(Number(said))) pack.addDigits(Number(said));
    else pack.addText(said);
  }
  pack.endRecord();
}

const plain = (given: readonly OutRecord[]) =>
  given.map(({ topic, partition, key, value, headers }) => ({
    topic,
    partition,
    key: key && [...key],
    value: value && [...value],
    headers,
  }));

test('what was packed is read out again, and makes the batch that the records make one by one, in memory that was used before too', async () => {
  const pack = new PackedRecords('late');
  const form = { timestampMs: 1_700_000_000_000, codec: 0 };
  await fc.assert(
    fc.asyncProperty(records, fc.integer({ min: 1, max: 3 }), async (given, every) => {
      pack.clear(pack.byteLength);
      for (const record of given) addTo(pack, record);
      expect([pack.size, plain(unpacked([pack, ...given]))]).toEqual([given.length, plain([...given, ...given])]);
      const numbers = given.flatMap((_, i) => (i % every === 0 ? [i] : []));
      const [first, ...rest] = [...given.slice(0, 1), ...numbers.map((i) => given[i]), ...given.slice(0, 1)];
      if (first === undefined) return;
      const alone = await writeRecordBatch([first, ...rest], form);
      expect(await writeRecordBatch([given[0], new PackedRun(pack, numbers), given[0]], form)).toEqual(alone);
      for (const i of numbers) {
        const key = pack.keyStart(i) < 0 ? null : [...pack.bytes.subarray(pack.keyStart(i), pack.keyEnd(i))];
        expect(key).toEqual(plain(given)[i].key);
      }
    }),
    { numRuns: 100 },
  );
});

test('a run of so many records that the places of the last take three bytes makes the batch that they make one by one', async () => {
  const pack = new PackedRecords('late');
  const record = { topic: 'late', partition: null, key: null, value: Buffer.from('v') };
  const given = Array.from({ length: 9000 }, () => record);
  for (const one of given) addTo(pack, one);
  const form = { timestampMs: 1_700_000_000_000, codec: 0 };
  const batch = await writeRecordBatch([new PackedRun(pack, [...given.keys()])], form);
  expect(batch.equals(await writeRecordBatch(given, form))).toBe(true);
});
