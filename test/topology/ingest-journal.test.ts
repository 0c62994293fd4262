import { expect, test } from 'vitest';
import { ByteReader } from '../../src/state/bytes.ts';
import { FingerprintStore } from '../../src/state/fingerprints.ts';
import { KeyBlock } from '../../src/state/key-block.ts';
import { SlicedKeys } from '../../src/state/sliced-keys.ts';
import { IngestJournal, type JournalVisitor, readJournal } from '../../src/topology/ingest-journal.ts';

const HOUR_MS = 3_600_000;

/** As it lies in logs: keys of one bucket in a run, those of several one by one; and the end. */
const BYTES =
  '0c2c02785634120df0adba01000080ffffffff' + // A run in hour 44 of two keys,
  '0e022d010300000004000000' + // a suspect in a slice of two seconds, number 45,
  '0f022c030001058100000080000000090000000a0000000b0000000c000000' + // three in slices 44, 45, and 49,
  '01050000000600000001' + // a key in hour 1
  '01070000000800000002' + // and one in hour 2,
  '09'; // the end.
/** Suspects of before there were slices, up to format 4. */
const OLDER = '0d2d0203000000040000000500000006000000' + '0207000000080000002e' + '09';

/** Enters keys into a store of its own; of every block the second is a duplicate. */
function blockOf(...keys: [hi: number, lo: number, ts: number][]): KeyBlock {
  const block = new KeyBlock();
  for (const [hi, lo, ts] of keys) for (let twice = 0; twice < 2; twice++) block.push(hi, lo, ts);
  new FingerprintStore({ bucketMs: HOUR_MS, ttlMs: 60 * HOUR_MS }).addBlock(block);
  return block;
}

function readAll(hex: string): unknown[] {
  const told: unknown[] = [];
  const visitor = {
    dedup: (...key: number[]) => void told.push(['dedup', ...key]),
    suspect: (...key: number[]) => void told.push(['suspect', ...key]),
    olderSuspect: (...key: number[]) => void told.push(['older', ...key]),
    suspectOfSlice: (...key: number[]) => void told.push(['slice', ...key]),
  } as Partial<JournalVisitor> as JournalVisitor;
  expect(readJournal(new ByteReader(Buffer.from(hex, 'hex')), visitor)).toBe(2);
  return told;
}

test('keys that were added are written in runs of a bucket, and nothing of those that were there', () => {
  const journal = new IngestJournal();
  journal.dedupBlock(blockOf([0x1234_5678, 0xbaad_f00d, 44 * HOUR_MS], [0x8000_0001, 0xffff_ffff, 45 * HOUR_MS - 1]), HOUR_MS);
  journal.suspectBlock(blockOf([3, 4, 91_999]), 2000);
  journal.suspectBlock(blockOf([0x81, 0x80, 88_000], [9, 10, 90_000], [11, 12, 99_999]), 2000);
  journal.dedupBlock(blockOf([5, 6, HOUR_MS], [7, 8, 2 * HOUR_MS]), HOUR_MS);
  journal.end();
  expect(Buffer.from(journal.take()).toString('hex')).toBe(BYTES);
});

test('what logs hold is read', () => {
  expect(readAll(BYTES)).toEqual([
    ['dedup', 0x1234_5678, 0xbaad_f00d, 44],
    ['dedup', 0x8000_0001, 0xffff_ffff, 44],
    ['slice', 3, 4, 45, 2],
    ['slice', 0x81, 0x80, 44, 2],
    ['slice', 9, 10, 45, 2],
    ['slice', 11, 12, 49, 2],
    ['dedup', 5, 6, 1],
    ['dedup', 7, 8, 2],
  ]);
});

test('suspects in runs of a bucket, and one by one, are read as those of older states', () => {
  expect(readAll(OLDER)).toEqual([
    ['suspect', 3, 4, 45],
    ['suspect', 5, 6, 45],
    ['suspect', 7, 8, 46],
  ]);
});

test('suspects of slices that are far from each other, or begin at whole ones, are told exactly', () => {
  for (const seconds of [1, 3, 7, 49, 86]) {
    const slices = [0, 1, 2, 3, 49, 127, 128, 255, 256, 300_000].map((distance) => 20_000_000 + distance);
    for (const count of [2, 8, 9, 10]) {
      const journal = new IngestJournal();
      const sliceMs = 1000 * seconds;
      const keys = new KeyBlock();
      for (const slice of slices.slice(0, count)) {
        for (const ts of [slice * sliceMs, (slice + 1) * sliceMs - 1]) keys.push(7, keys.size, ts);
      }
      new SlicedKeys({ sliceMs, ttlMs: 1000 }).addBlock(keys);
      journal.suspectBlock(keys, sliceMs);
      journal.end();
      const expected = slices.slice(0, count).flatMap((slice, i) => [2 * i, 2 * i + 1].map((lo) => ['slice', 7, lo, slice, seconds]));
      expect(readAll(Buffer.from(journal.take()).toString('hex'))).toEqual(expected);
    }
  }
});

test('a snapshot writes the keys of a slice in runs, and those of none by themselves, which are read the same', () => {
  const journal = new IngestJournal();
  journal.olderSuspect(1, -2, 500_000, 60);
  journal.suspectsOfSlice({ slice: 300, sliceMs: 7000 }, new Int32Array([1, -2, 3, 4, 99, 99]), 2);
  journal.end();
  expect(readAll(Buffer.from(journal.take()).toString('hex'))).toEqual([
    ['older', 1, 0xffff_fffe, 500_000, 60],
    ['slice', 1, 0xffff_fffe, 300, 7],
    ['slice', 3, 4, 300, 7],
  ]);
});
