import { createHash } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { CODECS } from '../../../src/topology/sources/codecs.ts';
import { columnsInPlace, releaseOf } from '../../../src/topology/sources/kafkajs-decoding.ts';
import { writeRecordBatch } from '../../../src/topology/sources/record-batch-writer.ts';
import { openRecordSet } from '../../../src/topology/sources/record-set.ts';

const TIMES = 20;

/** How much of what was unpacked waits for a garbage collection, and how many records came of it. */
async function unpackedBy(codec: number, values: number): Promise<{ waitingBytes: number; records: number }> {
  const texts = Array.from({ length: values }, (_, i) => createHash('sha512').update(String(i)).digest('hex').repeat(2));
  const fetched = await writeRecordBatch(
    texts.map((text) => ({ key: null, value: Buffer.from(text) })),
    { timestampMs: 0, codec },
  );
  const unpacking = vi.spyOn(CODECS[codec], 'decompress');
  let records = 0;
  for (let i = 0; i < TIMES; i++) {
    const set = await openRecordSet(fetched);
    const columns = columnsInPlace(set, 0, []);
    records += columns.size;
    releaseOf(set, columns)();
  }
  const unpacked = await Promise.all(unpacking.mock.results.map(({ value }) => value as Promise<Buffer>));
  unpacking.mockRestore();
  return { waitingBytes: unpacked.reduce((sum, { length }) => sum + length, 0), records };
}

test.each([1, 2, 3, 4])('nothing that codec %d has unpacked waits for a garbage collection, but small things', async (codec) => {
  expect(await unpackedBy(codec, 1000)).toEqual({ waitingBytes: 0, records: TIMES * 1000 });
  const few = await unpackedBy(codec, 10);
  expect([few.records, few.waitingBytes > 0]).toEqual([TIMES * 10, true]);
});

test('columns that were given away twice are filled for one fetch at a time', async () => {
  const fetch = async (value: string) => {
    const set = await openRecordSet(await writeRecordBatch([{ key: null, value: Buffer.from(value) }], { timestampMs: 0, codec: 0 }));
    const columns = columnsInPlace(set, 0, []);
    return { columns, release: releaseOf(set, columns) };
  };
  const { release } = await fetch('first');
  release();
  release();
  const [one, other] = [await fetch('one'), await fetch('another')];
  expect([one.columns.bytes(0), other.columns.bytes(0)]).toEqual([3, 7]);
});
